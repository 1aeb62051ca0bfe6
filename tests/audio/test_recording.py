from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from octet.audio.encode import Encoder
from octet.audio.recording import Recording
from octet.audio.resample import resampled_length
from octet.audio.song import Excerpt, Limits
from octet.errors import DamagedAudioError, OutputError, SettingError
from octet.formats import Encoding
from tests.audio.waves import song, sound, whole

if TYPE_CHECKING:
    from pathlib import Path


def test_it_holds_what_the_song_decodes_to(tmp_path):
    path = song(tmp_path, Encoding("flac", bits=24), 150_000)
    expected = whole(path)

    with Recording.read_song(path, tmp_path) as recording:
        assert (recording.samples, recording.rate) == (150_000, 44100)
        assert np.array_equal(recording.read(0, 150_000), expected)
        assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert recording.bytes == path.stat().st_size
        mono = expected.mean(axis=0).astype(np.float64)
        assert recording.mean == pytest.approx(mono.mean(), abs=1e-12)
        assert recording.deviation == pytest.approx(mono.std(ddof=1), rel=1e-9)
        assert recording.peak == np.abs(expected).max()


@pytest.mark.parametrize(
    ("start", "count"), [(-50, 100), (950, 100), (-10, 2000), (5000, 7), (-99, 9), (3, 0)]
)
def test_beyond_its_ends_there_is_silence(tmp_path, start, count):
    path = song(tmp_path, Encoding("wav", bits=32), 1000)
    padded = np.pad(whole(path), ((0, 0), (100, 6000)))

    with Recording.read_song(path, tmp_path) as recording:
        block = recording.read(start, count)

    assert block.dtype == np.float32
    assert np.array_equal(block, padded[:, start + 100 : start + 100 + count])


def test_many_threads_may_read(tmp_path):
    path = song(tmp_path, Encoding("wav", bits=32), 50_000)
    expected = whole(path)
    wrong = []

    with Recording.read_song(path, tmp_path) as recording:

        def work():
            for start in range(0, 50_000, 1111):
                block = expected[:, start : start + 100]
                if not np.array_equal(recording.read(start, block.shape[1]), block):
                    wrong.append(start)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert wrong == []


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
def test_it_can_be_had_at_another_rate(tmp_path, rate):
    path = song(tmp_path, Encoding("wav", bits=32), 44_101)

    with Recording.read_song(path, tmp_path) as recording:
        with recording.at_rate(rate, tmp_path) as other:
            assert other.samples == resampled_length(44_101, 44100, rate)
            assert (other.rate, other.sha256) == (rate, recording.sha256)
            assert other.deviation == pytest.approx(recording.deviation, rel=0.5)
        assert recording.read(0, 10).any()


def test_progress_at_another_rate_rises_to_one(tmp_path):
    path = song(tmp_path, Encoding("flac"), 200_000)
    told: list[float] = []

    with Recording.read_song(path, tmp_path) as recording:
        recording.at_rate(48_000, tmp_path, told.append).close()

    assert told == sorted(told)
    assert told[-1] == 1.0


def test_the_scratch_file_is_gone_at_once(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = song(tmp_path, Encoding("wav"), 1000)

    with Recording.read_song(path, scratch):
        assert list(scratch.iterdir()) == []


def test_progress_rises_to_one(tmp_path):
    path = song(tmp_path, Encoding("flac"), 200_000)
    told: list[float] = []

    Recording.read_song(path, tmp_path, Limits(), told.append).close()

    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 3


def test_whoever_is_told_the_progress_may_stop_the_reading(tmp_path):
    path = song(tmp_path, Encoding("flac"), 200_000)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Recording.read_song(path, tmp_path, Limits(), stop)

    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_damaged_song_leaves_no_descriptor_open(tmp_path):
    path = song(tmp_path, Encoding("flac"), 200_000)
    path.write_bytes(path.read_bytes()[:-50_000])
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    for _ in range(5):
        with pytest.raises(DamagedAudioError):
            Recording.read_song(path, tmp_path)

    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_scratch_folder_that_is_not_there_is_an_error(tmp_path):
    path = song(tmp_path, Encoding("wav"), 1000)

    with pytest.raises(OutputError, match="there is no such folder"):
        Recording.read_song(path, tmp_path / "nowhere")


def run(script: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_disk_without_room_is_an_error_that_names_the_folder(tmp_path):
    path = song(tmp_path, Encoding("flac"), 400_000)
    script = """
import resource, sys
from pathlib import Path
from octet.audio.recording import Recording
from octet.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    Recording.read_song(Path(sys.argv[1]), Path(sys.argv[2]))
except OutputError as error:
    print(error)
"""

    done = run(script, path, tmp_path)

    assert f"cannot write to {tmp_path}: the file is larger than the disk allows" in done.stdout


def test_nothing_is_left_when_the_process_is_killed(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    path = song(tmp_path, Encoding("wav"), 100_000)
    script = """
import os, signal, sys
from pathlib import Path
from octet.audio.recording import Recording
Recording.read_song(Path(sys.argv[1]), Path(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""

    done = run(script, path, scratch)

    assert done.returncode == -signal.SIGKILL
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads peak memory as Linux has it"
)
def test_memory_does_not_grow_with_the_song(tmp_path):
    minute, paths = sound(60 * 16000), {}
    for minutes in (2, 20):
        paths[minutes] = tmp_path / f"{minutes}.flac"
        encoder = Encoder(paths[minutes], Encoding("flac"), 16000)
        for _ in range(minutes):
            encoder.write(minute)
        encoder.close()
    script = """
import resource, sys
from pathlib import Path
from octet.audio.recording import Recording
folder = Path(sys.argv[2])
with Recording.read_song(Path(sys.argv[1]), folder) as song, song.at_rate(22050, folder) as other:
    for block in other.blocks():
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    short, long = (int(run(script, paths[minutes], tmp_path).stdout) for minutes in (2, 20))

    assert long < 1.05 * short


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (0.0, 1.0, 0, 44_100),
        (0.5, None, 22_050, 150_000),
        (1.25, 2.5, 55_125, 110_250),
        (3, 9, 132_300, 150_000),
    ],
)
def test_an_excerpt_is_the_samples_of_that_part(tmp_path, start, end, first, last):
    path = song(tmp_path, Encoding("flac", bits=24), 150_000)
    expected = whole(path)[:, first:last]

    with Recording.read_song(path, tmp_path, excerpt=Excerpt(start, end)) as recording:
        assert recording.samples == last - first
        assert np.array_equal(recording.read(0, recording.samples), expected)
        # and the file's own figures are those of the whole file
        assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_excerpt_behind_the_songs_end_is_told(tmp_path):
    path = song(tmp_path, Encoding("wav", bits=16), 50_000)
    with pytest.raises(SettingError, match=r"ends before 1:05\.0"):
        Recording.read_song(path, tmp_path, excerpt=Excerpt(65.0, None))


@pytest.mark.parametrize(
    ("start", "end"), [(-1.0, 5.0), (5.0, 5.0), (9.0, 5.0), (float("nan"), 5.0)]
)
def test_no_song_has_such_a_part(start, end):
    with pytest.raises(SettingError, match="no song has a part"):
        Excerpt(start, end)
