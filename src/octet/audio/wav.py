"""What a WAV's header says of its samples, next to what is there."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from octet.audio.source import SourceFile

_UNKNOWN = frozenset((0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF000))
"""What programs write for the size when they write to a pipe (FFmpeg, arecord, SoX)."""

_MOST_CHUNKS = 1000


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
