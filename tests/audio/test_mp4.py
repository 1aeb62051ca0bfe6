"""MP4 files: their tables lead to every packet, whatever there is of them, and readers find all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.audio.files import OutputFile
from octet.audio.mp4 import Mp4File, Sound, box, tag_boxes
from octet.audio.song import Cover
from tests.audio.boxes import boxes, movie, table
from tests.audio.pictures import jpeg, png

if TYPE_CHECKING:
    from pathlib import Path

RATE = 44_100


def sounds(count: int = 2, packet: int = 1024) -> list[Sound]:
    return [Sound(f"sound {number}", "aac", b"\x12\x10", packet) for number in range(count)]


def packets(sound: int, first: int, count: int) -> list[bytes]:
    """Packets that no other one is like."""
    return [
        f"<{sound}:{number}>".encode() * (number % 3 + 1) for number in range(first, first + count)
    ]


def test_every_packet_lies_where_the_tables_say(tmp_path: Path) -> None:
    # given two sounds whose packets come in turns, now more and now fewer at once
    path, both = tmp_path / "file.mp4", sounds()
    made = Mp4File(file := OutputFile(path), RATE, both)
    parts = [(0, 5), (5, 5), (10, 1), (11, 0), (11, 7)]
    for first, count in parts:
        for number, sound in enumerate(both):
            made.add(sound, packets(number, first, count))
    # when the file is ended, 100 samples before the last packet is full
    made.finish(18 * 1024 - 1024 - 100, priming=1024)
    file.complete()
    # then the tables lead to each packet, and last as long as all of them
    data = path.read_bytes()
    assert [one.kind for one in boxes(data)] == ["ftyp", "mdat", "moov"]
    for number, track in enumerate(movie(data).all("trak")):
        found, duration = table(track)
        assert [data[at : at + size] for at, size in found] == packets(number, 0, 18)
        assert duration == 18 * 1024 - 100
        # and the edit leaves the priming out
        assert track.one("edts", "elst").figures("III") == (1, 17 * 1024 - 100, 1024)
    # and only the first sound is enabled
    flags = [track.one("tkhd").body[3] for track in movie(data).all("trak")]
    assert flags == [7, 6]


@pytest.mark.parametrize("count", [0, 1])
def test_files_of_hardly_anything_have_tables_too(tmp_path: Path, count: int) -> None:
    path, one = tmp_path / "file.mp4", sounds(1)
    made = Mp4File(file := OutputFile(path), RATE, one)
    made.add(one[0], packets(0, 0, count))
    made.finish(count, priming=0)
    file.complete()

    track = movie(path.read_bytes()).one("trak")
    assert table(track).duration == count
    assert track.all("edts") == []


def test_packets_that_are_all_alike_have_their_size_once(tmp_path: Path) -> None:
    path, one = tmp_path / "file.mp4", sounds(1)
    made = Mp4File(file := OutputFile(path), RATE, one)
    made.add(one[0], [b"1234"] * 100)
    made.finish(100 * 1024, priming=0)
    file.complete()

    track = movie(path.read_bytes()).one("trak")
    assert [size for _, size in table(track).packets] == [4] * 100
    assert len(track.one("mdia", "minf", "stbl", "stsz").body) == 12


def test_places_beyond_4_gib_and_lengths_beyond_27_hours_are_told(tmp_path: Path) -> None:
    # given a file with a hole of 5 GiB, and a sound that is longer than 32 bits of samples
    path, one = tmp_path / "file.mp4", sounds(1, packet=1 << 31)
    file = OutputFile(path)
    made = Mp4File(file, RATE, one)
    made.add(one[0], packets(0, 0, 2))
    made._position = file.seek(5 << 30)
    made.add(one[0], packets(0, 2, 2))
    made.finish(4 << 31, priming=0)
    # then what stands behind the sound says so in 64 bits
    size = file.seek(0, 2)
    file.seek(24)
    head = file.read(32)
    start = head.index(b"mdat") + 24 - 4
    assert head[start - 24 : start - 20] == b"\0\0\0\1"
    sound_ends = start + int.from_bytes(head[start - 16 : start - 8])
    file.seek(sound_ends)
    moov = movie(file.read(size - sound_ends))
    found, duration = table(moov.one("trak"))
    assert [at >> 30 for at, _ in found] == [0, 0, 5, 5]
    assert duration == 4 << 31
    assert moov.one("mvhd").body[0] == moov.one("trak", "mdia", "mdhd").body[0] == 1
    assert moov.one("mvhd").figures("QQIQ") == (0, 0, RATE, 4 << 31)
    file.discard()


def test_the_tables_take_four_bytes_a_packet(tmp_path: Path) -> None:
    # given a minute of AAC, a chunk of 64 packets at a time
    path, one = tmp_path / "file.mp4", sounds(1)
    made = Mp4File(file := OutputFile(path), RATE, one)
    for first in range(0, 2560, 64):
        made.add(one[0], packets(0, first, 64))
    made.finish(2560 * 1024, priming=0)
    file.complete()

    assert sum(len(part.body) for part in [movie(path.read_bytes())]) < 4 * 2560 + 1000


@pytest.mark.parametrize(
    ("number", "shown"),
    [("3", (3, 0)), ("3/12", (3, 12)), ("", None), ("A1", None), ("3/x", None), ("70000", None)],
)
def test_a_number_of_a_track_is_a_number_or_left_out(
    number: str, shown: tuple[int, int] | None
) -> None:
    [meta] = boxes(tag_boxes({"title": "T", "track": number}, None))

    items = {item.kind: item.inside[0].body for item in meta.one("ilst").inside}
    assert items["\xa9nam"] == b"\0\0\0\1\0\0\0\0T"
    assert ("trkn" in items) == (shown is not None)
    if shown:
        assert items["trkn"][8:] == bytes((0, 0, 0, shown[0], 0, shown[1], 0, 0))


def test_a_cover_says_what_it_is() -> None:
    for picture, mime, kind in ((jpeg, "image/jpeg", 13), (png, "image/png", 14)):
        cover = Cover(picture(30, 20), mime)
        [meta] = boxes(tag_boxes({}, cover))
        data = meta.one("ilst", "covr", "data").body
        assert data == bytes((0, 0, 0, kind, 0, 0, 0, 0)) + cover.data


def test_a_box_begins_with_its_size() -> None:
    assert box("stem", b"{", b"}") == b"\0\0\0\x0astem{}"
