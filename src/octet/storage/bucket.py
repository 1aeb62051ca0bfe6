"""A bucket: named objects of bytes, put whole and read in ranges, through obstore."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Unpack

import obstore
from obstore.store import AzureStore, GCSStore, S3Store

from octet.errors import ObjectMissingError
from octet.storage.conditional import ConditionalPut
from octet.storage.errors import check_key, explained
from octet.storage.headers import PLAIN_TYPE, About, ObjectEntry, ObjectHead, attributes_of
from octet.storage.reading import CHUNK, Reading, save

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from datetime import timedelta
    from pathlib import Path

    from obstore.store import ObjectStore

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 3
_MOST_PARTS = 9_000
"""Parts of an upload; S3 takes 10,000."""


class Bucket:
    """One bucket of a store (S3, MinIO, Ceph, Google, Azure; a local folder: FolderBucket).

    Every put is atomic: readers see the whole old object or the whole new one, and an
    upload that fails or is killed shows nothing. When a put returns, the object is as
    durable as the store makes it (a local folder: synchronised to the disk).

    Keys are relative paths with `/` between segments. All methods raise SettingError for a
    key with an empty, `.` or `..` segment, a leading slash or a control character;
    StorageUnavailableError if the store does not answer after a bounded number of tries;
    StorageFullError, ObjectTooLargeError or StorageRefusedError if it answers and does not do
    what is asked; and the others as each says.

    Args:
        store: obstore's, where the objects are.
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
        """Creates the bucket where it is missing and the store can be asked to.

        Raises:
            StorageError: if it is missing and cannot be created.
        """
        with explained(self.place, "list", ""):
            async for _ in obstore.list(self._store, chunk_size=1):
                return

    async def put_file(self, key: str, path: Path, **about: Unpack[About]) -> None:
        """Puts a file, in parts if it is large, without holding it in memory.

        Args:
            key: the object; replaced if it is there.
            path: the file.
            about: see About.

        Raises:
            FileNotFoundError: if there is no such file.
        """
        self._checked(key)
        size = (await asyncio.to_thread(path.stat)).st_size
        with explained(self.place, "put", key):
            await self._put(key, path, attributes_of(about), size)

    async def put_stream(
        self, key: str, chunks: AsyncIterable[bytes], **about: Unpack[About]
    ) -> int:
        """Puts what an iterator yields, as it comes; nothing is kept if the iterator raises.

        The iterator's own exception passes through unchanged.

        Returns:
            The number of bytes.
        """
        return await self._put_chunks(self._checked(key), chunks, attributes_of(about))

    async def _put_chunks(
        self, key: str, chunks: AsyncIterable[bytes], attributes: dict[str, str], size: int = 0
    ) -> int:
        counted = _Counted(chunks)
        with explained(self.place, "put", key):
            try:
                await self._put(key, aiter(counted), attributes, size)
            except Exception:
                if counted.error is None:
                    raise
        if counted.error is not None:
            raise counted.error
        return counted.size

    async def _put(self, key: str, source: Any, attributes: dict[str, str], size: int = 0) -> None:
        await obstore.put_async(
            self._store,
            key,
            source,
            attributes=attributes,
            chunk_size=max(_PART, size // _MOST_PARTS),
            max_concurrency=_PARTS_AT_ONCE,
        )

    async def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        **about: Unpack[About],
    ) -> None:
        """Puts bytes.

        Args:
            key: the object; replaced if it is there, unless a condition forbids it.
            data: its bytes.
            if_absent: put only if there is no such object. One atomic step where the store
                knows conditional puts (local folder, S3, Ceph, MinIO, Google, Azure).
                A store that ignores or refuses the condition is asked for the object first,
                which leaves a moment in which two writers can both succeed.
            if_match: put only if the object still has this etag; the same holds.
            about: see About.

        Raises:
            ObjectExistsError: if the condition does not hold.
        """
        self._checked(key)
        attributes = attributes_of(about)
        if if_absent or if_match is not None:
            put = ConditionalPut(self._store, self.place, key, data, attributes, if_match)
            await put.run()
            return
        with explained(self.place, "put", key):
            await obstore.put_async(self._store, key, data, attributes=attributes)

    def _checked(self, key: str) -> str:
        """The key, if it can name an object in this store. See the class."""
        return check_key(key)

    async def head(self, key: str) -> ObjectHead:
        """What the store knows about an object.

        Raises:
            ObjectMissingError: if there is no such object.
        """
        with explained(self.place, "look at", self._checked(key)):
            found = await obstore.get_async(self._store, key, options={"head": True})
        meta, content_type = found.meta, found.attributes.get("Content-Type", PLAIN_TYPE)
        return ObjectHead(
            key, meta["size"], meta["last_modified"], meta["e_tag"] or "", content_type
        )

    async def read(self, key: str, *, limit: int | None = None) -> tuple[bytes, str]:
        """A whole object, for small ones, and the etag of this very version.

        The etag is for `put_bytes(if_match=...)`; empty where the store has none.

        Raises:
            ObjectMissingError: if there is no such object.
            StorageError: if it has more than `limit` bytes.
        """
        reading = self._reading(key, limit=limit)
        data = b"".join([chunk async for chunk in reading])
        return data, reading.etag

    async def get_bytes(self, key: str, *, limit: int | None = None) -> bytes:
        """The bytes alone. See `read`."""
        return (await self.read(key, limit=limit))[0]

    async def stream(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        chunk: int = CHUNK,
        etag: str = "",
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`, cut at the object's end, in chunks.

        A connection that breaks on the way is taken up again where it broke. The bytes are
        of one version of the object throughout: the one with this etag, if one is given.

        Raises:
            ObjectMissingError: if there is no such object.
            SettingError: if start is negative or end lies before it.
            StorageError: if the object is, or has been, replaced.
        """
        async for piece in self._reading(key, start, end, chunk=chunk, etag=etag):
            yield piece

    def _reading(self, key: str, start: int = 0, end: int | None = None, **how: Any) -> Reading:
        return Reading(
            self._store, self.place, self._checked(key), start, end, retries=self._retries, **how
        )

    async def download(self, key: str, path: Path, *, limit: int | None = None) -> ObjectHead:
        """Fetches an object to a file, which appears whole or not at all.

        Args:
            key: the object.
            path: the file; replaced if it is there. Its folder must exist.
            limit: largest number of bytes accepted.

        Raises:
            ObjectMissingError: if there is no such object.
            StorageError: if it has more than `limit` bytes.
        """
        head = await self.head(key)
        await save(self._reading(key, limit=limit, etag=head.etag), path, head.size)
        return head

    async def list(self, folder: str = "") -> AsyncIterator[ObjectEntry]:
        """The objects under a folder (whole segments of keys), in no particular order."""
        prefix = check_key(folder.rstrip("/")) if folder.rstrip("/") else None
        with explained(self.place, "list", folder):
            async for page in obstore.list(self._store, prefix, chunk_size=500):
                for meta in page:
                    yield ObjectEntry(meta["path"], meta["size"], meta["last_modified"])

    async def delete(self, key: str) -> None:
        """Removes an object; one that is not there is fine."""
        try:
            with explained(self.place, "delete", self._checked(key)):
                await obstore.delete_async(self._store, key)
        except ObjectMissingError:
            return

    async def copy(self, source: str, target: str) -> None:
        """Copies an object inside the store, replacing the target, atomically.

        Raises:
            ObjectMissingError: if there is no such source.
            ObjectTooLargeError: if the store does not copy so large an object.
        """
        self._checked(target)
        try:
            with explained(self.place, "copy", self._checked(source)):
                await obstore.copy_async(self._store, source, target)
        except ObjectMissingError:
            raise ObjectMissingError(f"{self.place} has no object {source!r} to copy") from None

    async def presign(self, key: str, expires: timedelta) -> str | None:
        """An address that lets its holder read one object for a while.

        Nothing is asked of the store; the object need not exist.

        Returns:
            The address, or None where the store has none (a local folder).
        """
        self._checked(key)
        if not isinstance(self._public, S3Store | GCSStore | AzureStore):
            return None
        with explained(self.place, "sign a link to", key):
            link: str = await obstore.sign_async(self._public, "GET", key, expires)
        return link

    async def room(self) -> int | None:
        """Bytes that are free where the bucket lies; None where nobody knows (all but folders)."""
        return None


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
