"""Stem files, read back by FFmpeg and by a reader of boxes of the tests' own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from octet.audio.decode import probe
from octet.audio.encode import Encoder
from octet.audio.resample import resampled_length
from octet.audio.song import Cover
from octet.audio.stem import closed
from octet.errors import OutputError
from octet.formats import Encoding
from octet.tracks import IN_STEM_FILE
from tests.audio.boxes import movie, table
from tests.audio.pictures import jpeg, png
from tests.audio.waves import encoded, lag, sound, whole
from tests.servers import missing

SAMPLES = 100_003
ENCODINGS = [Encoding("stem"), Encoding("stem", bits=16), Encoding("stem", bits=24)]
CODECS = ["aac", "alac", "alac"]


def five(samples: int = SAMPLES, level: float = 0.1) -> np.ndarray:
    """A song that is the sum of four stems, and these: float32 of shape (10, samples)."""
    stems = [sound(samples, seed=number, level=level) for number in range(4)]
    return np.concatenate([np.sum(stems, axis=0), *stems])


def heard(path: Path) -> list[np.ndarray]:
    """What FFmpeg decodes of each sound: its samples as they are, of shape (2, n).

    It plays the padding of AAC's last packet, which the length that the file tells leaves out.
    """
    found = []
    for number in range(len(IN_STEM_FILE)):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray() for frame in container.decode(audio=number)]
            length = container.streams.audio[number].duration
        found.append(np.concatenate(frames, axis=1)[:, :length])
    return found


def level(signal: np.ndarray) -> float:
    return float(10 * np.log10(np.square(signal, dtype=np.float64).sum() + 1e-30))


def probed(path: Path) -> dict[str, Any]:
    """What ffprobe, a program of its own, says of a file."""
    if shutil.which("ffprobe") is None:
        missing("ffprobe is not here: apt-get install ffmpeg")
    call = ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", str(path)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("encoding", "codec"), list(zip(ENCODINGS, CODECS, strict=True)))
def test_five_sounds_lie_in_the_order_of_dj_programs(tmp_path, encoding, codec):
    # given a stem file, when another program reads it
    encoded(path := tmp_path / "song.stem.mp4", five(), encoding)
    streams = probed(path)["streams"]
    # then it holds five stereo sounds of 44.1 kHz: the song, drums, bass, other and vocals
    assert [one["codec_name"] for one in streams] == [codec] * 5
    assert {(one["sample_rate"], one["channels"]) for one in streams} == {("44100", 2)}
    assert [one["tags"]["handler_name"] for one in streams] == list(IN_STEM_FILE)
    # of which the song alone is enabled, and none is longer or begins later than the others
    assert [one["disposition"]["default"] for one in streams] == [1, 0, 0, 0, 0]
    assert {(one["start_time"], one["duration_ts"]) for one in streams} == {("0.000000", SAMPLES)}


def test_the_box_of_stems_says_what_dj_programs_look_for(tmp_path):
    encoded(path := tmp_path / "song.stem.mp4", five(9_000), Encoding("stem"))

    said = json.loads(movie(path.read_bytes()).one("udta", "stem").body)

    assert said["version"] == 1
    assert [stem["name"] for stem in said["stems"]] == ["Drums", "Bass", "Other", "Vocals"]
    assert all(len(bytes.fromhex(stem["color"][1:])) == 3 for stem in said["stems"])
    assert len({stem["color"] for stem in said["stems"]}) == 4
    # the song's sound is its own: nothing is compressed or limited a second time
    assert {one["enabled"] for one in said["mastering_dsp"].values()} == {False}
    assert set(said["mastering_dsp"]) == {"compressor", "limiter"}


@pytest.mark.parametrize("samples", [1, 2, 1024, 1025, 4096, 4097, SAMPLES])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_every_sound_has_the_length_and_the_start_that_were_written(tmp_path, encoding, samples):
    block = five(samples)

    receipt = encoded(path := tmp_path / "song.stem.mp4", block, encoding)

    assert receipt.samples == samples
    for number, back in enumerate(heard(path)):
        assert back.shape == (2, samples)
        if samples > 40_000:
            assert lag(back, block[2 * number : 2 * number + 2]) == 0
    # and this program, like others that know one sound alone, takes the song
    assert whole(path).shape == (2, samples)
    tables = [table(track).duration for track in movie(path.read_bytes()).all("trak")]
    assert len({*tables}) == 1


def test_the_stems_null_against_the_song_as_far_as_aac_lets_them(tmp_path):
    # given a song that is the sum of its stems, in AAC of 256 kb/s
    block = five()
    receipt = encoded(path := tmp_path / "song.stem.mp4", block, Encoding("stem"))
    # when all are decoded
    song, *stems = heard(path)
    # then each is close to what was written, and what the stems' sum lacks is no more than that
    assert level(song - block[:2]) - level(block[:2]) < -15
    assert level(np.sum(stems, axis=0) - song) - level(song) < -15
    # of which the receipt says how much of it is the song's
    assert receipt.residual_db == pytest.approx(level(song - block[:2]) - level(block[:2]), abs=1.0)


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("bits", [16, 24])
def test_lossless_stems_sum_to_the_song_bit_by_bit(tmp_path, bits, rate):
    # given a song that is the sum of its stems, and that needs no or another rate
    block = five()
    receipt = encoded(path := tmp_path / "song.stem.mp4", block, Encoding("stem", bits=bits), rate)
    # when all are decoded to integers
    song, *stems = (back.astype(np.int64) for back in heard(path))
    # then the sum is the song in every bit
    assert np.array_equal(np.sum(stems, axis=0), song)
    assert song.shape[1] == receipt.samples == resampled_length(SAMPLES, rate, 44_100)
    # and each is what was written, to a step for rounding, and two more in `other`
    if rate == 44_100:
        step = 2.0 ** (1 - bits)
        whole_scale = 2.0 ** (15 if bits == 16 else 31)
        for number, back in enumerate([song, *stems]):
            error = np.abs(back / whole_scale - block[2 * number : 2 * number + 2]).max()
            assert error <= step * (3 if number == 3 else 0.51)
    assert (receipt.clipped, receipt.residual_db, probe(path).bits) == (0, None, bits)


@pytest.mark.parametrize(("kind", "step"), [(np.int16, 1), (np.int32, 256)])
def test_rounding_alone_goes_to_other_and_never_what_was_cut(kind, step):
    # given a sample whose stems miss the song by rounding, and one whose song was cut
    limits = np.iinfo(kind)
    song = np.array([[100 * step, limits.max - step + 1, limits.min]] * 2, kind)
    part = np.array([[25 * step, 0, 0]] * 2, kind)
    other = np.array([[23 * step, limits.max // 2, limits.min + step]] * 2, kind)
    # when the sum is closed
    closed_other = closed([song, part, part, other, part], step)
    # then rounding is made good, within the integers' range, and nothing else is touched
    assert closed_other.dtype == kind
    assert closed_other[0].tolist() == [25 * step, limits.max // 2, limits.min]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_an_absurd_sample_is_cut_and_counted(tmp_path, encoding):
    block = five(30_000)
    block[4, 15_000], block[9, 16_000] = 1e30, -3e38

    receipt = encoded(path := tmp_path / "song.stem.mp4", block, encoding)

    assert receipt.clipped == 2
    assert {back.shape for back in heard(path)} == {(2, 30_000)}


@pytest.mark.parametrize("picture", [jpeg, png])
def test_tags_and_cover_are_carried_over(tmp_path, picture):
    tags = {"title": "Liedchen „Ö“", "artist": "Band", "album": "Album", "genre": "Folk"}
    tags |= {"date": "2001", "track": "3", "comment": "Wörter, 🎵", "album_artist": "Alle"}
    cover = Cover(picture(300, 200), "image/jpeg" if picture is jpeg else "image/png")
    path = tmp_path / "song.stem.mp4"

    encoded(path, five(9_000), Encoding("stem"), tags=tags, cover=cover)

    info = probe(path)
    assert (info.tags, info.cover) == (tags, cover)
    assert probed(path)["format"]["tags"]["artist"] == "Band"


def test_the_blocks_do_not_shape_the_sounds(tmp_path):
    block = five(50_000)
    encoded(tmp_path / "whole", block, Encoding("stem"))

    encoder = Encoder(tmp_path / "parts", Encoding("stem"), 44_100)
    for start in range(0, 50_000, 7_777):
        encoder.write(block[:, start : start + 7_777])
    encoder.close()

    for one, other in zip(heard(tmp_path / "whole"), heard(tmp_path / "parts"), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("bitrate", [64, 256])
def test_a_bit_rate_is_that_of_each_sound(tmp_path, bitrate):
    block = five(88_200)

    held = encoded(tmp_path / "song", block, Encoding("stem", bitrate=bitrate))

    assert held.bytes * 8 / 2 / 1000 / 5 == pytest.approx(bitrate, rel=0.15)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, encoding):
    path = tmp_path / "song.stem.mp4"
    os.symlink("/dev/full", path)

    with pytest.raises(OutputError, match="the disk is full"):
        encoded(path, five(50_000), encoding)

    assert list(tmp_path.iterdir()) == []
