"""A second MP3 file of the same sound: other tags, no second encoding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from octet.audio.id3 import id3_tag
from octet.audio.output import OutputFile
from octet.audio.song import track_tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from octet.audio.encode import EncodedFile
    from octet.audio.song import Cover

_HEADER = 10
_COPY = 1 << 20


def retagged(
    file: EncodedFile,
    path: Path,
    *,
    tags: Mapping[str, str] | None = None,
    cover: Cover | None = None,
    track: str | None = None,
) -> EncodedFile:
    """Writes the sound of an MP3 file of ours under another track's name.

    Args:
        file: what `Encoder` made of MP3.
        path: the new file; one that is there is overwritten.
        tags: of the song.
        cover: its picture.
        track: name of the track, added to the title.

    Raises:
        OutputError: the new file cannot be written.
    """
    target = OutputFile(path)
    try:
        target.write(id3_tag(track_tags(tags or {}, track), cover))
        with file.path.open("rb") as source:
            source.seek(_tag_bytes(source.read(_HEADER)))
            while data := source.read(_COPY):
                target.write(data)
        target.check()
        size, digest = target.complete()
    except BaseException:
        target.discard()
        raise
    return replace(file, path=path, bytes=size, sha256=digest)


def _tag_bytes(start: bytes) -> int:
    """How long the ID3v2 tag is with which a file begins; 0 without one."""
    if not start.startswith(b"ID3"):
        return 0
    size = 0
    for byte in start[6:]:  # four bytes of seven bits each
        size = size << 7 | byte
    return _HEADER + size
