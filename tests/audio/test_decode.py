from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from octet.audio.decode import probe
from octet.audio.song import Limits
from octet.errors import DamagedAudioError, LimitError, NotAudioError
from octet.formats import Encoding
from tests.audio.waves import (
    ALL_FORMATS,
    encoded,
    muxed,
    on_grid,
    song,
    sound,
    wav_bytes,
    whole,
)

if TYPE_CHECKING:
    from pathlib import Path

LOSSY = ("mp3", "ogg", "opus", "m4a")
JUNK = np.random.default_rng(7).integers(0, 256, 777, np.uint8).tobytes()


def written(folder: Path, data: bytes, name: str = "song.bin") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["i2", "i4", "u1", "f4", "f8"])
def test_samples_of_a_wav_are_exact(tmp_path, kind):
    ideal = on_grid(sound(5000), 8 if kind == "u1" else 16).T
    if kind == "u1":
        frames = (ideal * 128 + 128).astype(kind)
    else:
        scale = {"i2": 2**15, "i4": 2**31}.get(kind, 1)
        frames = (ideal.astype(np.float64) * scale).astype(kind)

    heard = whole(written(tmp_path, wav_bytes(frames)))

    assert np.array_equal(heard, ideal.T)


def test_floating_point_comes_out_bit_for_bit_even_beyond_full_scale(tmp_path):
    frames = np.array([[1e-30, -1e-30], [3.5, -123.25], [1 / 3, 1e9]], np.float32)

    assert np.array_equal(whole(written(tmp_path, wav_bytes(frames))), frames.T)


@pytest.mark.parametrize(
    ("muxer", "codec", "bits"),
    [
        ("aiff", "pcm_s24be", 24),
        ("aiff", "pcm_s16be", 16),
        ("w64", "pcm_s24le", 24),
        ("au", "pcm_s16be", 16),
        ("caf", "pcm_s24le", 24),
        ("flac", "flac", 24),
        ("ogg", "flac", 24),
        ("ipod", "alac", 24),
        ("wv", "wavpack", 24),
        ("tta", "tta", 24),
        ("matroska", "flac", 24),
        ("matroska", "pcm_s24le", 24),
    ],
)
def test_lossless_codecs_in_other_containers_are_exact(tmp_path, muxer, codec, bits):
    block = on_grid(sound(60_000), bits)
    integers = (block.astype(np.float64) * 2**31).astype(np.int32)
    path = muxed(tmp_path / "song", muxer, codec, [integers], rate=96000)

    assert np.array_equal(whole(path), block)
    info = probe(path)
    assert (info.rate, info.bits, info.channels) == (96000, bits, 2)


def test_a_large_wav_header_is_understood(tmp_path):
    block = on_grid(sound(10_000), 16)
    integers = (block * 32768).astype(np.int16)
    path = muxed(tmp_path / "s", "wav", "pcm_s16le", [integers], options={"rf64": "always"})

    assert path.read_bytes()[:4] == b"RF64"
    assert np.array_equal(whole(path), block)


def test_mono_sounds_on_both_sides(tmp_path):
    frames = sound(3000, channels=1).T

    heard = whole(written(tmp_path, wav_bytes(frames)))

    assert np.array_equal(heard, frames.T.repeat(2, axis=0))


def test_5_1_is_mixed_down_without_its_low_frequency_channel(tmp_path):
    block = np.zeros((6, 4000), np.float32)
    block[2], block[3] = 0.5, 0.9
    path = muxed(tmp_path / "s.flac", "flac", "flac", [as_int32(block)], layout="5.1")

    heard = whole(path)

    assert probe(path).layout == "5.1"
    assert np.allclose(heard, 0.5 * 0.5**0.5 / (1 + 2 * 0.5**0.5), atol=1e-6)


def as_int32(block: np.ndarray) -> np.ndarray:
    return (block.astype(np.float64) * 2**31).astype(np.int32)


def test_channels_beyond_eight_in_planes_are_read(tmp_path):
    frames = np.zeros((4000, 10), np.int16)
    frames[:, 9] = 16384

    heard = whole(written(tmp_path, wav_bytes(frames)))

    assert np.allclose(heard, [[0.0], [0.1]])


@pytest.mark.parametrize(
    ("muxer", "codec", "video"),
    [("mp4", "aac", "mpeg4"), ("webm", "libopus", "libvpx"), ("matroska", "aac", None)],
)
def test_the_sound_of_a_film_is_taken(tmp_path, muxer, codec, video):
    block = sound(96_000)
    path = muxed(tmp_path / "film", muxer, codec, [as_kind(block, codec)], rate=48000, video=video)

    heard = whole(path)

    assert heard.shape[1] >= 96_000
    assert probe(path).codec == codec.removeprefix("lib")


def as_kind(block: np.ndarray, codec: str) -> np.ndarray:
    return as_int32(block) if codec == "libopus" else block


def test_of_several_streams_the_first_is_taken(tmp_path):
    loud, quiet = sound(50_000, level=0.2), sound(50_000, level=0.001)
    path = muxed(tmp_path / "song.stem.mp4", "mp4", "aac", [loud, quiet, quiet])

    assert whole(path).std() > 0.1


@pytest.mark.parametrize("encoding", ALL_FORMATS, ids=str)
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_truncated_song_is_damaged(tmp_path, encoding, share):
    data = song(tmp_path, encoding).read_bytes()

    with pytest.raises(DamagedAudioError, match="cut off or broken") as caught:
        whole(written(tmp_path, data[: int(share * len(data))]))

    assert caught.value.hint


@pytest.mark.parametrize("muxer", ["aiff", "w64", "caf", "au"])
def test_a_truncated_song_in_a_rarer_container_is_damaged(tmp_path, muxer):
    codec = "pcm_s16le" if muxer in ("w64", "caf") else "pcm_s16be"
    data = muxed(tmp_path / "s", muxer, codec, [as_int32(sound(50_000))]).read_bytes()

    with pytest.raises(DamagedAudioError):
        whole(written(tmp_path, data[:100_000]))


def test_the_error_tells_where_the_song_breaks(tmp_path):
    data = song(tmp_path, Encoding("flac"), 4 * 44100).read_bytes()

    with pytest.raises(DamagedAudioError, match=r"at 0:0[12]\.\d"):
        whole(written(tmp_path, data[: len(data) // 2]))


@pytest.mark.parametrize("name", ["mp3", "flac", "ogg", "opus", "m4a"])
def test_a_song_that_is_overwritten_in_the_middle_is_damaged(tmp_path, name):
    data = bytearray(song(tmp_path, Encoding(name), 300_000).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4 * len(JUNK)] = 4 * JUNK

    with pytest.raises(DamagedAudioError):
        whole(written(tmp_path, bytes(data)))


@pytest.mark.parametrize("name", ["mp3", "flac", "wav", "ogg", "opus", "m4a"])
@pytest.mark.parametrize(
    "junk", [JUNK, bytes(5000), b"TAG" + bytes(125)], ids=["junk", "zeros", "id3v1"]
)
def test_junk_after_the_song_is_passed_over(tmp_path, name, junk):
    path = song(tmp_path, Encoding(name))
    expected = whole(path)

    heard = whole(written(tmp_path, path.read_bytes() + junk))

    assert np.array_equal(heard, expected)


@pytest.mark.parametrize("junk", [JUNK, bytes(500)], ids=["junk", "zeros"])
def test_junk_before_an_mp3_is_passed_over(tmp_path, junk):
    path = song(tmp_path, Encoding("mp3"))

    assert whole(written(tmp_path, junk + path.read_bytes())).shape[1] >= 100_000


def test_an_mp3_with_an_ape_tag_is_whole(tmp_path):
    frame = struct.pack("<8sIIII8x", b"APETAGEX", 2000, 32, 1, 0)
    data = song(tmp_path, Encoding("mp3")).read_bytes()

    tag = frame + b"\x05\0\0\0\0\0\0\0Title\0Hello" + frame
    assert whole(written(tmp_path, data + tag)).shape == (2, 100_000)


def test_an_mp3_without_a_header_of_its_own_is_read(tmp_path):
    data = song(tmp_path, Encoding("mp3")).read_bytes()
    second = data.index(data[:2], data.index(b"Info"))

    assert whole(written(tmp_path, data[second:])).shape[1] == 88 * 1152


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_that_was_written_to_a_pipe_is_read_to_its_end(tmp_path, size):
    frames = sound(40_000).T

    heard = whole(written(tmp_path, wav_bytes(frames, size=size)))

    assert np.array_equal(heard, frames.T)


@pytest.mark.parametrize(
    ("factor", "what"), [(2.0, "cut off or broken: of 0:02.0"), (0.5, "goes on after 0:00.5")]
)
def test_a_wav_whose_header_lies_about_its_length_is_damaged(tmp_path, factor, what):
    frames = sound(44100).T

    with pytest.raises(DamagedAudioError, match=what):
        whole(written(tmp_path, wav_bytes(frames, size=int(factor * frames.nbytes))))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_damage(tmp_path, value):
    frames = sound(88200).T.copy()
    frames[66150, 1] = value

    with pytest.raises(DamagedAudioError, match=r"not numbers \(at 0:01\.5\)"):
        whole(written(tmp_path, wav_bytes(frames)))


def test_doubles_too_large_for_float32_are_damage(tmp_path):
    with pytest.raises(DamagedAudioError, match="not numbers"):
        whole(written(tmp_path, wav_bytes(np.full((10, 2), 1e300))))


@pytest.mark.parametrize(
    ("frames", "rate", "limits", "what"),
    [
        (np.zeros((100, 255), np.int16), 44100, Limits(), "255 channels, 64 are allowed"),
        (np.zeros((100, 3), np.int16), 44100, Limits(max_channels=2), "3 channels"),
        (np.zeros((100, 2), np.int16), 1, Limits(), "a sample rate of 1 Hz"),
        (np.zeros((100, 2), np.int16), 10**6, Limits(), "a sample rate of 1000000 Hz"),
        (np.zeros((44101, 2), np.int16), 44100, Limits(max_seconds=1), "longer than the 1 sec"),
    ],
)
def test_limits_hold(tmp_path, frames, rate, limits, what):
    path = written(tmp_path, wav_bytes(frames, rate))

    with pytest.raises(LimitError, match=what) as caught:
        whole(path, limits)

    assert caught.value.hint


def test_the_length_is_counted_not_believed(tmp_path):
    frames = np.zeros((88200, 2), np.int16)

    with pytest.raises(LimitError, match="longer"):
        whole(written(tmp_path, wav_bytes(frames, size=0)), Limits(max_seconds=1))


def test_an_mp3_that_changes_its_rate_is_damaged(tmp_path):
    first, second = tmp_path / "first.mp3", tmp_path / "second.mp3"
    encoded(first, sound(44100), Encoding("mp3"), 44100)
    encoded(second, sound(44100), Encoding("mp3"), 48000)

    with pytest.raises(DamagedAudioError, match=r"changes from \d+ to \d+ Hz at 0:0"):
        whole(written(tmp_path, first.read_bytes() + second.read_bytes()))


@pytest.mark.parametrize(
    "data",
    [
        b"Hello, this is a letter and no song.\n" * 300,
        b"\0" * 10_000,
        JUNK * 20,
        b"\x89PNG\r\n\x1a\n" + bytes(2000),
        b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 50,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 50,
    ],
    ids=["text", "zeros", "noise", "png", "subtitles", "svg"],
)
@pytest.mark.parametrize("name", ["song.mp3", "song.wav"])
def test_what_is_no_sound_is_refused_whatever_it_is_called(tmp_path, data, name):
    with pytest.raises(NotAudioError) as caught:
        whole(written(tmp_path, data, name))

    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_film_without_sound_is_refused(tmp_path):
    path = muxed(tmp_path / "film.mp4", "mp4", "aac", [], video="mpeg4")

    with pytest.raises(NotAudioError, match="holds no sound"):
        whole(path)


def test_a_wav_without_samples_is_refused(tmp_path):
    with pytest.raises(NotAudioError):
        whole(written(tmp_path, wav_bytes(np.zeros((0, 2), np.int16))))


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_songs_have_no_bits(tmp_path, name):
    assert probe(song(tmp_path, Encoding(name))).bits is None


def test_probe_tells_what_the_file_says(tmp_path):
    path = song(tmp_path, Encoding("flac", bits=24), 88200, tags={"artist": "Band"})

    info = probe(path)

    assert (info.container, info.codec, info.rate, info.bits) == ("flac", "flac", 44100, 24)
    assert (info.channels, info.layout, info.duration) == (2, "stereo", 2.0)
    assert info.tags == {"artist": "Band"}
