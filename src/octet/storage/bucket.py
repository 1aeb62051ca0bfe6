"""A bucket: named objects of bytes, put whole and read in ranges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

LinkMethod = Literal["GET", "PUT"]

CHUNK = 1024 * 1024
"""Bytes a chunk of a stream, unless asked otherwise."""


@dataclass(frozen=True)
class ObjectEntry:
    """An object as a listing shows it: its key, its bytes, and when it was last put."""

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


class Bucket(ABC):
    """One bucket of a store.

    Every put is atomic: readers see the whole old object or the whole new one, and an
    upload that fails or is killed shows nothing. When a put returns, the object is as
    durable as the store makes it (a local folder: synchronised to the disk).

    Keys are relative paths with `/` between segments. All methods raise SettingError for a
    key with an empty, `.` or `..` segment, a leading slash or a control character;
    StorageUnavailableError if the store does not answer after a bounded number of tries;
    StorageError for a refusal; and ObjectMissingError as each says.
    """

    name: str
    place: str

    @abstractmethod
    async def ensure(self) -> None:
        """Creates the bucket where it is missing and the store can be asked to.

        Raises:
            StorageError: if it is missing and cannot be created.
        """

    @abstractmethod
    async def put_file(
        self,
        key: str,
        path: Path,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
    ) -> None:
        """Puts a file, in parts if it is large, without holding it in memory.

        Args:
            key: the object; replaced if it is there.
            path: the file.
            content_type: its MIME type.
            metadata: further names and values (ASCII), kept with the object.
            download_name: file name under which browsers save a presigned download.

        Raises:
            FileNotFoundError: if there is no such file.
        """

    @abstractmethod
    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
    ) -> int:
        """Puts what an iterator yields, as it comes; nothing is kept if the iterator raises.

        The iterator's own exception passes through unchanged.

        Returns:
            The number of bytes.
        """

    @abstractmethod
    async def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        download_name: str | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> None:
        """Puts bytes.

        Args:
            key: the object; replaced if it is there, unless a condition forbids it.
            data: its bytes.
            content_type: its MIME type.
            metadata: further names and values (ASCII), kept with the object.
            download_name: file name under which browsers save a presigned download.
            if_absent: put only if there is no such object. One atomic step where the store
                knows conditional puts (local folder, S3, Ceph, MinIO, Google, Azure).
                A store that ignores or refuses the condition is asked for the object first,
                which leaves a moment in which two writers can both succeed.
            if_match: put only if the object still has this etag; the same holds.

        Raises:
            ObjectExistsError: if the condition does not hold.
        """

    @abstractmethod
    async def head(self, key: str) -> ObjectHead:
        """What the store knows about an object.

        Raises:
            ObjectMissingError: if there is no such object.
        """

    @abstractmethod
    async def get_bytes(self, key: str, *, limit: int | None = None) -> bytes:
        """A whole object, for small ones.

        Raises:
            ObjectMissingError: if there is no such object.
            StorageError: if it has more than `limit` bytes.
        """

    @abstractmethod
    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to but not including `end`, cut at the object's end.

        Raises:
            ObjectMissingError: if there is no such object.
            SettingError: if start is negative or end lies before it.
        """

    @abstractmethod
    def stream(
        self, key: str, start: int = 0, end: int | None = None, *, chunk: int = CHUNK
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to but not including `end`, in chunks.

        A connection that breaks on the way is taken up again where it broke. The bytes are
        of one version of the object throughout.

        Raises:
            ObjectMissingError: if there is no such object.
            StorageError: if the object is replaced on the way.
        """

    @abstractmethod
    async def download(
        self,
        key: str,
        path: Path,
        *,
        limit: int | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ObjectHead:
        """Fetches an object to a file, which appears whole or not at all.

        Args:
            key: the object.
            path: the file; replaced if it is there. Its folder must exist.
            limit: largest number of bytes accepted.
            on_progress: called with the bytes so far and in all.

        Raises:
            ObjectMissingError: if there is no such object.
            StorageError: if it has more than `limit` bytes.
        """

    @abstractmethod
    def list(self, folder: str = "") -> AsyncIterator[ObjectEntry]:
        """The objects under a folder (whole segments of keys), in no particular order."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Removes an object; one that is not there is fine."""

    @abstractmethod
    async def copy(self, source: str, target: str) -> None:
        """Copies an object inside the store, replacing the target, atomically.

        Raises:
            ObjectMissingError: if there is no such source.
        """

    @abstractmethod
    async def presign(
        self, key: str, expires: timedelta, *, method: LinkMethod = "GET"
    ) -> str | None:
        """An address that lets its holder read (GET) or write (PUT) one object for a while.

        Nothing is asked of the store; the object need not exist.

        Returns:
            The address, or None where the store has none (a local folder).
        """
