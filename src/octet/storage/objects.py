"""Buckets of object stores (S3, MinIO, Ceph, Google, Azure), through obstore."""

# ruff: noqa: D102 - the contract of every method is in octet.storage.bucket

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import obstore
from obstore.exceptions import BaseError, NotSupportedError
from obstore.store import AzureStore, GCSStore, S3Store

from octet.errors import (
    ObjectExistsError,
    ObjectMissingError,
    SettingError,
    StorageError,
    StorageUnavailableError,
)
from octet.storage.bucket import CHUNK, Bucket, LinkMethod, ObjectEntry, ObjectHead
from octet.storage.download import save
from octet.storage.errors import check_key, explained, lies_beyond, not_implemented, was_retried
from octet.storage.headers import PLAIN_TYPE, STANDARD, attributes_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
    from datetime import timedelta
    from pathlib import Path

    from obstore import GetOptions, PutMode
    from obstore.store import ObjectStore

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 3
_CONDITIONAL_TRIES = 3


class ObjectBucket(Bucket):
    """A bucket behind an obstore store.

    Args:
        store: where the objects are.
        name: the bucket's name.
        place: what to call it in messages.
        retries: how often in a row a read that broke on the way is taken up again; obstore
            itself retries what fails at once.
        public: a store with the same keys behind another address, for presigned links.
    """

    def __init__(
        self,
        store: ObjectStore,
        name: str,
        place: str,
        *,
        retries: int = 4,
        public: ObjectStore | None = None,
    ) -> None:
        self.name = name
        self.place = place
        self._store: Any = store
        self._public: Any = public or store
        self._retries = retries

    async def ensure(self) -> None:
        with explained(self.place, "list", ""):
            async for _ in obstore.list(self._store, chunk_size=1):
                return

    async def put_file(
        self,
        key: str,
        path: Path,
        *,
        content_type: str = PLAIN_TYPE,
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
    ) -> None:
        self._checked(key)
        await asyncio.to_thread(path.stat)
        with explained(self.place, "put", key):
            await obstore.put_async(
                self._store,
                key,
                path,
                attributes=attributes_of(content_type, metadata, download_name),
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )

    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str = PLAIN_TYPE,
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
    ) -> int:
        counted = _Counted(chunks)
        with explained(self.place, "put", self._checked(key)):
            try:
                await obstore.put_async(
                    self._store,
                    key,
                    aiter(counted),
                    attributes=attributes_of(content_type, metadata, download_name),
                    chunk_size=_PART,
                    max_concurrency=_PARTS_AT_ONCE,
                )
            except Exception:
                if counted.error is None:
                    raise
        if counted.error is not None:
            raise counted.error
        return counted.size

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
        self._checked(key)
        attributes = attributes_of(content_type, metadata, download_name)
        if not if_absent and if_match is None:
            with explained(self.place, "put", key):
                await obstore.put_async(self._store, key, data, attributes=attributes)
            return
        for attempt in range(_CONDITIONAL_TRIES):
            try:
                version = await self._check_condition(key, if_match)
            except ObjectExistsError:
                # The try before may have arrived although its answer was lost.
                if attempt and await self.get_bytes(key) == data:
                    return
                raise
            try:
                await self._put_if(key, data, attributes, if_match, version)
            except StorageUnavailableError:
                if attempt + 1 == _CONDITIONAL_TRIES:
                    raise
                await back_off(attempt)
            else:
                return

    async def _put_if(
        self,
        key: str,
        data: bytes,
        attributes: dict[str, str],
        etag: str | None,
        version: str | None,
    ) -> None:
        """One try of a put on the condition that the object has this etag, or is absent."""
        # Ceph before 18 compares the header with its own etag, which has no quotes.
        tags = [None] if etag is None else [etag, etag.strip('"')]
        for tag in tags:
            mode: PutMode = "create"
            if tag is not None:
                mode = {"e_tag": tag, "version": version} if version else {"e_tag": tag}
            with explained(self.place, "put", key):
                try:
                    await obstore.put_async(
                        self._store, key, data, attributes=attributes, mode=mode
                    )
                except (BaseError, NotImplementedError) as error:
                    if isinstance(error, NotSupportedError) or not_implemented(error):
                        await obstore.put_async(self._store, key, data, attributes=attributes)
                        return
                    if was_retried(error) and await self.get_bytes(key) == data:
                        return
                    if tag is tags[-1] or "status code: 412" not in str(error):
                        raise
                else:
                    return
            await self._check_condition(key, etag)

    def _checked(self, key: str) -> str:
        """The key, if it can name an object in this store. See Bucket."""
        return check_key(key)

    async def _check_condition(self, key: str, etag: str | None) -> str | None:
        """The object's version, where the store has such, if the condition holds."""
        try:
            with explained(self.place, "look at", key):
                found = await obstore.head_async(self._store, key)
        except ObjectMissingError:
            if etag is None:
                return None
            raise ObjectExistsError(f"{self.place} has no object {key!r} any more") from None
        if etag is None:
            raise ObjectExistsError(f"{self.place} has an object {key!r} already")
        if found["e_tag"] != etag:
            raise ObjectExistsError(f"{self.place} has another object {key!r} by now")
        return found["version"]

    async def head(self, key: str) -> ObjectHead:
        with explained(self.place, "look at", self._checked(key)):
            found = await obstore.get_async(self._store, key, options={"head": True})
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
                if name.lower() not in STANDARD
            },
        )

    async def get_bytes(self, key: str, *, limit: int | None = None) -> bytes:
        if limit is not None:
            check_limit(self.place, await self.head(key), limit)
        return b"".join([chunk async for chunk in self.stream(key)])

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return b"".join([chunk async for chunk in self.stream(key, start, end)])

    async def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk: int = CHUNK
    ) -> AsyncIterator[bytes]:
        self._checked(key)
        if start < 0 or (end is not None and end < start) or chunk < 1:
            raise SettingError(f"there are no bytes from {start} to {end}")
        position, etag, failures = start, None, 0
        while (opened := await self._open(key, position, end, etag)) is not None:
            etag = opened.meta["e_tag"]
            try:
                async for piece in self._pieces(opened, key, chunk):
                    yield piece
                    position += len(piece)
                    failures = 0
            except StorageUnavailableError:
                failures += 1
                if failures > self._retries:
                    raise
                await back_off(failures)
            else:
                return

    async def _pieces(self, opened: Any, key: str, chunk: int) -> AsyncIterator[bytes]:
        """The body of one answer.

        Raises:
            StorageUnavailableError: if it breaks off.
        """
        start, stop = opened.range
        with explained(self.place, "read", key):
            async for piece in opened.stream(min_chunk_size=chunk):
                start += len(piece)
                yield bytes(piece)
        if start < stop:
            raise StorageUnavailableError(f"{self.place} broke off {stop - start} bytes of {key!r}")

    async def _open(self, key: str, start: int, end: int | None, etag: str | None) -> Any:
        """Begins a read; None if there is nothing from `start` on."""
        options: GetOptions = {"if_match": etag} if etag else {}
        if end is not None and start >= end:
            await self.head(key)
            return None
        if end is not None:
            options["range"] = (start, end)
        elif start:
            options["range"] = {"offset": start}
        try:
            with explained(self.place, "read", key):
                try:
                    return await obstore.get_async(self._store, key, options=options)
                except BaseError as error:
                    if lies_beyond(error):
                        return None
                    raise
        except ObjectExistsError:
            raise StorageError(f"{key!r} in {self.place} was replaced while it was read") from None

    async def download(
        self,
        key: str,
        path: Path,
        *,
        limit: int | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ObjectHead:
        head = await self.head(key)
        if limit is not None:
            check_limit(self.place, head, limit)
        await save(self.stream(key), path, head.size, on_progress)
        return head

    async def list(self, folder: str = "") -> AsyncIterator[ObjectEntry]:
        prefix = check_key(folder.rstrip("/")) if folder.rstrip("/") else None
        with explained(self.place, "list", folder):
            async for page in obstore.list(self._store, prefix, chunk_size=500):
                for meta in page:
                    yield ObjectEntry(meta["path"], meta["size"], meta["last_modified"])

    async def delete(self, key: str) -> None:
        try:
            with explained(self.place, "delete", self._checked(key)):
                await obstore.delete_async(self._store, key)
        except ObjectMissingError:
            return

    async def copy(self, source: str, target: str) -> None:
        self._checked(target)
        try:
            with explained(self.place, "copy", self._checked(source)):
                await obstore.copy_async(self._store, source, target)
        except ObjectMissingError:
            raise ObjectMissingError(f"{self.place} has no object {source!r} to copy") from None

    async def presign(
        self, key: str, expires: timedelta, *, method: LinkMethod = "GET"
    ) -> str | None:
        self._checked(key)
        if not isinstance(self._public, S3Store | GCSStore | AzureStore):
            return None
        with explained(self.place, "sign a link to", key):
            link: str = await obstore.sign_async(self._public, method, key, expires)
        return link


class _Counted:
    """Hands an iterator on, counts its bytes, and keeps the error that it ends with."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self.chunks = chunks
        self.size = 0
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.chunks:
                self.size += len(chunk)
                yield chunk
        except Exception as error:
            self.error = error
            raise


def check_limit(place: str, head: ObjectHead, limit: int) -> None:
    """Refuses an object that is larger than allowed.

    Raises:
        StorageError: if it is.
    """
    if head.size > limit:
        raise StorageError(
            f"{head.key!r} in {place} has {head.size} bytes, more than the {limit} allowed"
        )


async def back_off(attempt: int) -> None:
    """Waits before the next try: 0.1 s, doubling up to 5 s, less up to half at random."""
    await asyncio.sleep(min(5.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
