from __future__ import annotations

import pytest

from octet.audio.song import LARGEST_COVER, Cover, as_cover, clean_tags, cover_size, track_tags
from tests.audio.pictures import jpeg, png


def test_known_tags_are_kept_whatever_their_case():
    tags = clean_tags({"TITLE": "Song", "Artist": "Band", "encoder": "Lavf", "DATE": "1999"})

    assert tags == {"title": "Song", "artist": "Band", "date": "1999"}


def test_the_first_source_counts():
    assert clean_tags({"title": "file"}, {"TITLE": "stream", "genre": "Folk"}) == {
        "title": "file",
        "genre": "Folk",
    }


@pytest.mark.parametrize(
    ("hostile", "clean"),
    [
        ("a\0b", "a b"),
        ("line\r\nbreak\x1b[31m", "line break [31m"),
        ("\ud800half", "?half"),
        ("  ", None),
        ("x" * 10_000, "x" * 1000),
    ],
)
def test_hostile_values_become_plain_text(hostile, clean):
    assert clean_tags({"title": hostile}).get("title") == clean


def test_the_title_tells_the_track():
    assert track_tags({"title": "Song"}, "vocals") == {"title": "Song (vocals)"}
    assert track_tags({}, "vocals") == {"title": "vocals"}
    assert track_tags({"title": "Song"}, None) == {"title": "Song"}


def test_a_long_title_still_tells_the_track():
    assert track_tags({"title": "x" * 2000}, "drums")["title"].endswith("x (drums)")


def test_pictures_are_known_by_their_bytes():
    assert as_cover(jpeg(32, 16)) == Cover(jpeg(32, 16), "image/jpeg")
    assert as_cover(png(32, 16)) == Cover(png(32, 16), "image/png")
    assert as_cover(b"GIF89a") is None
    assert as_cover(b"") is None
    assert as_cover(jpeg(8, 8) + bytes(LARGEST_COVER)) is None


def test_the_size_of_a_picture_is_read():
    assert cover_size(Cover(jpeg(32, 16), "image/jpeg")) == (32, 16)
    assert cover_size(Cover(png(32, 16), "image/png")) == (32, 16)


@pytest.mark.parametrize("mime", ["image/jpeg", "image/png"])
def test_a_broken_picture_has_no_size(mime):
    stump = (jpeg(32, 16) if mime == "image/jpeg" else png(32, 16))[:12]

    assert cover_size(Cover(stump, mime)) == (0, 0)
