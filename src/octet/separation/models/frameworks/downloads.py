"""Checkpoints that Octet knows by name: in the cache, or fetched and held to their hashes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from octet.errors import ModelUnavailableError
from octet.separation.models.cache import silent
from octet.separation.models.download import download as fetch
from octet.separation.models.download import shown
from octet.separation.models.frameworks.config import Config
from octet.separation.models.spleeter.fetch import check

if TYPE_CHECKING:
    from octet.separation.models.cache import Cache, Progress
    from octet.separation.models.registry import Archive, Entry


def config_of(entry: Entry) -> Config:
    """What is known of an entry's network."""
    assert entry.network is not None  # noqa: S101  # called for the frameworks' entries alone
    return Config.read(entry.name, {**entry.network, "licence": entry.licence})


def find(entry: Entry, cache: Cache) -> Path | None:
    """The entry's checkpoint in the cache, if it is there. Its hash is not looked at."""
    path = _path(entry, cache)
    return path if path.is_file() else None


def obtain(
    entry: Entry,
    cache: Cache,
    *,
    given: Path | None = None,
    download: bool = True,
    report: Progress = silent,
) -> Path:
    """The entry's checkpoint, held to its hash: out of the cache, from `given`, or fetched.

    Raises:
        ModelUnavailableError: it is not here, and may not or cannot be fetched; or the cache
            cannot be written.
        ModelDamagedError: it is not what its hash promises.
    """
    path, archive = _path(entry, cache), _archive(entry)
    with cache.locked(path, report):
        if path.exists():
            check(path, archive)
        elif given is not None:
            check(given, archive)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as scratch:
                Path(shutil.copy(given, scratch)).replace(path)
        elif download:
            _fetch(entry.name, archive, path, report)
        else:
            raise ModelUnavailableError(
                f"{entry.name} is not on this machine", f"Fetch it: octet models pull {entry.name}"
            )
    return path


def _fetch(name: str, archive: Archive, path: Path, report: Progress) -> None:
    try:
        fetch(archive.url, path, report, sha256=archive.sha256, size=archive.bytes)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ModelUnavailableError(
            f"{shown(archive.url)} cannot be fetched ({reason})",
            f"Offline: fetch {archive.file_name} on another machine, then: "
            f"octet models pull {name} --from FILE.",
        ) from error


def _archive(entry: Entry) -> Archive:
    assert entry.archive is not None  # noqa: S101  # called for the frameworks' entries alone
    return entry.archive


def _path(entry: Entry, cache: Cache) -> Path:
    return cache.model_folder(entry.name) / _archive(entry).file_name
