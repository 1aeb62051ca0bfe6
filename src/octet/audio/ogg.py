"""Ogg's pages (RFC 3533): packed, unpacked, and followed through a file to where it breaks."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octet.audio.files import SourceFile

CONTINUED, FIRST, LAST = 1, 2, 4
"""Flags of a page: it begins within a packet; its stream begins; its stream ends."""

_CAPTURE = b"OggS\0"
_HEADER = struct.Struct("<4sBBqIIIB")
_LARGEST = _HEADER.size + 255 + 255 * 255
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SOUND = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"fLaC", b"Speex   ")
"""How the first packet of a stream of sound begins."""


class Page(NamedTuple):
    """A page: flags, position at its end (-1: no packet ends on it), stream, number, contents."""

    flags: int
    position: int
    serial: int
    number: int
    lacing: bytes
    body: bytes

    @property
    def size(self) -> int:
        """Bytes of the whole page."""
        return _HEADER.size + len(self.lacing) + len(self.body)

    def packed(self) -> bytes:
        """The page's bytes, with its checksum."""
        head = _HEADER.pack(b"OggS", 0, *self[:4], 0, len(self.lacing))
        data = head + self.lacing + self.body
        return data[:22] + struct.pack("<I", _checksum(data)) + data[26:]


def unpacked(data: bytes) -> Page | None:
    """The page with which `data` begins; None if none does, or not all of it is there."""
    if len(data) < _HEADER.size or not data.startswith(_CAPTURE):
        return None
    _, _, flags, position, serial, number, checksum, segments = _HEADER.unpack_from(data)
    lacing = data[_HEADER.size : _HEADER.size + segments]
    end = _HEADER.size + segments + sum(lacing)
    if len(lacing) < segments or len(data) < end:
        return None
    if _checksum(data[:22] + bytes(4) + data[26:end]) != checksum:
        return None
    return Page(flags, position, serial, number, lacing, data[end - sum(lacing) : end])


def _checksum(data: bytes) -> int:
    """Ogg's CRC-32 (polynomial 0x04C11DB7, from 0): zlib's, with the bits in the other order."""
    backwards = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{backwards:032b}"[::-1], 2)


class Link:
    """One of the pieces that a chained file is made of, with the stream of sound in it.

    Attributes:
        start: where it begins in the file.
        end: where the next begins, or the file ends.
        serial: number of its first stream of sound; None without one.
        pages: how many pages of it say a position: the headers' say 0 and are not counted.
        position: samples at the end of the last page.
        broken: position up to which all pages are there, whole and in order; None without a gap.
    """

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self.serial: int | None = None
        self.pages = 0
        self.position = 0
        self.broken: int | None = None
        self._number = -1
        self._headers = True
        self._ended = False

    def takes(self, page: Page) -> bool:
        """Whether a page belongs here: after the first pages of streams, no other stream begins."""
        return self._headers or not page.flags & FIRST

    def add(self, page: Page) -> None:
        """Takes the next page in."""
        self._headers = bool(page.flags & FIRST)
        if self._headers and self.serial is None and page.body.startswith(_SOUND):
            self.serial = page.serial
            self._number = page.number - 1
        if page.serial != self.serial:
            return
        # Tools that edit comments do not always number the pages after them anew.
        if page.number != self._number + 1 and self.pages:
            self.breaks()
        self._number = page.number
        self._ended = bool(page.flags & LAST)
        if page.position > 0:
            self.pages += 1
            self.position = page.position

    def breaks(self) -> None:
        """Notes that something is missing from here on."""
        if self.broken is None:
            self.broken = self.position

    def close(self, end: int, rest: bytes) -> None:
        """Ends it. What follows the last page is junk only where the stream has come to its end.

        Args:
            end: of the link in the file.
            rest: the first bytes after the last page.
        """
        self.end = end
        if rest and (rest.startswith(_CAPTURE[:4]) or not self._ended):
            self.breaks()


def links(source: SourceFile) -> list[Link]:
    """The pieces of an Ogg file that hold sound, in order; none of any other file.

    All pages are read, so that a file that is cut off, or damaged anywhere, is known as such.
    """
    if source.pread(4, 0) != _CAPTURE[:4]:
        return []
    found: list[Link] = []
    end = 0
    for start, page in _pages(source):
        if found and start > end:
            found[-1].breaks()
        if not found or not found[-1].takes(page):
            if found:
                found[-1].close(start, b"")
            found.append(Link(start))
        found[-1].add(page)
        end = start + page.size
    if found:
        found[-1].close(source.size, source.pread(4, end))
    return [link for link in found if link.serial is not None]


def _pages(source: SourceFile) -> Iterator[tuple[int, Page]]:
    """All whole pages and where they begin; what lies between them is passed over."""
    place = 0
    window = b""
    begin = 0
    while place < source.size:
        if place + _LARGEST > begin + len(window):
            begin, window = place, source.pread(16 * _LARGEST, place)
        at = place - begin
        page = unpacked(window[at : at + _LARGEST])
        if page is not None:
            yield place, page
            place += page.size
            continue
        found = window.find(_CAPTURE, at + 1)
        if found >= 0:
            place = begin + found
        elif begin + len(window) >= source.size:
            return
        else:
            place = begin + len(window) - len(_CAPTURE) + 1
