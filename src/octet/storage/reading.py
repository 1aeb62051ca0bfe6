"""Reading an object: its chunks, over broken connections, and into a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path
from secrets import SystemRandom
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError

from octet.errors import (
    ObjectExistsError,
    OutputError,
    SettingError,
    StorageError,
    StorageUnavailableError,
)
from octet.storage.errors import explained, lies_beyond

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obstore import GetOptions

CHUNK = 1024 * 1024
"""Bytes of a chunk, unless asked otherwise."""


class Reading:
    """The bytes of one version of an object, from `start` up to but not including `end`.

    Args:
        store: obstore's.
        place: what to call the bucket in messages.
        key: the object.
        start, end: bytes; None is the object's end.
        chunk: bytes of a chunk, about.
        retries: how often in a row a connection that broke is made again where it broke.
        limit: largest size of the object.
        etag: the version to read; empty for the present one.

    Attributes:
        etag: the version that is read, once the first chunk has come; empty where there are none.

    Raises:
        SettingError: if start is negative or end lies before it.
    """

    def __init__(
        self,
        store: Any,
        place: str,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        chunk: int = CHUNK,
        retries: int,
        limit: int | None = None,
        etag: str = "",
    ) -> None:
        if start < 0 or (end is not None and end < start) or chunk < 1:
            raise SettingError(f"there are no bytes from {start} to {end}")
        self.etag = etag
        self._store, self._place, self._key = store, place, key
        self._position, self._end = start, end
        self._chunk, self._retries, self._limit = chunk, retries, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The chunks, to be read once.

        Raises:
            ObjectMissingError: if there is no such object.
            StorageUnavailableError: if the connection breaks too often.
            StorageError: if the object is larger than the limit, or is replaced on the way.
        """
        failures = 0
        while (opened := await self._open()) is not None:
            try:
                async for piece in self._pieces(opened):
                    yield piece
                    self._position += len(piece)
                    failures = 0
            except StorageUnavailableError:
                failures += 1
                if failures > self._retries:
                    raise
                await back_off(failures)
            else:
                return

    async def _open(self) -> Any:
        """Begins to read at the position; None if there is nothing from there on."""
        start, end = self._position, self._end
        options: GetOptions = {"if_match": self.etag} if self.etag else {}
        if end is not None and start >= end:
            with explained(self._place, "look at", self._key):
                await obstore.head_async(self._store, self._key)
            return None
        if end is not None:
            options["range"] = (start, end)
        elif start:
            options["range"] = {"offset": start}
        try:
            with explained(self._place, "read", self._key):
                try:
                    opened = await obstore.get_async(self._store, self._key, options=options)
                except BaseError as error:
                    if lies_beyond(error):
                        return None
                    raise
        except ObjectExistsError:
            raise StorageError(
                f"{self._key!r} in {self._place} was replaced while it was read"
            ) from None
        size, self.etag = opened.meta["size"], opened.meta["e_tag"] or ""
        if self._limit is not None and size > self._limit:
            raise StorageError(
                f"{self._key!r} in {self._place} has {size} bytes,"
                f" more than the {self._limit} allowed"
            )
        return opened

    async def _pieces(self, opened: Any) -> AsyncIterator[bytes]:
        """The body of one answer; raises StorageUnavailableError if it breaks off."""
        start, stop = opened.range
        with explained(self._place, "read", self._key):
            async for piece in opened.stream(min_chunk_size=self._chunk):
                start += len(piece)
                yield bytes(piece)
        if start < stop:
            raise StorageUnavailableError(
                f"{self._place} broke off {stop - start} bytes of {self._key!r}"
            )


async def save(reading: Reading, path: Path, size: int) -> None:
    """Writes chunks to a temporary file next to `path`, then renames it.

    After a failure nothing is left behind. The file is not synchronised to the disk: what is
    fetched can be fetched again.

    Args:
        reading: the bytes.
        path: the file; replaced if it is there. Its folder must exist.
        size: the number of bytes there must be.

    Raises:
        StorageError: if there are more or fewer bytes.
        OutputError: if the file cannot be written: this machine's fault, not the store's.
    """
    done = 0
    try:
        descriptor, name = await asyncio.to_thread(
            tempfile.mkstemp, prefix=".", suffix=".part", dir=path.parent
        )
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            async for chunk in reading:
                await asyncio.to_thread(file.write, chunk)
                done += len(chunk)
        if done != size:
            raise StorageError(f"{path.name} came with {done} bytes instead of {size}")
        await asyncio.to_thread(Path(name).replace, path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write to {path}: {error.strerror or error}",
        "check the folder's permissions and the space left on its disk",
    )


async def back_off(attempt: int) -> None:
    """Waits before the next try: 0.1 s, doubling up to 5 s, less up to half at random."""
    await asyncio.sleep(min(5.0, 0.1 * 2**attempt) * SystemRandom().uniform(0.5, 1.0))
