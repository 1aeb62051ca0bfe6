"""What a store tells of an object besides its bytes: size, etag, type, metadata, a file name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import quote, unquote

from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PLAIN_TYPE = "application/octet-stream"
"""The type of what has no other."""

_STANDARD = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "storage-class",
}
"""Names that mean something to every store, and are no metadata."""

_HEADER_SAFE = "!#$&'()*+,-./:;<=>?@[]^_`{|}~\""


class About(TypedDict, total=False):
    """What a put keeps with an object.

    Attributes:
        content_type: its MIME type; PLAIN_TYPE unless given.
        metadata: further names and values, kept with the object.
        download_name: file name under which browsers save a presigned download.
    """

    content_type: str
    metadata: Mapping[str, str] | None
    download_name: str | None


@dataclass(frozen=True)
class ObjectEntry:
    """An object as `Bucket.list` shows it.

    `modified` is when it was last put, by the store's clock.
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class ObjectHead:
    """All about an object but its bytes.

    `etag` changes with every put and is empty where the store has none. `metadata` holds
    the names given at the put, in lower case.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def head_of(key: str, found: Any) -> ObjectHead:
    """The head of an object that obstore has found."""
    meta, attributes = found.meta, dict(found.attributes)
    return ObjectHead(
        key,
        meta["size"],
        meta["e_tag"] or "",
        meta["last_modified"],
        attributes.get("Content-Type", PLAIN_TYPE),
        {
            name.lower(): unquote(value)
            for name, value in attributes.items()
            if name.lower() not in _STANDARD
        },
    )


def check_names(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata with its names in lower case.

    Raises:
        SettingError: if a name could not be a part of a header's name, or means something.
    """
    names = {name.lower(): value for name, value in (metadata or {}).items()}
    for name in names:
        if name in _STANDARD or not name.replace("-", "").isalnum() or not name.isascii():
            raise SettingError(f"{name!a} cannot name a piece of metadata")
    return names


def attributes_of(about: About) -> dict[str, str]:
    """What is kept with an object in the form that obstore takes."""
    # Headers hold ASCII only, and their outer spaces get lost.
    names = check_names(about.get("metadata"))
    attributes = {name: quote(value, safe=_HEADER_SAFE) for name, value in names.items()}
    attributes["Content-Type"] = about.get("content_type", PLAIN_TYPE)
    if (download_name := about.get("download_name")) is not None:
        attributes["Content-Disposition"] = disposition(download_name)
    return attributes


def disposition(name: str) -> str:
    """A Content-Disposition that saves a download as `name` (RFC 6266, section 4.3)."""
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\/%' else "_" for sign in name)
    header = f'attachment; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name, safe='')}"
    return header
