"""Pages of Ogg files (RFC 3533): how long the sound is, and whether the last page is whole."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from octet.audio.output import OutputFile

_LARGEST_PAGE = 27 + 255 + 255 * 255
_POLYNOMIAL = 0x04C11DB7


class Page(NamedTuple):
    """Where the last page of a file begins within its tail, and whether all of it is there."""

    start: int
    end: int
    whole: bool


def last_page(tail: bytes) -> Page | None:
    """The last page of which the tail of a file holds the beginning.

    Args:
        tail: the last bytes of the file, `tail_size` of them if there are so many.
    """
    start = tail.rfind(b"OggS\0")
    if start < 0:
        return None
    lacing = tail[start + 27 : start + 27 + tail[start + 26]] if start + 27 <= len(tail) else b""
    end = start + 27 + len(lacing) + sum(lacing)
    whole = start + 27 <= len(tail) and len(lacing) == tail[start + 26] and end <= len(tail)
    return Page(start, end, whole)


def tail_size() -> int:
    """How many bytes at the end of a file surely hold the beginning of a page."""
    return 2 * _LARGEST_PAGE


def set_length(file: OutputFile, samples: int) -> None:
    """Corrects the length that the last page states, and the page's checksum with it.

    Args:
        file: a complete file with one stream, open for reading and writing.
        samples: its length from the first sample on.
    """
    size = file.seek(0, 2)
    begin = max(0, size - tail_size())
    file.seek(begin)
    tail = file.read()
    place = last_page(tail)
    if place is None or not place.whole:
        raise ValueError("not an Ogg file")
    page = bytearray(tail[place.start : place.end])
    struct.pack_into("<q", page, 6, samples)
    struct.pack_into("<I", page, 22, 0)
    struct.pack_into("<I", page, 22, _checksum(page))
    file.seek(begin + place.start)
    file.write(page)


def _checksum(page: bytes | bytearray) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (_POLYNOMIAL if crc & 0x80000000 else 0)
        crc &= 0xFFFFFFFF
    return crc
