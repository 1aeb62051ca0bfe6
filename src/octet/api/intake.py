"""Takes songs in: from the network to the store, hashed on the way, and onto the queue."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from octet.api.sniff import HEAD, sniff
from octet.errors import LimitError, ObjectMissingError, StorageError
from octet.results import publication
from octet.results.keys import STAGING, ResultKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from octet.api.state import Service
    from octet.jobs.job import Job, JobRequest
    from octet.results.manifest import Manifest

logger = logging.getLogger("octet.api")


@dataclass(frozen=True)
class StoredSong:
    """A song in the queue bucket: the SHA-256 of its bytes, how many, and the object's key."""

    sha256: str
    bytes: int
    key: str


@dataclass(frozen=True)
class Accepted:
    """What became of a submission.

    Attributes:
        id: the job's.
        job: its record; None when only its result is left.
        manifest: of the published result, when nothing has to be computed.
        created: whether this submission put the job on the queue.
    """

    id: str
    job: Job | None
    manifest: Manifest | None
    created: bool


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


async def submit(
    service: Service, request: JobRequest, *, idempotency_key: str | None = None, digest: str = ""
) -> Accepted:
    """Puts a job on the queue, unless its result is there.

    A published result that is what is asked for answers at once, and the callbacks are made. A
    fallback, a result of another recipe (the default has changed), or one of which tracks were
    removed, is computed again.

    Raises:
        KeyReusedError: one Idempotency-Key for two requests.
        QueueError, StorageError: queue or store fail.
    """
    job = await service.queue.get(request.job_id)
    manifest = None
    if job is None or job.state == "done":
        found = await find_manifest(service, request.song, request.key)
        if found is not None and found.answers(service.offer.fill(request.recipe)):
            manifest = found
    if job is None and manifest is not None:
        await _tell(service, request)
        logger.info("job %s: its result is there already", request.job_id)
        return Accepted(request.job_id, None, manifest, created=False)
    submission = await service.queue.submit(
        request,
        again=job is not None and job.state == "done" and manifest is None,
        idempotency_key=idempotency_key,
        digest=digest,
    )
    if submission.job.state == "done" and not submission.created:
        await _tell(service, request)
    word = "waits" if submission.created else f"is known, {submission.job.state}"
    logger.info("job %s %s", request.job_id, word)
    return Accepted(request.job_id, submission.job, manifest, submission.created)


async def find_manifest(service: Service, song: str, recipe: str) -> Manifest | None:
    """The manifest of a published result; None where there is none."""
    return await publication.read(service.buckets.output, ResultKeys(song, recipe))


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
            raise LimitError(
                f"the song is larger than {self._limit} bytes", "OCTET_MAX_UPLOAD is the limit"
            )
        self._hash.update(chunk)


async def _size_of(service: Service, key: str) -> int | None:
    try:
        return (await service.buckets.queue.head(key)).size
    except ObjectMissingError:
        return None


async def _tell(service: Service, request: JobRequest) -> None:
    """Makes the callbacks of a request whose result was there before it."""
    for callback in request.callbacks:
        body = _event(request) if callback.kind == "event" else callback.body
        await service.outbox.add(callback.url, body, kind=callback.kind)


def _event(request: JobRequest) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = {
        "id": request.job_id,
        "song": request.song,
        "state": "done",
        "outcome": "complete",
        "error": None,
    }
    return json.dumps({"type": "job.done", "timestamp": now, "data": data})
