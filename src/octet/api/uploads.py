"""Songs that come in: from the network to the store, counted and hashed on the way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.api.sniff import HEAD, sniff
from octet.errors import LimitError, ObjectMissingError, StorageError
from octet.results.keys import STAGING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from octet.api.state import Service

LONGEST_JSON = 256 * 1024
"""Bytes of a JSON document, or of what stands beside a song in one."""


@dataclass(frozen=True)
class StoredSong:
    """A song in the queue bucket: the SHA-256 of its bytes, how many, and the object's key."""

    sha256: str
    bytes: int
    key: str


async def store_song(service: Service, chunks: AsyncIterator[bytes]) -> StoredSong:
    """Puts a song where workers look for it, `queue/H.mp3`, without holding it in memory.

    It goes to an object of its own first, for its name is known only at its end, and is copied
    inside the store. A song that is there already is left alone: a worker may be reading it.

    Raises:
        NotAudioError: it is empty or not audio.
        LimitError: it is too large; it is read no further than that.
        StorageError: the store fails.
    """
    bucket = service.buckets.queue
    song = _Measured(chunks, service.settings.max_upload)
    media_type = await song.media_type()
    temporary = f"{STAGING}/uploads/{uuid.uuid4().hex}"
    try:
        await bucket.put_stream(temporary, song, content_type=media_type)
        key = f"queue/{song.sha256}.mp3"
        if await _size_of(service, key) != song.bytes:
            await bucket.copy(temporary, key)
    finally:
        with contextlib.suppress(StorageError):
            await asyncio.shield(bucket.delete(temporary))
    return StoredSong(song.sha256, song.bytes, key)


async def measure_song(service: Service, key: str) -> StoredSong:
    """The same for a song that somebody has put into the queue bucket already.

    Raises:
        ObjectMissingError: it is not there.
        NotAudioError, LimitError, StorageError: as for `store_song`.
    """
    song = _Measured(service.buckets.queue.stream(key), service.settings.max_upload)
    await song.media_type()
    async for _ in song:
        pass
    return StoredSong(song.sha256, song.bytes, key)


def check_length(length: str, limit: int, *, share: float = 1.0) -> None:
    """Refuses what says itself that it is too large, before any of it is read.

    Args:
        length: the request's Content-Length; empty if it has none.
        limit: bytes of a song.
        share: of the body's bytes that are the song's.

    Raises:
        LimitError: it is too large.
    """
    if length.isdecimal() and int(length) * share > limit + LONGEST_JSON:
        raise _too_large(limit)


class _Measured:
    """Chunks on their way, counted and hashed; stops at the limit."""

    def __init__(self, chunks: AsyncIterator[bytes], limit: int) -> None:
        self._chunks = chunks
        self._limit = limit
        self._hash = hashlib.sha256()
        self._head: list[bytes] = []
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Of all that has passed."""
        return self._hash.hexdigest()

    async def media_type(self) -> str:
        """Reads the head, and tells by it what this is."""
        whole = True
        async for chunk in self._chunks:
            self._take(chunk)
            self._head.append(chunk)
            if self.bytes >= HEAD:
                whole = False
                break
        return sniff(b"".join(self._head)[:HEAD], whole=whole)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._head:
            yield self._head.pop(0)
        async for chunk in self._chunks:
            self._take(chunk)
            yield chunk

    def _take(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self.bytes > self._limit:
            raise _too_large(self._limit)
        self._hash.update(chunk)


async def _size_of(service: Service, key: str) -> int | None:
    try:
        return (await service.buckets.queue.head(key)).size
    except ObjectMissingError:
        return None


def _too_large(limit: int) -> LimitError:
    return LimitError(f"the song is larger than {limit} bytes", "OCTET_MAX_UPLOAD is the limit")
