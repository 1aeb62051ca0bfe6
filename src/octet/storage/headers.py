"""What is kept with an object besides its bytes: content type, metadata, a file name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from octet.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN_TYPE = "application/octet-stream"
"""The type of what has no other."""

STANDARD = {
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "storage-class",
}
"""Names that mean something to every store, and are no metadata."""

_HEADER_SAFE = "!#$&'()*+,-./:;<=>?@[]^_`{|}~\""


def check_names(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata with its names in lower case.

    Raises:
        SettingError: if a name could not be a part of a header's name, or means something.
    """
    names = {name.lower(): value for name, value in (metadata or {}).items()}
    for name in names:
        if name in STANDARD or not name.replace("-", "").isalnum() or not name.isascii():
            raise SettingError(f"{name!a} cannot name a piece of metadata")
    return names


def attributes_of(
    content_type: str, metadata: Mapping[str, str] | None, download_name: str | None
) -> dict[str, str]:
    """Content type, metadata and file name in the form that obstore takes."""
    attributes = {name: _header(value) for name, value in check_names(metadata).items()}
    attributes["Content-Type"] = content_type
    if download_name is not None:
        attributes["Content-Disposition"] = disposition(download_name)
    return attributes


def _header(value: str) -> str:
    # Headers hold ASCII only, and their outer spaces get lost.
    return quote(value, safe=_HEADER_SAFE)


def disposition(name: str) -> str:
    """A Content-Disposition that saves a download as `name` (RFC 6266, section 4)."""
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\/%' else "_" for sign in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
