"""A bucket that is a folder, durable enough to be a service's only store.

    FOLDER/KEY                the bytes
    FOLDER/.octet/about/KEY   content type and metadata, where the name alone does not say it
    FOLDER/.octet/new/*       what is being written
    FOLDER/.octet/lock        held while a name changes what it stands for

A put writes the bytes to a file of its own, synchronises it, renames it into place and
synchronises the folder: a killed process leaves the old object or the new one, and so does a
power cut, on a disk that keeps its promises. A power cut between the two steps of a put may
leave the old bytes with the new content type, until the put is made again. (On macOS fsync
hands the bytes to the drive, which may hold them in its cache for a moment longer.)

What is staged (`.staging/`) is nobody's result yet: its bytes are synchronised, its name only
once it is copied to where it belongs. After a power cut it may be gone, and is made again.
"""

# ruff: noqa: D102 - the contract of every method is in octet.storage.bucket

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import mimetypes
import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any, BinaryIO

import obstore
from obstore.store import LocalStore

from octet.errors import ObjectExistsError, ObjectMissingError, SettingError
from octet.results.keys import STAGING
from octet.storage.bucket import LinkMethod, ObjectEntry, ObjectHead
from octet.storage.errors import check_key, explained
from octet.storage.headers import PLAIN_TYPE, check_names
from octet.storage.objects import ObjectBucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path

_OWN = ".octet"
_BLOCK = 1024 * 1024


class FolderBucket(ObjectBucket):
    """A bucket in a folder of this machine, shared by any number of processes on it.

    Reading goes through obstore; writing is done here, for obstore's local store neither
    synchronises to the disk nor keeps content types. Further to the rules of every bucket,
    keys may not begin with `.octet/`, end in `#` and digits, or hold more than 200 bytes
    between slashes, and no key can be a folder of another (`a` and `a/b`).

    Args:
        folder: the bucket's folder; made by `ensure`.
        name: the bucket's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        with explained(f"the folder {name}", "create", name):
            make_folders(folder)
        super().__init__(LocalStore(folder), name, f"the folder {name}")
        self._folder = folder
        self._own = folder / _OWN

    async def ensure(self) -> None:
        with explained(self.place, "create", self.name):
            await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        """Makes the folders, and removes what killed processes were writing."""
        make_folders(self._own / "new")
        with self._locked():
            for path in (self._own / "new").iterdir():
                with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                    if _try_lock(file):
                        path.unlink()

    async def put_file(
        self,
        key: str,
        path: Path,
        *,
        content_type: str = PLAIN_TYPE,
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
    ) -> None:
        del download_name  # nobody downloads from a folder
        self._path(key)
        with await asyncio.to_thread(path.open, "rb") as source:

            def put() -> None:
                with self._new() as (file, name):
                    shutil.copyfileobj(source, file, _BLOCK)
                    _settle(file)
                    self._place(key, name, _about(key, content_type, metadata))

            with explained(self.place, "put", key):
                await asyncio.to_thread(put)

    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str = PLAIN_TYPE,
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
    ) -> int:
        del download_name
        self._path(key)
        size = 0
        with self._new() as (file, name):
            async for chunk in chunks:
                with explained(self.place, "put", key):
                    await asyncio.to_thread(file.write, chunk)
                size += len(chunk)
            with explained(self.place, "put", key):
                await asyncio.to_thread(_settle, file)
                about = _about(key, content_type, metadata)
                await asyncio.to_thread(self._place, key, name, about)
        return size

    async def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str = PLAIN_TYPE,
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> None:
        del download_name
        self._path(key)

        def put() -> None:
            with self._new() as (file, name):
                file.write(data)
                _settle(file)
                about = _about(key, content_type, metadata)
                self._place(key, name, about, if_absent=if_absent, if_match=if_match)

        with explained(self.place, "put", key):
            await asyncio.to_thread(put)

    async def head(self, key: str) -> ObjectHead:
        self._path(key)
        with explained(self.place, "look at", key):
            meta = await obstore.head_async(self._store, key)
            content_type, metadata = await asyncio.to_thread(self._read_about, key)
        etag = meta["e_tag"] or ""
        return ObjectHead(key, meta["size"], etag, meta["last_modified"], content_type, metadata)

    async def list(self, folder: str = "") -> AsyncIterator[ObjectEntry]:
        async for entry in super().list(folder):
            if not entry.key.startswith(f"{_OWN}/"):
                yield entry

    async def delete(self, key: str) -> None:
        path = self._path(key)
        with explained(self.place, "delete", key):
            await asyncio.to_thread(self._delete, key, path)

    def _delete(self, key: str, path: Path) -> None:
        with self._locked():
            if path.is_dir():
                return
            for stale in (path, self._about_path(key)):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    stale.unlink()
                    _remove_empty(stale.parent, self._folder)

    async def copy(self, source: str, target: str) -> None:
        origin, _ = self._path(source), self._path(target)

        def copy() -> None:
            about = _about(target, *self._read_about(source))
            with origin.open("rb") as old:
                fcntl.flock(old, fcntl.LOCK_SH)  # a link shares it, so `_prepare` spares it
                with self._linked(old, origin) as name:
                    self._place(target, name, about)

        try:
            with explained(self.place, "copy", source):
                await asyncio.to_thread(copy)
        except ObjectMissingError:
            raise ObjectMissingError(f"{self.place} has no object {source!r} to copy") from None

    async def presign(
        self, key: str, expires: timedelta, *, method: LinkMethod = "GET"
    ) -> str | None:
        self._path(key)
        return None

    def _checked(self, key: str) -> str:
        parts = check_key(key).split("/")
        _, mark, digits = parts[-1].rpartition("#")
        if mark and digits.isdecimal():
            raise SettingError(f"{key!r} cannot name an object in a folder: it ends in #{digits}")
        if parts[0] == _OWN or any(len(part.encode()) > 200 for part in parts) or "\\" in key:
            raise SettingError(f"{key[:80]!r} cannot name an object in a folder")
        return key

    def _path(self, key: str) -> Path:
        """The file of an object."""
        return self._folder.joinpath(*self._checked(key).split("/"))

    def _about_path(self, key: str) -> Path:
        return self._own / "about" / f"{key}.json"

    def _read_about(self, key: str) -> tuple[str, dict[str, str]]:
        try:
            about: dict[str, Any] = json.loads(self._about_path(key).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return _guess(key), {}
        return about["type"], about["metadata"]

    @contextlib.contextmanager
    def _new(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A new file that is gone afterwards unless it was moved."""
        name = self._own / "new" / uuid.uuid4().hex
        with explained(self.place, "write to", name.name):
            make_folders(name.parent)
            file = name.open("xb")
        try:
            with file:
                _try_lock(file)
                yield file, name
        finally:
            name.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _linked(self, old: BinaryIO, origin: Path) -> Iterator[Path]:
        """A second name of a file, or a copy where the file system knows no links."""
        name = self._own / "new" / uuid.uuid4().hex
        make_folders(name.parent)
        try:
            os.link(origin, name)
        except FileNotFoundError:
            raise
        except OSError:
            with self._new() as (file, name):
                shutil.copyfileobj(old, file, _BLOCK)
                _settle(file)
                yield name
            return
        try:
            yield name
        finally:
            name.unlink(missing_ok=True)

    def _place(
        self,
        key: str,
        name: Path,
        about: bytes | None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> None:
        """Makes the written and settled file the object, if it is not staged as durably as the disk
        allows.
        """
        path, beside = self._path(key), self._about_path(key)
        lasting = not key.startswith(f"{STAGING}/")
        with self._locked():
            self._check(key, path, if_absent, if_match)
            if about is not None:
                with self._new() as (other, other_name):
                    other.write(about)
                    other.flush()
                    if lasting:
                        _settle(other)
                    _move(other_name, beside, lasting=lasting)
            elif beside.exists():
                beside.unlink()
            _move(name, path, lasting=lasting)

    def _check(self, key: str, path: Path, if_absent: bool, if_match: str | None) -> None:
        if if_absent and path.exists():
            raise ObjectExistsError(f"{self.place} has an object {key!r} already")
        if if_match is not None:
            try:
                found = obstore.head(self._store, key)["e_tag"]
            except FileNotFoundError:
                raise ObjectExistsError(f"{self.place} has no object {key!r} any more") from None
            if found != if_match:
                raise ObjectExistsError(f"{self.place} has another object {key!r} by now")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Excludes every other writer of this folder, in whatever process."""
        make_folders(self._own)
        with (self._own / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def make_folders(path: Path, *, lasting: bool = True) -> None:
    """Makes a folder and those above it, durably unless they need not last."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        if lasting:
            _synchronise(folder.parent)


def _settle(file: BinaryIO) -> None:
    """Brings what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _move(name: Path, path: Path, *, lasting: bool) -> None:
    make_folders(path.parent, lasting=lasting)
    name.replace(path)
    if lasting:
        _synchronise(path.parent)


def _synchronise(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.name != _OWN:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _try_lock(file: BinaryIO) -> bool:
    """Whether no living process writes this file; from now on this one does."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _guess(key: str) -> str:
    return mimetypes.guess_type(key)[0] or PLAIN_TYPE


def _about(key: str, content_type: str, metadata: Mapping[str, str] | None) -> bytes | None:
    """What to keep beside the object; None if its name says it all."""
    names = check_names(metadata)
    if content_type == _guess(key) and not names:
        return None
    return json.dumps({"type": content_type, "metadata": names}).encode()
