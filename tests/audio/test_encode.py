from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from octet.audio.decode import probe
from octet.audio.encode import Encoder
from octet.audio.resample import resampled_length
from octet.audio.song import Cover
from octet.errors import OutputError
from octet.formats import FORMATS, Encoding
from tests.audio.pictures import jpeg, png
from tests.audio.waves import ALL_FORMATS, encoded, lag, on_grid, sound, whole

LENGTHS = [1, 2, 575, 1151, 1152, 1153, 44100, 100_003]


def file_of(folder: Path, encoding: Encoding) -> Path:
    return folder / f"track.{encoding.name}"


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("encoding", ALL_FORMATS, ids=str)
def test_a_file_decodes_to_the_length_and_the_start_that_were_written(tmp_path, encoding, samples):
    path = file_of(tmp_path, encoding)
    rate = 48000 if encoding.name == "opus" else 44100
    block = sound(samples)

    receipt = encoded(path, block, encoding, rate)

    heard = whole(path)
    assert heard.shape == (2, samples)
    assert receipt.samples == samples
    if samples > 40_000:
        assert lag(heard, block) == 0


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 48000, 96000])
@pytest.mark.parametrize("samples", [1, 577, 30_011])
@pytest.mark.parametrize("name", ["mp3", "ogg", "opus", "m4a"])
def test_any_rate_keeps_its_length_in_lossy_formats(tmp_path, name, rate, samples):
    encoding = Encoding(name)
    path = file_of(tmp_path, encoding)

    receipt = encoded(path, sound(samples), encoding, rate)

    held = encoding.format.nearest_rate(rate)
    assert whole(path).shape[1] == receipt.samples == resampled_length(samples, rate, held)
    assert probe(path).rate == receipt.rate == held


@pytest.mark.parametrize("name", ["mp3", "opus"])
def test_other_readers_of_ffmpeg_find_the_same_length(tmp_path, name):
    path = file_of(tmp_path, Encoding(name))
    encoded(path, sound(100_003), Encoding(name), 48000)

    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 100_003


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize(
    ("name", "bits"), [("flac", 16), ("flac", 24), ("wav", 16), ("wav", 24), ("wav", 32)]
)
def test_lossless_formats_give_back_every_bit(tmp_path, name, bits, rate):
    encoding = Encoding(name, bits=bits)
    path = file_of(tmp_path, encoding)
    block = sound(70_000) if bits == 32 else on_grid(sound(70_000), bits)

    receipt = encoded(path, block, encoding, rate)

    assert np.array_equal(whole(path), block)
    assert (probe(path).rate, probe(path).bits) == (rate, bits)
    assert receipt.clipped == 0


def test_a_wav_of_16_bits_is_bit_for_bit_what_was_decoded(tmp_path):
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    integers = np.random.default_rng(1).integers(-32768, 32768, (50_000, 2), np.int16)
    with wave.open(str(first), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(integers.tobytes())

    encoded(second, whole(first), Encoding("wav", bits=16))

    with wave.open(str(second)) as file:
        assert file.readframes(100_000) == integers.tobytes()


@pytest.mark.parametrize(
    ("encoding", "clipped"),
    [
        (Encoding("wav", bits=16), 3),
        (Encoding("flac", bits=24), 3),
        (Encoding("mp3"), 3),
        (Encoding("wav", bits=32), 0),
        (Encoding("opus"), 0),
    ],
    ids=str,
)
def test_samples_beyond_full_scale_are_cut_and_counted(tmp_path, encoding, clipped):
    block = np.zeros((2, 1000), np.float32)
    block[0, 10], block[1, 20], block[1, 30], block[0, 40] = 1.5, -1.001, 1.0, -1.0

    receipt = encoded(file_of(tmp_path, encoding), block, encoding, 48000)

    assert receipt.clipped == clipped


def test_integers_do_not_wrap_around(tmp_path):
    path = tmp_path / "loud.wav"
    encoded(path, np.array([[2.0, -2.0], [1e9, -1e9]], np.float32), Encoding("wav", bits=16))

    assert np.array_equal(whole(path), np.array([[32767 / 32768, -1.0]] * 2, np.float32))


@pytest.mark.parametrize("rate", [44100, 96000])
@pytest.mark.parametrize("encoding", ALL_FORMATS, ids=str)
def test_an_absurd_sample_is_cut_where_the_format_does_not_hold_it(tmp_path, encoding, rate):
    block = sound(30_000)
    block[0, 15_000], block[1, 16_000] = 1e30, -3e38
    path = file_of(tmp_path, encoding)

    receipt = encoded(path, block, encoding, rate)

    held = encoding.bits == 32
    assert receipt.clipped >= (0 if held else 2)
    heard = whole(path)
    assert heard.shape[1] == receipt.samples
    assert held == bool(np.abs(heard).max() > 100)


def test_the_receipt_describes_the_file(tmp_path):
    path = tmp_path / "track.flac"

    receipt = encoded(path, sound(5000), Encoding("flac"))

    data = path.read_bytes()
    assert (receipt.path, receipt.bytes) == (path, len(data))
    assert receipt.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("picture", [jpeg, png])
@pytest.mark.parametrize("name", ["mp3", "flac", "ogg", "opus", "m4a"])
def test_tags_and_cover_are_carried_over(tmp_path, name, picture):
    path = file_of(tmp_path, Encoding(name))
    tags = {"title": "Liedchen „Ö“", "artist": "Band", "album": "Album", "genre": "Folk"}
    tags |= {"date": "2001", "track": "3", "comment": "Wörter, 🎵"}
    cover = Cover(picture(300, 200), "image/jpeg" if picture is jpeg else "image/png")

    encoded(path, sound(9000), Encoding(name), tags=tags, cover=cover, track="bass")

    info = probe(path)
    assert info.tags == tags | {"title": "Liedchen „Ö“ (bass)"}
    assert info.cover == cover


@pytest.mark.parametrize("encoding", ALL_FORMATS, ids=str)
def test_hostile_tags_and_a_broken_cover_do_no_harm(tmp_path, encoding):
    path = file_of(tmp_path, encoding)
    tags = {"title": "x" * 100_000, "artist": "a\0b\ud800", "comment": "\x1b[2J", "no\0such": "="}
    cover = Cover(b"\xff\xd8\xff\xe0\x00", "image/jpeg")

    encoded(path, sound(3000), encoding, 48000, tags=tags, cover=cover, track="drums")

    assert whole(path).shape == (2, 3000)
    assert probe(path).tags["title"].endswith("x (drums)")


@pytest.mark.parametrize("encoding", ALL_FORMATS, ids=str)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, encoding):
    path = file_of(tmp_path, encoding)
    path.symlink_to("/dev/full")

    with pytest.raises(OutputError, match="the disk is full"):
        encoded(path, sound(50_000), encoding, 48000)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_disk_that_fills_on_the_way_is_an_error_and_leaves_nothing(tmp_path, name):
    script = """
import resource, sys
from pathlib import Path
from octet.formats import Encoding
from octet.errors import OutputError
from tests.audio.waves import encoded, sound
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
encoding = Encoding(sys.argv[2])
block = sound(480_000, channels=2 * encoding.format.streams)
try:
    encoded(Path(sys.argv[1]), block, encoding, 48000)
except OutputError as error:
    print(error.message)
"""

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "track"), name],
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.stdout.endswith("track: the file is larger than the disk allows\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(OutputError, match="there is no such folder") as refused:
        Encoder(tmp_path / "nowhere" / "track.mp3", Encoding("mp3"), 44100)

    assert refused.value.hint


@pytest.mark.parametrize("encoding", ALL_FORMATS, ids=str)
def test_an_aborted_file_is_deleted_and_a_closed_one_stays(tmp_path, encoding):
    path = file_of(tmp_path, encoding)
    encoder = Encoder(path, encoding, 48000)
    encoder.write(sound(20_000))
    encoder.abort()
    assert not path.exists()

    encoder = Encoder(path, encoding, 48000)
    encoder.write(sound(20_000))
    encoder.close()
    encoder.abort()
    assert path.exists()


def test_what_is_not_a_number_is_refused(tmp_path):
    encoder = Encoder(tmp_path / "track.mp3", Encoding("mp3"), 44100)

    with pytest.raises(ValueError, match="not numbers"):
        encoder.write(np.full((2, 10), np.nan, np.float32))

    encoder.abort()


def test_the_blocks_do_not_shape_the_file(tmp_path):
    block = sound(50_000)
    encoded(tmp_path / "whole.mp3", block, Encoding("mp3"))

    encoder = Encoder(tmp_path / "parts.mp3", Encoding("mp3"), 44100)
    for start in range(0, 50_000, 777):
        encoder.write(block[:, start : start + 777])
    encoder.close()

    assert (tmp_path / "whole.mp3").read_bytes() == (tmp_path / "parts.mp3").read_bytes()


def test_encoders_work_side_by_side(tmp_path):
    block, receipts = sound(80_000), {}

    def work(name):
        receipts[name] = encoded(tmp_path / f"{name}.mp3", block, Encoding("mp3"))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({receipt.sha256 for receipt in receipts.values()}) == 1
    assert len(receipts) == 4
