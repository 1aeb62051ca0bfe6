"""FLAC, WAV, Opus and M4A as FFmpeg writes them: which codec, which header, which numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest

from octet.audio.decode import probe
from octet.audio.files import OutputFile
from octet.audio.muxed import MuxedFile, sample_kind
from octet.audio.song import Cover
from octet.formats import Encoding
from tests.audio.pictures import jpeg, png
from tests.audio.waves import encoded, sound, whole

if TYPE_CHECKING:
    from pathlib import Path

ENCODINGS = [
    (Encoding("flac", bits=16), ("flac", "flac", "s16")),
    (Encoding("flac", bits=24), ("flac", "flac", "s32")),
    (Encoding("wav", bits=16), ("wav", "pcm_s16le", "s16")),
    (Encoding("wav", bits=24), ("wav", "pcm_s24le", "s32")),
    (Encoding("wav", bits=32), ("wav", "pcm_f32le", "flt")),
    (Encoding("opus"), ("ogg", "opus", "fltp")),
    (Encoding("m4a"), ("mov,mp4,m4a,3gp,3g2,mj2", "aac", "fltp")),
]
"""With the names of FFmpeg for the container, the codec and the samples of its decoder."""


@pytest.mark.parametrize(("encoding", "names"), ENCODINGS, ids=str)
def test_a_file_is_what_its_name_says(tmp_path, encoding, names):
    path = tmp_path / f"track.{encoding.name}"
    encoded(path, sound(9_000), encoding, 48_000)

    with av.open(str(path)) as container:
        [stream] = container.streams
        context = cast("av.AudioCodecContext", stream.codec_context)
        assert (container.format.name, context.codec.canonical_name) == names[:2]
        assert context.format.name == names[2]
        assert (context.layout.nb_channels, context.sample_rate) == (2, 48_000)


@pytest.mark.parametrize("encoding", [one for one, _ in ENCODINGS], ids=str)
def test_samples_go_in_as_their_kind_says_and_the_file_stays_open(tmp_path, encoding):
    # given samples of the type and the shape that the encoding asks for
    kind = sample_kind(encoding)
    block = sound(60_000)
    frames: Any = block if kind.endswith("p") else np.ascontiguousarray(block.T)
    if kind in ("s16", "s32"):
        scale, width = (2**15, np.int16) if kind == "s16" else (2**31, np.int32)
        frames = np.rint(frames.astype(np.float64) * scale).astype(width)
    # when they are written in pieces
    file = OutputFile(tmp_path / "track")
    muxed = MuxedFile(file, encoding, 48_000, {}, None)
    axis = -1 if kind.endswith("p") else 0
    for piece in np.split(frames, [1, 1_000, 31_001], axis=axis):
        muxed.write(np.ascontiguousarray(piece))
    muxed.finish()
    # then the file can still be hashed, and both channels are what they were
    assert not file.closed
    file.complete()
    heard = whole(tmp_path / "track")
    assert heard.shape == block.shape
    for channel, meant in zip(heard, block, strict=True):
        assert np.corrcoef(channel, meant)[0, 1] > 0.9


@pytest.mark.parametrize("name", ["opus", "m4a"])
@pytest.mark.parametrize("bitrate", [64, 128, 256])
def test_a_bit_rate_is_what_the_file_has(tmp_path, name, bitrate):
    held = encoded(tmp_path / "track", sound(480_000), Encoding(name, bitrate=bitrate), 48_000)

    assert held.bytes * 8 / 10 / 1000 == pytest.approx(bitrate, rel=0.15)


@pytest.mark.parametrize("name", ["opus", "m4a"])
def test_a_lossy_format_has_a_bit_rate_of_its_own(tmp_path, name):
    encoding = Encoding(name)
    own = encoded(tmp_path / "own", sound(96_000), encoding, 48_000)
    given = Encoding(name, bitrate=encoding.format.bitrate)

    assert own.bytes == encoded(tmp_path / "given", sound(96_000), given, 48_000).bytes


@pytest.mark.parametrize("rate", [22_050, 44_100, 96_000])
def test_an_m4a_tells_its_length_in_samples(tmp_path, rate):
    path = tmp_path / "track.m4a"
    encoded(path, sound(30_011), Encoding("m4a"), rate)

    data = path.read_bytes()
    header, edits = data.index(b"mvhd") + 4, data.index(b"elst") + 4
    assert data[4:12] == b"ftypM4A "
    # ISO 14496-12, 8.2.2 and 8.6.6: time scale of the movie, length and start of its one edit
    assert int.from_bytes(data[header + 12 : header + 16]) == rate
    assert int.from_bytes(data[edits + 8 : edits + 12]) == 30_011
    assert int.from_bytes(data[edits + 12 : edits + 16]) == 1_024


def test_a_wav_has_room_for_sizes_beyond_4_gib(tmp_path):
    path = tmp_path / "track.wav"
    encoded(path, sound(900), Encoding("wav"))

    data = path.read_bytes()
    assert data[:4] == b"RIFF"
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    # EBU Tech 3306, 3.5: what becomes ds64 in a file that grew too large, 28 bytes at least
    assert data[8:16] == b"WAVEJUNK"
    assert int.from_bytes(data[16:20], "little") >= 28


@pytest.mark.parametrize("picture", [jpeg, png])
@pytest.mark.parametrize("name", ["flac", "opus", "m4a"])
def test_players_find_one_picture_of_the_right_size(tmp_path, name, picture):
    path = tmp_path / f"track.{name}"
    mime = "image/jpeg" if picture is jpeg else "image/png"

    encoded(path, sound(9_000), Encoding(name), 48_000, cover=Cover(picture(320, 200), mime))

    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams].count("audio") == 1
        [shown] = container.streams.video
        assert (shown.width, shown.height) == (320, 200)
        assert shown.codec_context.name == ("mjpeg" if picture is jpeg else "png")
        assert shown.disposition & av.stream.Disposition.attached_pic


def test_a_wav_carries_tags_but_no_cover(tmp_path: Path) -> None:
    path = tmp_path / "track.wav"

    encoded(path, sound(900), Encoding("wav"), tags={"title": "T"}, cover=Cover(b"", "image/png"))

    assert (probe(path).tags["title"], probe(path).cover) == ("T", None)
    picture = Cover(png(30, 20), "image/png")
    encoded(path, sound(900), Encoding("wav"), tags={"title": "T"}, cover=picture)
    assert (probe(path).tags["title"], probe(path).cover) == ("T", None)
