"""A reader of MP4's boxes, written from ISO/IEC 14496-12 alone, to look past FFmpeg."""

from __future__ import annotations

import struct
from typing import NamedTuple


class Box(NamedTuple):
    """A box: its four letters, and what is in it."""

    kind: str
    body: bytes

    @property
    def inside(self) -> list[Box]:
        """The boxes in it."""
        return boxes(self.body[4:] if self.kind == "meta" else self.body)

    def all(self, *path: str) -> list[Box]:
        """The boxes down a path of letters."""
        found = [self]
        for kind in path:
            found = [one for box in found for one in box.inside if one.kind == kind]
        return found

    def one(self, *path: str) -> Box:
        """The only box down a path."""
        [found] = self.all(*path)
        return found

    def figures(self, form: str, start: int = 0) -> tuple[int, ...]:
        """Numbers behind version and flags, big-endian."""
        return struct.unpack_from(">" + form, self.body, 4 + start)


class Table(NamedTuple):
    """What a track says of its packets: place and size of each, and how long they last."""

    packets: list[tuple[int, int]]
    duration: int


def boxes(data: bytes) -> list[Box]:
    """The boxes of a file, or of what is in a box; they fill it to the last byte."""
    found, place = [], 0
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, place + 8)[0], 16
        assert size >= head, "a box is larger than itself"
        found.append(Box(kind.decode("latin-1"), data[place + head : place + size]))
        place += size
    assert place == len(data), "the last box is cut off"
    return found


def movie(data: bytes) -> Box:
    """The box `moov` of a file."""
    [found] = [box for box in boxes(data) if box.kind == "moov"]
    return found


def table(track: Box) -> Table:
    """The packets of a track (14496-12, 8.6.1.2, 8.7.3 to 8.7.5)."""
    tables = track.one("mdia", "minf", "stbl")
    size, count = tables.one("stsz").figures("II")
    sizes = (size,) * count if size else tables.one("stsz").figures(f"{count}I", 8)
    kind, letter = ("co64", "Q") if tables.all("co64") else ("stco", "I")
    [chunks] = tables.one(kind).figures("I")
    offsets = tables.one(kind).figures(f"{chunks}{letter}", 4)
    [runs] = tables.one("stsc").figures("I")
    held = [tables.one("stsc").figures("III", 4 + 12 * run) for run in range(runs)]
    packets: list[tuple[int, int]] = []
    for number, offset in enumerate(offsets, 1):
        place = offset
        in_chunk = [entry[1] for entry in held if entry[0] <= number][-1]
        for size in sizes[len(packets) : len(packets) + in_chunk]:
            packets.append((place, size))
            place += size
    assert len(packets) == count, "the chunks do not hold all packets"
    [spans] = tables.one("stts").figures("I")
    lasting = [tables.one("stts").figures("II", 4 + 8 * span) for span in range(spans)]
    assert sum(times for times, _ in lasting) == count
    return Table(packets, sum(times * length for times, length in lasting))
