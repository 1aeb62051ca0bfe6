"""What is read of rarer containers, and what becomes of damage in them."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from octet.audio.decode import SongReader, probe
from octet.audio.ogg import FIRST, LAST, Page, unpacked
from octet.audio.recording import Recording
from octet.audio.song import Limits
from octet.errors import DamagedAudioError, LimitError, NotAudioError
from octet.formats import Encoding
from tests.audio.waves import encoded, lag, muxed, on_grid, song, sound, wav_bytes, whole

if TYPE_CHECKING:
    from pathlib import Path

SKIP = Limits(damaged="skip")


def written(folder: Path, data: bytes) -> Path:
    path = folder / "song.bin"
    path.write_bytes(data)
    return path


def by_ffmpeg(folder: Path, block: np.ndarray, muxer: str, codec: str) -> Path:
    """Sound at 48 kHz, encoded by the program, which has encoders that PyAV's wheels lack."""
    path = folder / "song.made"
    encoding = Encoding("wav", bits=16)
    encoded(folder / "given.wav", block, encoding, 48000)
    command = ["ffmpeg", "-v", "fatal", "-i", str(folder / "given.wav"), "-c:a", codec]
    subprocess.run([*command, "-strict", "-2", "-f", muxer, str(path)], check=True, timeout=60)
    return path


def as_int32(block: np.ndarray) -> np.ndarray:
    return (block.astype(np.float64) * 2**31).astype(np.int32)


@pytest.mark.parametrize(
    ("muxer", "codec", "container"),
    [
        ("ac3", "ac3", "ac3"),
        ("eac3", "eac3", "eac3"),
        ("dts", "dca", "dts"),
        ("wav", "dca", "wav"),
        ("mpeg", "mp2", "mpeg"),
        ("vob", "ac3", "mpeg"),
    ],
)
def test_lossy_sound_of_discs_is_read(tmp_path, muxer, codec, container):
    block = sound(96_000)

    path = by_ffmpeg(tmp_path, block, muxer, codec)

    heard = whole(path)
    assert (probe(path).container, probe(path).bits) == (container, None)
    assert 95_000 <= heard.shape[1] < 100_000
    assert heard.std() == pytest.approx(block.std(), rel=0.1)


@pytest.mark.parametrize("codec", ["truehd", "mlp"])
def test_lossless_sound_of_discs_is_exact(tmp_path, codec):
    block = on_grid(sound(96_000), 16)

    path = by_ffmpeg(tmp_path, block, codec, codec)

    assert np.array_equal(whole(path)[:, :90_000], block[:, :90_000])
    assert probe(path).bits is not None


def test_the_linear_sound_of_a_dvd_is_exact(tmp_path):
    integers = (sound(96_000) * 32767).astype(np.int16)
    path = tmp_path / "s.vob"
    muxed(path, "vob", "pcm_dvd", [integers], rate=48000)

    assert np.array_equal(whole(path), integers / np.float32(32768))


def test_ima4_in_aiff_c_is_read(tmp_path):
    block = sound(64_000)
    integers = (block * 32767).astype(np.int16)
    path = muxed(tmp_path / "s", "aiff", "adpcm_ima_qt", [integers])

    assert lag(whole(path), block) == 0
    assert probe(path).codec == "adpcm_ima_qt"


def test_gsm_is_read(tmp_path):
    frames = b"".join(bytes((0xD0 | number % 16,)) + bytes(range(32)) for number in range(50))

    assert whole(written(tmp_path, frames)).shape == (2, 50 * 160)


def test_speex_is_read(tmp_path):
    header = struct.pack(
        "<8s20s13i", b"Speex   ", b"1.2", 1, 80, 8000, 0, 4, 1, -1, 160, 0, 1, 0, 0, 0
    )
    comments = struct.pack("<I4sI", 4, b"test", 0)
    silence = bytes((0x03, 0xFF))  # sub-mode 0, and the end of the packet
    pages = [
        Page(FIRST, 0, 7, 0, bytes((len(header),)), header),
        Page(0, 0, 7, 1, bytes((len(comments),)), comments),
        Page(LAST, 8000, 7, 2, bytes((2,)) * 50, silence * 50),
    ]

    path = written(tmp_path, b"".join(page.packed() for page in pages))

    assert (probe(path).codec, probe(path).rate) == ("speex", 8000)
    assert whole(path).shape == (2, 8000)


def in_four_bytes(integers: np.ndarray, header: str) -> bytes:
    """A WAV of 24 bits in four bytes, under headers that programs write for it."""
    bits, extra = {
        "plain": (24, b""),
        "extensible": (32, struct.pack("<HHI", 22, 24, 3)),
        "extensible 24": (24, struct.pack("<HHI", 22, 24, 3)),
    }[header]
    kind = 0xFFFE if extra else 1
    if extra:
        extra += bytes.fromhex("0100000000001000800000aa00389b71")
    form = struct.pack("<HHIIHH", kind, 2, 44100, 44100 * 8, 8, bits) + extra
    data = integers.astype("<i4").tobytes()
    return b"".join(
        (
            b"RIFF" + struct.pack("<I", 20 + len(form) + len(data)) + b"WAVE",
            b"fmt " + struct.pack("<I", len(form)) + form,
            b"data" + struct.pack("<I", len(data)) + data,
        )
    )


@pytest.mark.parametrize("header", ["plain", "extensible", "extensible 24"])
@pytest.mark.parametrize("end", ["upper", "lower"])
def test_24_bits_in_four_bytes_are_exact(tmp_path, header, end):
    integers = np.rint(sound(50_000) * 2**23).astype(np.int64)
    stored = integers * 256 if end == "upper" else integers

    path = written(tmp_path, in_four_bytes(stored.T, header))

    assert np.array_equal(whole(path), integers / np.float32(2**23))
    assert probe(path).bits == 24


@pytest.mark.parametrize("lacking", range(1, 9))
def test_24_bits_in_four_bytes_may_be_cut_off_anywhere(tmp_path, lacking):
    data = in_four_bytes(np.full((100, 2), 5_000_000), "plain")[:-lacking]

    heard = whole(written(tmp_path, data))  # as many bytes as a header has are no damage

    assert heard.shape[1] in (98, 99)


def test_floats_with_full_scale_at_24_bits_are_still_read(tmp_path):
    # given what Cool Edit and Audition call "24.0 float"
    block = sound(20_000)
    stored = (block * np.float32(2**23)).T.astype("<f4").view("<i4")

    heard = whole(written(tmp_path, in_four_bytes(stored, "plain")))

    assert np.allclose(heard, block, atol=1e-6)


def test_a_later_link_of_another_rate_and_other_channels_is_joined(tmp_path):
    # given a chain of stereo at 44.1 kHz and mono at 22.05 kHz
    first = song(tmp_path, Encoding("ogg"), 44100).read_bytes()
    tone = np.sin(np.arange(22050) * 0.1)[None].astype(np.float32) / 2
    mono = muxed(tmp_path / "m.ogg", "ogg", "flac", [as_int32(tone)], rate=22050, layout="mono")

    # when it is read
    heard = whole(written(tmp_path, first + mono.read_bytes()))

    # then the second begins exactly where the first ends, at the rate of the first
    assert heard.shape == (2, 88_200)
    ideal = np.sin(np.arange(44100) * 0.05) / 2
    assert np.allclose(heard[:, 46_000:86_000], ideal[1900:41_900], atol=1e-3)


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_each_link_of_a_chain_has_its_length(tmp_path, name):
    path = tmp_path / "song.ogg"
    data = song(tmp_path, Encoding(name), 30_000, rate=48000).read_bytes()
    path.write_bytes(data)
    one = whole(path)

    heard = whole(written(tmp_path, 3 * data))

    assert one.shape == (2, 30_000)
    assert np.array_equal(heard, np.tile(one, 3))


@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_a_stream_that_begins_at_a_later_position_is_whole(tmp_path, name):
    # given a file that was cut from a longer stream: all positions are an hour later
    data = song(tmp_path, Encoding(name), 100_000, rate=48000).read_bytes()
    later = b""
    while page := unpacked(data):
        data = data[page.size :]
        at = page.position + 3600 * 48000 if page.position > 0 else page.position
        later += page._replace(position=at).packed()

    assert whole(written(tmp_path, later)).shape == (2, 100_000)


def test_the_limit_of_length_counts_all_links(tmp_path):
    data = song(tmp_path, Encoding("ogg"), 44100).read_bytes()

    with pytest.raises(LimitError, match="longer than the 2 seconds"):
        whole(written(tmp_path, 3 * data), Limits(max_seconds=2))


def spoilt_mp3(folder: Path) -> tuple[Path, np.ndarray]:
    """An MP3 with two frames overwritten in the middle, and the same before."""
    path = song(folder, Encoding("mp3", bitrate=192), 300_000)
    before = whole(path)
    data = bytearray(path.read_bytes())
    start = data.index(data[data.index(b"Info") + 591 :][:2], len(data) // 2)
    data[start + 2 : start + 1200] = bytes(1198)
    return written(folder, bytes(data)), before


def test_a_damaged_mp3_is_refused_unless_skipping_is_allowed(tmp_path):
    path, _ = spoilt_mp3(tmp_path)

    with pytest.raises(DamagedAudioError, match="broken at 0:03") as refused:
        whole(path)

    assert "--damaged skip" in refused.value.hint


def test_silence_takes_the_place_of_damaged_mp3_frames(tmp_path):
    path, before = spoilt_mp3(tmp_path)

    heard = whole(path, SKIP)

    # then time stays true: all that follows is where it was
    assert heard.shape == before.shape
    assert np.array_equal(heard[:, :140_000], before[:, :140_000])
    assert np.allclose(heard[:, 170_000:], before[:, 170_000:], atol=1e-6)


def test_the_seconds_of_silence_are_counted(tmp_path):
    path, _ = spoilt_mp3(tmp_path)

    with Recording.read_song(path, tmp_path, SKIP) as recording:
        assert 0.02 < recording.silenced < 0.2
    with Recording.read_song(song(tmp_path, Encoding("mp3")), tmp_path, SKIP) as whole_one:
        assert whole_one.silenced == 0


def test_a_song_that_is_mostly_damage_is_refused(tmp_path):
    # given an MP3 of 20 s of which a quarter is overwritten, in its middle
    path = song(tmp_path, Encoding("mp3", bitrate=192), 20 * 44_100)
    data = bytearray(path.read_bytes())
    quarter = len(data) // 4
    data[quarter : 2 * quarter] = bytes(quarter)
    spoilt = written(tmp_path, bytes(data))

    with (
        pytest.raises(DamagedAudioError, match=r"of 20\.\d s cannot be decoded"),
        SongReader(spoilt, SKIP) as reader,
    ):
        list(reader.blocks())


@pytest.mark.parametrize("name", ["flac", "ogg", "opus", "m4a"])
def test_damage_in_other_formats_is_skipped_as_well(tmp_path, name):
    path = song(tmp_path, Encoding(name), 300_000, rate=48000)
    before = whole(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    spoilt = written(tmp_path, bytes(data))

    with SongReader(spoilt, SKIP) as reader:
        heard = np.concatenate(list(reader.blocks()), axis=1)

    assert abs(heard.shape[1] - before.shape[1]) < 5000
    assert np.array_equal(heard[:, :100_000], before[:, :100_000])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"MThd" + bytes(500), "a MIDI file"),
        (b"DSD " + bytes(500), "DSD sound"),
        (b"#!AMR\n" + bytes(500), "AMR speech"),
        (b"MPCK" + bytes(500), "a Musepack file"),
        (b"PK\x03\x04" + bytes(500), "a ZIP archive"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, data, what):
    with pytest.raises(NotAudioError, match=what):
        whole(written(tmp_path, data))


def test_a_codec_that_is_not_read_is_named(tmp_path):
    data = bytearray(wav_bytes(np.zeros((1000, 2), np.int16)))
    data[20:22] = struct.pack("<H", 0x0022)  # DSP Group's TrueSpeech

    with pytest.raises(NotAudioError, match="of a kind that is not read here"):
        whole(written(tmp_path, bytes(data)))
