"""The set of tracks: encoders in threads of their own, whose faults are seen and which all end."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
import pytest

from octet.audio.encode import Encoder
from octet.audio.recording import Recording
from octet.errors import DamagedAudioError, OutputError
from octet.formats import Encoding
from octet.separation.trackset import WAITING_BLOCKS, TrackSet, TrackWriter
from octet.tracks import TRACKS
from tests.separation.test_separator import music, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = music(30_000)


class FullDisk(Encoder):
    """Refuses from one call on, as a disk does that is full: at a block, or at the end."""

    at_block = 0

    def write(self, block: np.ndarray) -> None:
        self.at_block -= 1
        if self.at_block == 0:
            raise OutputError("the disk is full")
        super().write(block)

    def close(self):
        raise OutputError("the disk is full")


def encoding_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("octet-encode")]


@contextmanager
def track_set(folder: Path, kind: str, tracks: tuple[str, ...] = TRACKS) -> Iterator[TrackSet]:
    """A set of tracks of a song of two blocks."""
    song = write(folder / f"song.{kind}", music(60_000))
    (folder / "out").mkdir()
    with (
        Recording.read_song(song, folder) as recording,
        TrackSet(recording, song, folder / "out", tracks, Encoding(kind)) as made,
    ):
        yield made


def fill(tracks: TrackSet) -> None:
    for start in (0, 30_000):
        mix = tracks.recording.read(start, 30_000)
        tracks.add(mix, dict.fromkeys(("vocals", "drums", "bass"), 0.25 * mix))


@pytest.mark.timeout(30)
def test_a_file_that_cannot_be_completed_is_an_error(tmp_path):
    # given a disk that is full when the last buffer goes out
    writer = TrackWriter(FullDisk(tmp_path / "vocals.wav", Encoding("wav"), 44_100))
    writer.write(BLOCK)
    writer.finish()
    # then whoever waits for the file gets the error, the thread ends, and nothing is left
    with pytest.raises(OutputError, match="disk is full"):
        writer.result()
    writer.close()
    assert encoding_threads() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(30)
def test_a_block_that_cannot_be_written_is_an_error_soon(tmp_path):
    # given a disk that is full at the second block
    encoder = FullDisk(tmp_path / "vocals.wav", Encoding("wav"), 44_100)
    encoder.at_block = 2
    writer = TrackWriter(encoder)
    # when more blocks are written than may wait, then one of the calls says so
    blocks = repeat(BLOCK, WAITING_BLOCKS + 2)
    with pytest.raises(OutputError, match="disk is full"):
        deque(map(writer.write, blocks))
    writer.close()
    assert encoding_threads() == []
    assert list(tmp_path.iterdir()) == []


def test_blocks_are_written_in_order_and_measured(tmp_path):
    # given ten blocks, each twice as loud as the one before
    writer = TrackWriter(Encoder(tmp_path / "vocals.wav", Encoding("wav", bits=32), 44_100))
    blocks = [np.full((2, 1_000), 2.0**-number, np.float32) for number in range(10, 0, -1)]
    for block in blocks:
        writer.write(block)
    writer.finish()
    written = writer.result()
    writer.close()
    # then the file holds them in their order, and the levels are those of the whole
    with Recording.read_song(tmp_path / "vocals.wav", tmp_path) as recording:
        assert np.array_equal(recording.read(0, 10_000), np.concatenate(blocks, axis=1))
    assert written.peak_db == pytest.approx(-6.02)
    mean = sum(4.0**-number for number in range(1, 11)) / 10
    assert written.rms_db == pytest.approx(10 * np.log10(mean), abs=0.01)
    assert written.entry("wav").key == "vocals.wav"


def test_leaving_early_ends_all_threads_and_deletes_what_is_not_whole(tmp_path):
    # given a set that has taken a part of the song in
    with track_set(tmp_path, "flac") as tracks:
        fill(tracks)
        assert len(encoding_threads()) == len(TRACKS)
    # when it is left before its end, then no thread and no file is left
    assert encoding_threads() == []
    assert list((tmp_path / "out").iterdir()) == []


def test_every_track_is_told_once_it_is_whole(tmp_path):
    told: dict[str, int] = {}
    with track_set(tmp_path, "mp3") as tracks:
        fill(tracks)
        entries = tracks.finish(lambda track, path: told.update({track: path.stat().st_size}))
    # then each was told with its whole file, and the entries stand in the tracks' order
    assert list(entries) == list(TRACKS)
    assert told == {track: entry.bytes for track, entry in entries.items()}
    assert encoding_threads() == []


def test_a_song_that_changes_meanwhile_is_not_copied(tmp_path):
    # given an MP3, whose own bytes are to be the original
    with track_set(tmp_path, "mp3", ("original",)) as tracks:
        fill(tracks)
        # when its file is another by the time that it is copied
        (tmp_path / "song.mp3").write_bytes(b"another")
        with pytest.raises(DamagedAudioError, match="changed while it was being separated"):
            tracks.finish()


@pytest.mark.timeout(30)
def test_a_stem_file_is_whole_or_not_there(tmp_path):
    # given a song whose one track is a stem file
    song = write(tmp_path / "Das Lied.wav", music(60_000))
    (tmp_path / "out").mkdir()
    with Recording.read_song(song, tmp_path) as recording:
        made = (recording, song, tmp_path / "out", ("stem",), Encoding("stem"))
        # when it is given up on the way, then nothing of it is left, and no thread
        with TrackSet(*made) as tracks:
            fill(tracks)
        assert list((tmp_path / "out").iterdir()) == []
        assert encoding_threads() == []
        # and when it is ended, then it has the song's name, level and length
        with TrackSet(*made) as tracks:
            fill(tracks)
            entry = tracks.finish()["stem"]
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["Das Lied.stem.mp4"]
        assert (entry.key, entry.samples) == ("Das Lied.stem.mp4", 60_000)
        assert entry.peak_db == pytest.approx(20 * np.log10(recording.peak), abs=0.01)
