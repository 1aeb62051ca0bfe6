"""What a store tells of an object besides its bytes: size, etag, type, a file name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import quote

if TYPE_CHECKING:
    from datetime import datetime

PLAIN_TYPE = "application/octet-stream"
"""The type of what has no other."""


class About(TypedDict, total=False):
    """What a put keeps with an object.

    Attributes:
        content_type: its MIME type; PLAIN_TYPE unless given.
        download_name: file name under which browsers save a presigned download.
    """

    content_type: str
    download_name: str


@dataclass(frozen=True)
class ObjectEntry:
    """An object as `Bucket.list` shows it.

    `modified` is when it was last put, by the store's clock.
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class ObjectHead(ObjectEntry):
    """All about an object but its bytes.

    `etag` changes with every put and is empty where the store has none.
    """

    etag: str
    content_type: str


def attributes_of(about: About) -> dict[str, str]:
    """What is kept with an object in the form that obstore takes."""
    attributes = {"Content-Type": about.get("content_type", PLAIN_TYPE)}
    if "download_name" in about:
        attributes["Content-Disposition"] = disposition(about["download_name"])
    return attributes


def disposition(name: str) -> str:
    """A Content-Disposition that saves a download as `name` (RFC 6266, section 4.3)."""
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\/%' else "_" for sign in name)
    header = f'attachment; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name, safe='')}"
    return header
