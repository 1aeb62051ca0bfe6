"""A bucket that is a folder, durable enough to be a service's only store.

    FOLDER/KEY                the bytes
    FOLDER/.octet/about/KEY   content type, where the name alone does not say it
    FOLDER/.octet/new/*       what is being written
    FOLDER/.octet/lock        held while a name changes what it stands for

A put writes the bytes to a file of its own, synchronises it, renames it into place and
synchronises the folder: a killed process leaves the old object or the new one, and so does a
power cut, on a disk that keeps its promises. A power cut between the two steps of a put may
leave the old bytes with the new content type, until the put is made again. (On macOS fsync
hands the bytes to the drive, which may hold them in its cache for a moment longer.)

Keys that begin with a dot are temporary (a staging area): their bytes are synchronised, their
names are not. After a power cut such an object may be gone; its copy under another key stays.
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
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Unpack

import obstore
from obstore.store import LocalStore

from octet.errors import ObjectMissingError, SettingError
from octet.storage.bucket import Bucket
from octet.storage.conditional import changed
from octet.storage.errors import check_key, explained
from octet.storage.headers import PLAIN_TYPE, About, ObjectEntry, ObjectHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterator
    from pathlib import Path

_OWN = ".octet"
_BLOCK = 1024 * 1024


class FolderBucket(Bucket):
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

    async def put_file(self, key: str, path: Path, **about: Unpack[About]) -> None:
        self._path(key)
        with await asyncio.to_thread(path.open, "rb") as source:
            await self._write(key, source, about)

    async def put_stream(
        self, key: str, chunks: AsyncIterable[bytes], **about: Unpack[About]
    ) -> int:
        self._path(key)
        size = 0
        with self._new() as (file, name):
            async for chunk in chunks:
                with explained(self.place, "put", key):
                    await asyncio.to_thread(file.write, chunk)
                size += len(chunk)
            with explained(self.place, "put", key):
                await asyncio.to_thread(_to_disk, file)
                await asyncio.to_thread(self._place, key, name, about)
        return size

    async def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        **about: Unpack[About],
    ) -> None:
        self._path(key)
        await self._write(key, BytesIO(data), about, if_absent, if_match)

    async def _write(
        self,
        key: str,
        source: BinaryIO,
        about: About,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> None:
        def put() -> None:
            with self._new() as (file, name):
                shutil.copyfileobj(source, file, _BLOCK)
                _to_disk(file)
                self._place(key, name, about, if_absent, if_match)

        with explained(self.place, "put", key):
            await asyncio.to_thread(put)

    async def head(self, key: str) -> ObjectHead:
        self._path(key)
        with explained(self.place, "look at", key):
            meta = await obstore.head_async(self._store, key)
            content_type = await asyncio.to_thread(self._type_of, key)
        return ObjectHead(
            key, meta["size"], meta["last_modified"], meta["e_tag"] or "", content_type
        )

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
            about: About = {"content_type": self._type_of(source)}
            with origin.open("rb") as old:
                fcntl.flock(old, fcntl.LOCK_SH)  # a link shares it, so `_prepare` spares it
                with self._linked(old, origin) as name:
                    self._place(target, name, about)

        try:
            with explained(self.place, "copy", source):
                await asyncio.to_thread(copy)
        except ObjectMissingError:
            raise ObjectMissingError(f"{self.place} has no object {source!r} to copy") from None

    async def room(self) -> int:
        with explained(self.place, "look at", self.name):
            return (await asyncio.to_thread(shutil.disk_usage, self._folder)).free

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

    def _type_of(self, key: str) -> str:
        try:
            return str(json.loads(self._about_path(key).read_bytes())["type"])
        except (FileNotFoundError, NotADirectoryError):
            return _guess(key)

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
                _to_disk(file)
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
        about: About,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> None:
        """Makes the file, whose bytes are on the disk, the object; temporary ones less durably."""
        path, about_path, kept = self._path(key), self._about_path(key), _kept(key, about)
        durable = not key.startswith(".")
        with self._locked():
            self._check(key, path, if_absent, if_match)
            if kept is not None:
                with self._new() as (other, other_name):
                    other.write(kept)
                    other.flush()
                    if durable:
                        _to_disk(other)
                    _move(other_name, about_path, durable=durable)
            elif about_path.exists():
                about_path.unlink()
            _move(name, path, durable=durable)

    def _check(self, key: str, path: Path, if_absent: bool, if_match: str | None) -> None:
        if if_absent and path.exists():
            raise changed(self.place, key, "")
        if if_match is not None:
            try:
                found = obstore.head(self._store, key)["e_tag"]
            except FileNotFoundError:
                raise changed(self.place, key, None) from None
            if found != if_match:
                raise changed(self.place, key, found)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Excludes every other writer of this folder, in whatever process."""
        make_folders(self._own)
        with (self._own / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def make_folders(path: Path, *, durable: bool = True) -> None:
    """Makes a folder and those above it."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        if durable:
            _synchronise(folder.parent)


def _to_disk(file: BinaryIO) -> None:
    """Brings what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _move(name: Path, path: Path, *, durable: bool) -> None:
    make_folders(path.parent, durable=durable)
    name.replace(path)
    if durable:
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


def _kept(key: str, about: About) -> bytes | None:
    """What to keep apart from the bytes, as JSON; None if the key's ending says it all."""
    content_type = about.get("content_type", PLAIN_TYPE)
    return None if content_type == _guess(key) else json.dumps({"type": content_type}).encode()
