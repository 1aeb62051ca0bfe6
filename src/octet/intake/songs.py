"""Songs that come in: from whoever sends them to the store, counted and hashed on the way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.errors import LimitError, ObjectMissingError, StorageError
from octet.intake.sniff import HEAD, sniff
from octet.results.keys import STAGING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from octet.storage.bucket import Bucket


@dataclass(frozen=True)
class Song:
    """A song in the queue bucket.

    Attributes:
        sha256: of its bytes.
        bytes: how many.
        key: of the object that workers read.
        temporary: of another copy, from which it can be put there (again); empty for an object
            that somebody else has put into the bucket.
    """

    sha256: str
    bytes: int
    key: str
    temporary: str = ""

    async def place(self, bucket: Bucket) -> None:
        """Puts the song where workers look for it, unless it is there: one may be reading it.

        Raises:
            StorageError: the store fails.
        """
        if self.temporary and await _size_of(bucket, self.key) != self.bytes:
            await bucket.copy(self.temporary, self.key)


@contextlib.asynccontextmanager
async def receive_song(
    bucket: Bucket, chunks: AsyncIterator[bytes], limit: int
) -> AsyncIterator[Song]:
    """Takes a song to the store, without holding it in memory, and lets go of it at the end.

    It goes to an object of its own, for its name is known only at its end; `Song.place` copies
    it inside the store.

    Args:
        bucket: of the songs that come in.
        chunks: the song's bytes.
        limit: bytes of the largest song (OCTET_MAX_UPLOAD).

    Raises:
        NotAudioError: it is empty or not audio.
        LimitError: it is too large; it is read no further than that.
        StorageError: the store fails.
    """
    song = _Measured(chunks, limit)
    media_type = await song.media_type()
    temporary = f"{STAGING}/uploads/{uuid.uuid4().hex}"
    try:
        await bucket.put_stream(temporary, song, content_type=media_type)
        yield Song(song.sha256, song.bytes, song_key(song.sha256), temporary)
    finally:
        with contextlib.suppress(StorageError):
            await asyncio.shield(bucket.delete(temporary))


async def measure_song(bucket: Bucket, key: str, limit: int) -> Song:
    """The same for a song that somebody has put into the queue bucket already.

    Raises:
        ObjectMissingError: it is not there.
        NotAudioError, LimitError, StorageError: as for `receive_song`.
    """
    song = _Measured(bucket.stream(key), limit)
    await song.media_type()
    async for _ in song:
        pass
    return Song(song.sha256, song.bytes, key)


async def discard_song(bucket: Bucket, song: str, is_needed: Callable[[], Awaitable[bool]]) -> bool:
    """Deletes a song that came in and that no job needs.

    A job that comes in at the same time keeps its song: either this sees the job and puts the
    song back, or whoever brought it finds the song gone and does (`Song.place`).

    Args:
        bucket: of the songs that come in.
        song: its name.
        is_needed: whether a job or an import needs it at this moment.

    Returns:
        False if there was none, or it is needed.

    Raises:
        StorageError, QueueError: store or queue fail.
    """
    key = song_key(song)
    if await is_needed() or await _size_of(bucket, key) is None:
        return False
    kept = f"{STAGING}/uploads/{uuid.uuid4().hex}"
    await bucket.copy(key, kept)
    try:
        await bucket.delete(key)
        if not await is_needed():
            return True
        await bucket.copy(kept, key)
        return False
    finally:
        with contextlib.suppress(StorageError):
            await asyncio.shield(bucket.delete(kept))


def song_key(song: str) -> str:
    """Where workers look for a song in the queue bucket. The ending is the contract's."""
    return f"queue/{song}.mp3"


def too_large(limit: int) -> LimitError:
    """The error of a song that has more bytes than these."""
    return LimitError(f"the song is larger than {limit} bytes", "OCTET_MAX_UPLOAD is the limit")


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
            raise too_large(self._limit)
        self._hash.update(chunk)


async def _size_of(bucket: Bucket, key: str) -> int | None:
    try:
        return (await bucket.head(key)).size
    except ObjectMissingError:
        return None
