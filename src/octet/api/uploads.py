"""Songs that come in: from the network to the store, counted and hashed on the way."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.api.errors import RefusedError
from octet.api.sniff import HEAD, sniff
from octet.errors import LimitError, ObjectMissingError, StorageError
from octet.results.keys import STAGING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from octet.api.state import Service

_PIECE = 256 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS

LONGEST_JSON = 256 * 1024
"""Bytes of a JSON document, or of what stands beside a song in one."""


@dataclass(frozen=True)
class Upload:
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

    async def place(self, service: Service) -> None:
        """Puts the song where workers look for it, unless it is there: one may be reading it.

        Raises:
            StorageError: the store fails.
        """
        if self.temporary and await _size_of(service, self.key) != self.bytes:
            await service.buckets.queue.copy(self.temporary, self.key)


@contextlib.asynccontextmanager
async def receive_song(service: Service, chunks: AsyncIterator[bytes]) -> AsyncIterator[Upload]:
    """Takes a song to the store, without holding it in memory, and lets go of it at the end.

    It goes to an object of its own, for its name is known only at its end; `Upload.place` copies
    it inside the store.

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
        yield Upload(song.sha256, song.bytes, song_key(song.sha256), temporary)
    finally:
        with contextlib.suppress(StorageError):
            await asyncio.shield(bucket.delete(temporary))


async def measure_song(service: Service, key: str) -> Upload:
    """The same for a song that somebody has put into the queue bucket already.

    Raises:
        ObjectMissingError: it is not there.
        NotAudioError, LimitError, StorageError: as for `receive_song`.
    """
    song = _Measured(service.buckets.queue.stream(key), service.settings.max_upload)
    await song.media_type()
    async for _ in song:
        pass
    return Upload(song.sha256, song.bytes, key)


async def discard_song(service: Service, song: str) -> bool:
    """Deletes an uploaded song that no job needs.

    A job that comes in at the same time keeps its song: either this sees the job and puts the
    song back, or the request that brought it finds the song gone and does (`Upload.place`).

    Returns:
        False if there was none, or a job needs it.

    Raises:
        StorageError, QueueError: store or queue fail.
    """
    bucket, key = service.buckets.queue, song_key(song)
    if await is_needed(service, song) or await _size_of(service, key) is None:
        return False
    kept = f"{STAGING}/uploads/{uuid.uuid4().hex}"
    await bucket.copy(key, kept)
    try:
        await bucket.delete(key)
        if not await is_needed(service, song):
            return True
        await bucket.copy(kept, key)
        return False
    finally:
        with contextlib.suppress(StorageError):
            await asyncio.shield(bucket.delete(kept))


async def is_needed(service: Service, song: str) -> bool:
    """Whether a job of this song waits or runs.

    Raises:
        QueueUnavailableError: the queue does not answer.
    """
    running = await service.queue.jobs(state="running", limit=1000)
    if any(job.song == song for job in running.jobs):
        return True
    return song in await service.reader.songs()


def song_key(song: str) -> str:
    """Where workers look for a song in the queue bucket. The ending is the contract's."""
    return f"queue/{song}.mp3"


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes, its gzip or deflate undone a bounded piece at a time.

    Raises:
        RefusedError: 415, another coding; 400, it is not what its header says.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise RefusedError(
            415,
            "unsupported-coding",
            f"a body in Content-Encoding {coding[:40]!a} is not read",
            "Send it as it is, or by gzip",
        )
    if coding in ("", "identity"):
        async for chunk in request.stream():
            yield chunk
        return
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    async for chunk in request.stream():
        data = chunk
        while data:
            if decoder.eof:  # a gzip file may have several members
                decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                piece = decoder.decompress(data, _PIECE)
            except zlib.error:
                raise RefusedError(400, "malformed", f"the body is not in {coding}") from None
            if piece:
                yield piece
            data = decoder.unconsumed_tail or decoder.unused_data
    if not decoder.eof:
        raise RefusedError(400, "malformed", f"the body's {coding} breaks off")


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
