"""What is known of a song: its limits, its description, its tags and its cover."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from octet.settings import SeparationSettings

KEPT = ("title", "artist", "album", "album_artist", "date", "genre", "track", "comment")
"""The tags that are carried over, by FFmpeg's names."""

LONGEST = 1000
"""Characters of a tag; what goes beyond is cut off."""

LARGEST_COVER = 8 << 20
"""Bytes of a cover; a larger one is left out."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Limits:
    """What songs are accepted. All lengths are counted on what is there, not on what headers say.

    Attributes:
        max_bytes: size of the file; None for any.
        max_seconds: length of the decoded sound; None for any.
        max_channels: channels of the sound, before they are mixed down.
        min_rate: lowest sample rate in Hz.
        max_rate: highest sample rate in Hz.
        damaged: what becomes of a song of which a part cannot be decoded: `refuse` it, or `skip`
            that part, which puts silence of the same length in its place.
    """

    max_bytes: int | None = None
    max_seconds: float | None = None
    max_channels: int = 64
    min_rate: int = 2_000
    max_rate: int = 768_000
    damaged: Literal["refuse", "skip"] = "refuse"

    @classmethod
    def from_settings(cls, settings: SeparationSettings) -> Self:
        """The limits that the settings set."""
        return cls(
            settings.max_bytes,
            settings.max_seconds,
            settings.max_channels,
            damaged=settings.damaged,
        )


@dataclass(frozen=True)
class Excerpt:
    """A part of a song, in seconds of its decoded sound; the end None is the song's own.

    Raises:
        SettingError: it begins before the song, or ends before it begins.
    """

    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < (math.inf if self.end is None else self.end):
            raise SettingError(
                f"no song has a part from {self.start:g} to {self.end} s",
                "The start comes before the end",
            )

    def samples(self, rate: int) -> tuple[int, int | None]:
        """The first sample, and the one behind the last, at `rate` Hz."""
        return round(self.start * rate), None if self.end is None else round(self.end * rate)


@dataclass(frozen=True)
class Cover:
    """The picture of a song: the bytes of a JPEG or PNG file, and which of the two it is."""

    data: bytes
    mime: str


@dataclass(frozen=True)
class SongInfo:
    """What a song's file says of itself.

    Attributes:
        container: short name of the file format: mp3, wav, flac, ogg, mp4, webm, ...
        codec: FFmpeg's name of the codec: mp3, pcm_s16le, flac, aac, ...
        rate: samples a second.
        channels: how many there are in the file, before they are mixed down.
        layout: FFmpeg's name of their arrangement: mono, stereo, 5.1, ...
        bits: of a lossless format: 8, 16, 20, 24 or 32 a sample; None for a lossy one.
        duration: seconds by the header's claim; None when it makes none.
        tags: title, artist, album, album_artist, date, genre, track and comment, where given.
        cover: the attached picture, if there is one.
    """

    container: str
    codec: str
    rate: int
    channels: int
    layout: str
    bits: int | None
    duration: float | None
    tags: dict[str, str] = field(default_factory=dict)
    cover: Cover | None = None


def clean_tags(*sources: Mapping[str, str]) -> dict[str, str]:
    """The tags that are kept, of all that files offer.

    Keys are compared without regard to case; of several sources the first that has a tag
    counts. Control characters become blanks, and very long values are cut, so that every
    format can hold every value.
    """
    offered: dict[str, str] = {}
    for source in reversed(sources):
        offered |= {key.lower(): value for key, value in source.items()}
    cleaned = {key: clean_text(offered[key]) for key in KEPT if key in offered}
    return {key: value for key, value in cleaned.items() if value}


def clean_text(text: str) -> str:
    """Text without control characters or broken Unicode, of at most `LONGEST` characters."""
    whole = text[: 4 * LONGEST].encode("utf-8", "replace").decode("utf-8")
    printable = "".join(char if char.isprintable() else " " for char in whole)
    return " ".join(printable.split())[:LONGEST].strip()


def track_tags(tags: Mapping[str, str], track: str | None) -> dict[str, str]:
    """The tags of one track of a song: its name is added to the title, in brackets."""
    named = clean_tags(tags)
    if track:
        title = named.get("title")
        named["title"] = clean_text(f"{title[: LONGEST - 50]} ({track})" if title else track)
    return named


def as_cover(data: bytes) -> Cover | None:
    """A picture as a cover, if it is a JPEG or a PNG that is not too large."""
    if not 0 < len(data) <= LARGEST_COVER:
        return None
    if data.startswith(_PNG):
        return Cover(data, "image/png")
    return Cover(data, "image/jpeg") if data.startswith(_JPEG) else None


def cover_size(cover: Cover) -> tuple[int, int]:
    """Width and height of a cover in pixels; zeros when it does not tell."""
    data = cover.data
    if cover.mime == "image/png":
        return struct.unpack(">II", data[16:24]) if len(data) >= 24 else (0, 0)
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        if data[position + 1] in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 2 + int(struct.unpack(">H", data[position + 2 : position + 4])[0])
    return 0, 0


def picture_block(cover: Cover) -> bytes:
    """A cover as FLAC's PICTURE block (RFC 9639, 8.8), which Ogg files carry as well."""
    mime = cover.mime.encode("ascii")
    width, height = cover_size(cover)
    return b"".join(
        (
            struct.pack(">II", 3, len(mime)),  # 3: front cover
            mime,
            struct.pack(">I", 0),  # no description
            struct.pack(">IIII", width, height, 24, 0),
            struct.pack(">I", len(cover.data)),
            cover.data,
        )
    )
