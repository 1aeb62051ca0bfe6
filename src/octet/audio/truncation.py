"""Lengths that headers claim, held against what is there, to find files that are cut off."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

    from octet.audio.files import SourceFile

_EXACT = {"aiff", "au", "caf", "flac", "tta", "w64", "wavpack", "ape"}
_MP3_FRAME = 1152
_VORBIS_BLOCK = 8192
_XING_REACH = 4096

_UNKNOWN = frozenset((0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000))
"""What programs write for a WAV's size when they write to a pipe (FFmpeg, arecord, SoX)."""
_MOST_CHUNKS = 1000

OGG_TAIL = 2 * (27 + 255 + 255 * 255)
"""Bytes at the end of an Ogg file that surely hold the beginning of a page."""


class Claim(NamedTuple):
    """The length by the header's claim.

    Attributes:
        samples: how many there should be, at the song's rate.
        tolerance: how many fewer are no sign of damage.
        surplus: up to how many more are the padding of an encoder, to be dropped.
    """

    samples: int
    tolerance: int
    surplus: int


def claim_of(
    source: SourceFile,
    container: InputContainer,
    stream: AudioStream,
    kind: str,
    first: int | None,
    lossless: bool,
) -> Claim | None:
    """What a song claims, or None if it makes no claim, or none that can be relied on.

    Args:
        source: its file.
        container: opened.
        stream: the sound in it.
        kind: our name of the container, see `DEMUXERS`.
        first: where in the file the first packet of sound begins, if that is known.
        lossless: whether its codec is.
    """
    stated = _stated(stream)
    if stated is None:
        return None
    if kind == "mp3":
        # Only the Xing or Info header counts frames; else FFmpeg guesses from the bit rate.
        counted = first is not None and _has_frame_count(source, first)
        return Claim(stated, 2 * _MP3_FRAME, 2 * _MP3_FRAME) if counted else None
    if kind == "ogg":
        return Claim(stated, _VORBIS_BLOCK, _VORBIS_BLOCK)
    if kind == "mp4":
        return Claim(_itunes_length(container) or stated, _MP3_FRAME, 2 * _MP3_FRAME)
    return Claim(stated, 0, 0) if kind in _EXACT and lossless else None


def _stated(stream: AudioStream) -> int | None:
    if not stream.duration or stream.time_base is None or stream.duration < 0:
        return None
    return round(stream.duration * Fraction(stream.time_base) * stream.rate)


def _has_frame_count(source: SourceFile, first: int) -> bool:
    """Whether an MP3's first packet of sound, at byte `first`, follows a count of its frames."""
    before = source.pread(min(first, _XING_REACH), max(0, first - _XING_REACH))
    place = max(before.rfind(b"Xing"), before.rfind(b"Info"))
    return place >= 0 and len(before) >= place + 8 and bool(before[place + 7] & 1)


def _itunes_length(container: InputContainer) -> int | None:
    """The length without padding that iTunes notes in a comment of its own."""
    fields = container.metadata.get("iTunSMPB", "").split()
    try:
        return int(fields[3], 16) or None
    except (IndexError, ValueError):
        return None


class DataChunk(NamedTuple):
    """Where a WAV's samples begin, and how many bytes there should be of them.

    The size is None when it was not known as the header was written.
    """

    start: int
    size: int | None


def data_chunk(source: SourceFile) -> DataChunk | None:
    """The chunk of samples, of RIFF and of RF64 (EBU Tech 3306); None of any other file."""
    start = source.pread(28, 0)
    if start[:4] not in (b"RIFF", b"RF64") or start[8:12] != b"WAVE":
        return None
    large = struct.unpack("<Q", source.pread(8, 28))[0] if start[12:16] == b"ds64" else 0
    place = 12
    for _ in range(_MOST_CHUNKS):
        header = source.pread(8, place)
        if len(header) < 8:
            return None
        size = int(struct.unpack("<I", header[4:])[0])
        if header[:4] == b"data":
            return DataChunk(place + 8, large or (None if size in _UNKNOWN else size))
        place += 8 + size + size % 2
    return None


def bytes_missing(source: SourceFile, chunk: DataChunk) -> int:
    """How many bytes of samples the header promises, but the file does not have."""
    return max(0, chunk.start + chunk.size - source.size) if chunk.size else 0


def bytes_beyond(source: SourceFile, chunk: DataChunk) -> int:
    """How many bytes follow the samples without being chunks: samples that the header denies."""
    if chunk.size is None:
        return 0
    end = chunk.start + chunk.size + chunk.size % 2
    name = source.pread(4, end)
    is_chunk = len(name) == 4 and all(0x20 <= char < 0x7F for char in name)
    return 0 if is_chunk else max(0, source.size - end)


class OggPage(NamedTuple):
    """Where the last page (RFC 3533) begins within a file's tail, and whether it is whole."""

    start: int
    end: int
    whole: bool


def last_page(tail: bytes) -> OggPage | None:
    """The last page of which the last `OGG_TAIL` bytes of a file hold the beginning."""
    start = tail.rfind(b"OggS\0")
    if start < 0:
        return None
    lacing = tail[start + 27 : start + 27 + tail[start + 26]] if start + 27 <= len(tail) else b""
    end = start + 27 + len(lacing) + sum(lacing)
    whole = start + 27 <= len(tail) and len(lacing) == tail[start + 26] and end <= len(tail)
    return OggPage(start, end, whole)


def is_cut_off(source: SourceFile) -> bool:
    """Whether an Ogg file ends within a page."""
    size = min(source.size, OGG_TAIL)
    page = last_page(source.pread(size, source.size - size))
    return page is not None and not page.whole
