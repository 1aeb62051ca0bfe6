"""Spleeter's models on this machine: fetched, held to their hashes, written as ONNX, once.

A model's folder in the cache then holds the network and Deezer's notice, and no longer what they
came in.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.cache import silent
from octet.separation.models.onnx import read_spec, write_spec
from octet.separation.models.spec import About
from octet.separation.models.spleeter import fetch, network
from octet.separation.models.spleeter.wheel import read_wheel

if TYPE_CHECKING:
    from octet.separation.models.cache import Cache, Progress
    from octet.separation.models.registry import Entry
    from octet.separation.models.spec import ModelSpec

VERSION = 1
"""Part of the file's name: raise it when the network is written otherwise."""

NOTICE = "NOTICE.txt"


def cached(entry: Entry, cache: Cache) -> tuple[Path, ModelSpec] | None:
    """The model's file, if it is in the cache and whole."""
    path = _path(entry, cache)
    with contextlib.suppress(ModelDamagedError):
        spec = read_spec(path) if path.exists() else None
        if spec is not None:
            return path, spec
    return None


def obtain(
    entry: Entry,
    cache: Cache,
    *,
    given: Path | None = None,
    download: bool = True,
    report: Progress = silent,
) -> tuple[Path, ModelSpec]:
    """The model's file: out of the cache, or made of what `given`, the cache or the net has.

    Two processes that want the same one make it once: the second waits.

    Args:
        entry: of the registry.
        cache: where it is kept.
        given: the archive, if it is at hand.
        download: whether it may be fetched.
        report: told of the progress.

    Raises:
        ModelUnavailableError: it is not here, and may not or cannot be fetched; or the cache
            cannot be written.
        ModelDamagedError: the archive is not what its hash promises.
    """
    found = cached(entry, cache)
    if found:
        return found
    path = _path(entry, cache)
    with cache.locked(path, report):
        found = cached(entry, cache)
        if found:
            return found
        for left in path.parent.glob(".part-*"):
            shutil.rmtree(left, ignore_errors=True)  # of a process that was killed
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as scratch:
            archive = _archive(entry, given or path.parent / _archive_name(entry), given is None)
            if archive is None and not download:
                raise ModelUnavailableError(
                    f"{entry.name} is not on this machine",
                    f"Fetch it: octet models pull {entry.name}",
                )
            made = _make(entry, archive, Path(scratch), report)
            (path.parent / NOTICE).write_text(entry.notice, encoding="utf-8")
            made.replace(path)
    found = cached(entry, cache)
    if found is None:
        raise ModelDamagedError(f"{path} was damaged while it was made", "Try again.")
    return found


def _archive_name(entry: Entry) -> str:
    assert entry.archive is not None  # noqa: S101  # Spleeter's entries have one
    return entry.archive.file_name


def _archive(entry: Entry, path: Path, optional: bool) -> Path | None:
    """The archive at this path, once it has been held to its hash."""
    assert entry.archive is not None  # noqa: S101  # Spleeter's entries have one
    if optional and not path.exists():
        return None
    fetch.check(path, entry.archive)
    return path


def _make(entry: Entry, archive: Path | None, scratch: Path, report: Progress) -> Path:
    """Writes the network into `scratch`."""
    assert entry.archive is not None  # noqa: S101  # Spleeter's entries have one
    if archive is None:
        archive = fetch.fetch(entry.archive, scratch, report, keep=scratch.parent)
    report(f"building {entry.name}", 0, 1)
    variant = network.TWO
    target = scratch / "network.onnx"
    network.build(variant, read_wheel(archive)).write(target)
    write_spec(target, network.describe(variant, About(entry.name, entry.licence, entry.source)))
    report(f"building {entry.name}", 1, 1)
    return target


def _path(entry: Entry, cache: Cache) -> Path:
    # A colon is no part of a file's name everywhere.
    name = entry.name.replace(":", "-")
    return cache.model_folder(name) / f"{name}-v{VERSION}.onnx"
