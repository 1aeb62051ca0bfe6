from __future__ import annotations

import pytest

from octet.audio.files import SourceFile
from octet.audio.ogg import FIRST, LAST, Link, Page, links, unpacked
from octet.audio.song import Limits
from octet.formats import Encoding
from tests.audio.waves import song


def pages_of(data: bytes) -> list[Page]:
    pages = []
    while data:
        page = unpacked(data)
        assert page is not None
        pages.append(page)
        data = data[page.size :]
    return pages


def links_of(tmp_path, data: bytes) -> list[Link]:
    path = tmp_path / "song.ogg"
    path.write_bytes(data)
    with SourceFile(path, Limits()) as source:
        return links(source)


@pytest.fixture(params=["ogg", "opus"])
def data(request, tmp_path):
    return song(tmp_path, Encoding(request.param), 200_000).read_bytes()


def test_pages_that_others_packed_are_packed_alike(data):
    pages = pages_of(data)

    assert b"".join(page.packed() for page in pages) == data
    assert pages[0].flags == FIRST
    assert pages[-1].flags & LAST


@pytest.mark.parametrize("at", [0, 5, 23, 26, 28, 100])
def test_a_page_with_a_wrong_byte_is_none(data, at):
    spoilt = bytearray(pages_of(data)[2].packed())
    spoilt[at] ^= 1

    assert unpacked(bytes(spoilt)) is None


def test_a_whole_file_is_one_link_without_a_gap(tmp_path, data):
    (link,) = links_of(tmp_path, data)

    assert (link.start, link.end, link.broken) == (0, len(data), None)
    assert link.position == pages_of(data)[-1].position


def test_a_chain_has_a_link_for_each_stream(tmp_path, data):
    first, second = links_of(tmp_path, 2 * data)

    assert (first.start, first.end) == (0, len(data))
    assert (second.start, second.end) == (len(data), 2 * len(data))
    assert first.broken is second.broken is None


@pytest.mark.parametrize("junk", [b"\0" * 1000, b"TAG" + bytes(125), b"x" * 100_000])
def test_junk_after_the_end_of_the_stream_is_no_gap(tmp_path, data, junk):
    (link,) = links_of(tmp_path, data + junk)

    assert link.broken is None


def test_a_file_that_is_cut_off_says_where(tmp_path, data):
    pages = pages_of(data)
    before = b"".join(page.packed() for page in pages[:4])

    (link,) = links_of(tmp_path, before + pages[4].packed()[:100])

    assert link.broken == pages[3].position


def test_a_page_that_is_missing_or_spoilt_is_a_gap(tmp_path, data):
    pages = pages_of(data)
    kept = [page.packed() for page in pages]
    missing = b"".join(kept[:4] + kept[5:])
    spoilt = b"".join([*kept[:4], kept[4][:-3] + b"\0\1\2", *kept[5:]])

    assert links_of(tmp_path, missing)[0].broken == pages[3].position
    assert links_of(tmp_path, spoilt)[0].broken == pages[3].position


def test_pages_that_are_numbered_wrongly_after_the_headers_are_no_gap(tmp_path, data):
    first, *rest = pages_of(data)

    shifted = b"".join(page._replace(number=page.number + 3).packed() for page in rest)

    assert links_of(tmp_path, first.packed() + shifted)[0].broken is None


def test_what_is_no_ogg_has_no_links(tmp_path):
    assert links_of(tmp_path, song(tmp_path, Encoding("wav"), 1000).read_bytes()) == []
