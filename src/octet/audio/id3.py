"""ID3v2.4 tags, as MP3 files carry them at their beginning (https://id3.org/id3v2.4.0-structure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octet.audio.song import Cover

_FRAMES = {
    "title": b"TIT2",
    "artist": b"TPE1",
    "album": b"TALB",
    "album_artist": b"TPE2",
    "date": b"TDRC",
    "genre": b"TCON",
    "track": b"TRCK",
}
_UTF8 = b"\x03"


def id3_tag(tags: Mapping[str, str], cover: Cover | None) -> bytes:
    """The whole tag: texts in UTF-8, and the cover. Empty when there is nothing to say."""
    frames = [
        _frame(name, _UTF8 + tags[key].encode()) for key, name in _FRAMES.items() if key in tags
    ]
    if "comment" in tags:
        frames.append(_frame(b"COMM", _UTF8 + b"und" + b"\0" + tags["comment"].encode()))
    if cover is not None:
        kind = cover.mime.encode("ascii") + b"\0\x03\0"  # 3: front cover; no description
        frames.append(_frame(b"APIC", _UTF8 + kind + cover.data))
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _syncsafe(len(body)) + body if body else b""


def _frame(name: bytes, content: bytes) -> bytes:
    return name + _syncsafe(len(content)) + b"\0\0" + content


def _syncsafe(number: int) -> bytes:
    """Four bytes of seven bits each."""
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))
