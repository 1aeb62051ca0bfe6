"""Fetches songs from the addresses that clients gave, and submits them.

The API and workers all do so, side by side. A song goes to the staging area while it is hashed,
is copied to where workers look for it, and then one script, if this fetcher still has the import,
puts the job on the queue and ends the import. A fetcher that is killed before that leaves a lease
that runs out, and somebody fetches the song again; after it nothing is left to do.

What the address is to blame for ends an import (it is forbidden, there is no song, it is none, it
is too large or too slow). A server that does not answer now is asked again, a few times. An outage
of queue or store is nobody's fault and costs no attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from secrets import SystemRandom
from typing import TYPE_CHECKING, Any

from octet.errors import (
    ComputationError,
    ObjectTooLargeError,
    OctetError,
    QueueError,
    RemoteUnavailableError,
    StorageError,
    StorageUnavailableError,
)
from octet.intake.songs import discard_song, receive_song
from octet.jobs.job import JobError, JobRequest
from octet.outbound.fetch import fetch
from octet.outbound.guard import Guard
from octet.results import publication
from octet.results.keys import ResultKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from octet.intake.songs import Song
    from octet.jobs.import_job import ImportClaim
    from octet.jobs.imports import Imports
    from octet.jobs.job import Job
    from octet.jobs.queue import JobQueue
    from octet.outbound.fetch import Remote
    from octet.results.manifest import Manifest
    from octet.results.recipe import Offer
    from octet.settings import ServiceSettings
    from octet.storage.open import Buckets

_log = logging.getLogger(__name__)

AT_ONCE = 8
"""Songs that one process fetches at once."""

PER_HOST = 4
"""Of these, those from one host."""

LONGEST = 1800.0
"""Seconds for one song."""

PAUSES = (5.0, 30.0, 120.0)
"""Seconds after each attempt that failed; one attempt more than there are pauses."""

_PATIENCE = 20.0
"""Seconds to wait for the server's next bytes."""
_LEASE = 15.0
_TELL_EVERY = 1.0
_OUTAGE = 5.0
_LETS_GO_WITHIN = 2.0
_CANCEL_AGAIN = 0.5


@dataclass
class _Progress:
    """How far a fetch is: bytes so far, bytes claimed, and the song's name once it is known."""

    arrived: int = 0
    size: int | None = None
    song: str = ""

    async def counted(self, remote: Remote) -> AsyncIterator[bytes]:
        """The bytes of a download, counted as they pass."""
        self.size = remote.size
        async for chunk in remote.chunks:
            self.arrived += len(chunk)
            yield chunk


class Importer:
    """Takes due imports and sees them through.

    Args:
        imports: shared by any number of importers.
        queue: on which the jobs go.
        buckets: the store.
        offer: tells whether a result answers a recipe.
        settings: the service's: where imports may go, and how large songs may be.
        at_once, per_host: songs at a time, in all and from one host.
        lease: seconds after which a silent importer has lost its imports.
        pauses: see PAUSES.
        patience, longest: seconds for the server's next bytes, and for a song.
        idle: the longest pause between two looks, in seconds.

    Raises:
        SettingError: OCTET_ALLOW_HOSTS makes no sense.
    """

    def __init__(
        self,
        imports: Imports,
        queue: JobQueue,
        buckets: Buckets,
        offer: Offer,
        settings: ServiceSettings,
        *,
        at_once: int = AT_ONCE,
        per_host: int = PER_HOST,
        lease: float = _LEASE,
        pauses: tuple[float, ...] = PAUSES,
        patience: float = _PATIENCE,
        longest: float = LONGEST,
        idle: float = 0.5,
    ) -> None:
        self._imports, self._queue, self._buckets, self._offer = imports, queue, buckets, offer
        self._settings = settings
        self._guard = Guard(settings.allow_hosts)
        self._at_once, self._per_host, self._lease = at_once, per_host, lease
        self._pauses, self._patience, self._longest = pauses, patience, longest
        self._idle = idle
        self._hosts: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Fetches until cancelled. What is under way is then let go, for others to fetch."""
        try:
            while not _stopped():
                await self._turn()
            raise asyncio.CancelledError
        finally:
            await _ended(*self._tasks)

    async def _turn(self) -> None:
        """Claims what is due and begins with it, or waits a moment."""
        free = self._at_once - len(self._tasks)
        if free <= 0:
            await self._rest(None)
            return
        try:
            claims = await self._imports.claim(
                free, lease=self._lease, per_host=self._per_host, busy=self._hosts
            )
            for claim in claims:
                self._begin(claim)
            if not claims:
                due = await self._imports.next_due()
                # What is due all the same is at hosts that are busy.
                await self._rest(min(self._idle, due) if due else self._idle)
        except QueueError as error:
            _log.debug("imports wait: %s", error.message)
            await asyncio.sleep(self._idle)

    async def _rest(self, seconds: float | None) -> None:
        """Waits for so long, or until one of the songs is through."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        elif seconds is not None:
            await asyncio.sleep(seconds)

    def _begin(self, claim: ImportClaim) -> None:
        host = claim.record.host
        self._hosts[host] += 1
        task = asyncio.create_task(self._handle(claim))
        self._tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]

        task.add_done_callback(over)

    async def _handle(self, claim: ImportClaim) -> None:
        """Sees an import through to whatever end this attempt has."""
        progress = _Progress()
        work = asyncio.create_task(self._import(claim, progress))
        kept = asyncio.create_task(self._keep(claim, progress))
        try:
            await asyncio.wait({work, kept}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await self._conclude(claim, work.exception())
            else:
                await _ended(work)
                if kept.result() == "cancelled":
                    await self._imports.end_cancelled(claim)
                    _log.info("%s is cancelled", claim.record.id)
        except QueueError as error:  # its lease runs out, and it is due again
            _log.warning("%s will be fetched again: %s", claim.record.id, error.message)
        except Exception:  # likewise, and its attempt counts
            _log.exception("an unforeseen fault of %s", claim.record.id)
        except asyncio.CancelledError:
            await asyncio.shield(self._let_go(claim, work))
            raise
        finally:
            await _ended(work, kept)

    async def _import(self, claim: ImportClaim, progress: _Progress) -> None:
        """Fetches the song and submits it."""
        record = claim.record
        if record.attempts > len(self._pauses) + 1:
            raise ComputationError("whoever fetched it died, each time")
        limit = self._settings.max_upload
        async with AsyncExitStack() as stack:
            async with fetch(
                record.url,
                self._guard,
                limit=limit,
                patience=self._patience,
                total=self._longest,
            ) as remote:
                chunks = progress.counted(remote)
                song = await stack.enter_async_context(
                    receive_song(self._buckets.queue, chunks, limit)
                )
            await self._submit(claim, song, progress)

    async def _submit(self, claim: ImportClaim, song: Song, progress: _Progress) -> None:
        record, bucket = claim.record, self._buckets.queue
        request = JobRequest(
            song=song.sha256,
            recipe=record.recipe,
            key=record.key,
            bucket=self._settings.queue_bucket,
            object=song.key,
            callbacks=claim.callbacks,
            priority=record.priority,
            name=record.name,
        )
        # Noted before it is there: whoever deletes songs sees it, and leaves it.
        progress.song = song.sha256
        await self._renew(claim, progress)
        job, manifest = await find_answer(self._queue, self._buckets, self._offer, request)
        answered = job is None and manifest is not None
        if not answered:
            await song.place(bucket)
        word = await self._imports.submit(
            claim,
            request,
            again=job is not None and job.state == "done" and manifest is None,
            answered=answered,
        )
        if word in ("created", "joined"):
            _log.info("%s is job %s, %s", record.id, request.job_id, word)
        elif word == "cancelled":
            _log.info("%s is cancelled", record.id)
            await discard_song(bucket, song.sha256, lambda: self._is_needed(song.sha256))

    async def _is_needed(self, song: str) -> bool:
        """Whether a job of the song waits or runs, or another import is about to submit one."""
        if song in {*await self._queue.coming(), *await self._queue.queue()}:
            return True
        running = await self._queue.jobs(state="running", limit=1000)
        return any(job.song == song for job in running.jobs)

    async def _conclude(self, claim: ImportClaim, error: BaseException | None) -> None:
        """Ends or postpones an import whose attempt has ended with this."""
        if error is None:
            return
        if isinstance(error, QueueError | StorageUnavailableError):
            await self._imports.postpone(claim, _OUTAGE, counts=False)
            _log.warning("%s waits: %s", claim.record.id, error.message)
            return
        told = _told(error)
        pause = self._pause(claim, error)
        if pause is None:
            await self._imports.fail(claim, told)
            _log.info("%s failed: %s", claim.record.id, told.message)
        else:
            await self._imports.postpone(claim, pause, counts=True, error=told)
            _log.info("%s will be tried again: %s", claim.record.id, told.message)

    def _pause(self, claim: ImportClaim, error: BaseException) -> float | None:
        """Seconds to the next attempt; None if there is none, or none can help."""
        passing = isinstance(error, RemoteUnavailableError) or (
            isinstance(error, StorageError) and not isinstance(error, ObjectTooLargeError)
        )
        unforeseen = not isinstance(error, OctetError)
        if claim.record.attempts > len(self._pauses) or not (passing or unforeseen):
            return None
        return self._pauses[claim.record.attempts - 1] * SystemRandom().uniform(1.0, 1.2)

    async def _keep(self, claim: ImportClaim, progress: _Progress) -> str:
        """Renews again and again, and returns when that is to end: why."""
        while True:
            with contextlib.suppress(QueueError):  # while it is away nobody else gets it either
                answer = await self._renew(claim, progress)
                if answer != "go on":
                    return answer
            await asyncio.sleep(min(_TELL_EVERY, self._lease / 3))

    async def _renew(self, claim: ImportClaim, progress: _Progress) -> str:
        return await self._imports.renew(
            claim,
            lease=self._lease,
            arrived=progress.arrived,
            size=progress.size,
            song=progress.song,
        )

    async def _let_go(self, claim: ImportClaim, work: asyncio.Task[None]) -> None:
        """Hands an import to others at once, since this process stops."""
        await _ended(work)
        with contextlib.suppress(QueueError, TimeoutError):
            async with asyncio.timeout(_LETS_GO_WITHIN):
                await self._imports.postpone(claim, 0.0, counts=False)


async def find_answer(
    queue: JobQueue, buckets: Buckets, offer: Offer, request: JobRequest
) -> tuple[Job | None, Manifest | None]:
    """The job of a request, if it is recorded; and, unless it waits or runs, the published result
    that is what the request asks for.

    A fallback, a result of another recipe (the default has changed), or one of which tracks were
    removed, is none.

    Raises:
        QueueError, StorageError: queue or store fail.
    """
    job = await queue.get(request.job_id)
    if job is not None and job.state != "done":
        return job, None
    found = await publication.read(buckets.output, ResultKeys(request.song, request.key))
    if found is not None and found.answers(offer.fill(request.recipe)):
        return job, found
    return job, None


def _told(error: BaseException) -> JobError:
    if isinstance(error, OctetError):
        return JobError(error.code, str(error))
    _log.error("an unforeseen fault of an import", exc_info=error)
    return JobError(ComputationError.code, f"the import failed ({type(error).__name__})")


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks and waits for their end. A library may drop a cancellation: it is repeated."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN)


def _stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
