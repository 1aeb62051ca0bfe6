"""The supervisor: claims jobs, sees them through, and never computes.

It holds one claim at a time, so that an attempt always means that this very song was being
worked on. What it does beside that (heartbeat, putting back what others lost, callbacks) goes on
whatever the computation does, because that happens in a child process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from octet.errors import CancelledError, ComputationError, LeaseLostError, OctetError
from octet.jobs.claims import Claims
from octet.jobs.job import JobError
from octet.jobs.server import connect, queue_url
from octet.results.recipe import Offer
from octet.separation.models.registry import REGISTRY
from octet.storage.open import open_buckets
from octet.worker import failpoints
from octet.worker.ahead import next_job
from octet.worker.assignment import Assignment, Equipment
from octet.worker.child import COMPUTE, Child
from octet.worker.fetcher import Fetcher
from octet.worker.housekeeping import Beside
from octet.worker.lease import Lease
from octet.worker.metrics import Metrics
from octet.worker.retry import outlast
from octet.worker.scratch import Scratch
from octet.worker.stopping import Stopping
from octet.worker.tasks import end

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from redis.asyncio import Redis

    from octet.jobs.claims import Claim
    from octet.settings import SeparationSettings, ServiceSettings
    from octet.worker.fetcher import Places
    from octet.worker.lease import End

T = TypeVar("T")

log = logging.getLogger(__name__)

_TAKE_FOR = 1.0
_TIDIES_WITHIN = 15.0
"""Seconds for an assignment that is broken off: longer than a child takes to be stopped."""

_AFTER_AN_OUTAGE = 1.0


class Supervisor:
    """One worker.

    Args:
        service: where queue and store are, and the rules.
        defaults: the separation that jobs get unless they ask for another.
        compute: the child's command.

    Attributes:
        worker: its name.
        metrics: its figures.
        child: its child process.
    """

    def __init__(
        self,
        service: ServiceSettings,
        defaults: SeparationSettings,
        *,
        compute: Sequence[str] = COMPUTE,
    ) -> None:
        self._service = service
        self._defaults = defaults
        self._offer = Offer.of(defaults, REGISTRY)
        self.worker = service.worker_id or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self.metrics = Metrics()
        self.child = Child(compute, stall=service.stall, memory_limit=service.memory_limit)
        self._stopping = Stopping(service.grace)

    def stop(self) -> None:
        """Asks for the end; the second time without grace."""
        self._stopping.request()

    async def run(self, *, signals: bool = True) -> None:
        """Works until it is told to stop.

        Args:
            signals: listen to SIGTERM and SIGINT; for the main thread only.

        Raises:
            SettingError: the settings make no sense.
            OutputError: there is no scratch space.
        """
        client = connect(queue_url(self._service))
        if signals:
            self._stopping.listen()
        try:
            with Scratch(self._defaults.scratch_folder) as scratch:
                if self._service.metrics_port is not None:
                    self.metrics.serve(self._service.metrics_port)
                await self._run(client, scratch)
        finally:
            await self.child.stop()
            await client.aclose()
            if signals:
                self._stopping.unlisten()

    async def _run(self, client: Redis, scratch: Scratch) -> None:
        buckets = open_buckets(self._service)
        kit = Equipment(
            claims=Claims(
                client,
                self.worker,
                lease=self._service.lease,
                attempts=self._service.attempts,
                complete=self._offer.complete,
            ),
            buckets=buckets,
            child=self.child,
            fetcher=Fetcher(buckets, scratch.folder, self._defaults.max_bytes),
            folder=scratch.folder,
            service=self._service,
            defaults=self._defaults,
            offer=self._offer,
            metrics=self.metrics,
        )
        log.info("worker %s starts, model %s", self.worker, self._defaults.model)
        async with Beside(client, kit):
            await self._until_stopped(self._prepare(kit))
            await self._work(client, kit)
            await kit.fetcher.close()
        # After the last heartbeat, which would bring the worker back to life.
        with contextlib.suppress(OctetError):  # what it leaves behind is put back by others
            await kit.claims.leave()
        log.info("worker %s stops", self.worker)

    async def _prepare(self, kit: Equipment) -> None:
        """Has the model loaded and the buckets made."""
        await self.child.load(self._defaults.model_dump(mode="json"))
        await outlast(kit.buckets.ensure, refusals=True)

    async def _work(self, client: Redis, kit: Equipment) -> None:
        while not self._stopping.asked.is_set():
            try:
                # Broken off in the wrong moment, it could have claimed what nobody knows of.
                claim = await self._until_stopped(kit.claims.take(_TAKE_FOR), 2 * _TAKE_FOR)
            except OctetError as error:
                log.warning("waiting: %s", error)
                await self._until_stopped(asyncio.sleep(_AFTER_AN_OUTAGE))
                continue
            if claim is not None and self._stopping.asked.is_set():
                await self._hand_back(claim, kit)
            elif claim is not None:
                failpoints.reached("claim")
                self.metrics.in_flight.inc()
                try:
                    await self._handle(claim, client, kit)
                finally:
                    self.metrics.in_flight.dec()

    async def _handle(self, claim: Claim, client: Redis, kit: Equipment) -> None:
        """Sees a claim through to its end, whatever end that is."""
        log.info("%s is claimed, attempt %d", claim.job.id, claim.job.attempts)
        lease = Lease(kit.claims, claim, self._service.lease)
        work = asyncio.create_task(Assignment(claim, lease, kit).run())
        kept = asyncio.create_task(lease.keep())
        overdue = asyncio.create_task(self._stopping.overdue())
        ahead = asyncio.create_task(self._fetch_ahead(lease, client, kit))
        try:
            await asyncio.wait({work, kept, overdue}, return_when=asyncio.FIRST_COMPLETED)
            if overdue.done():
                self.child.kill("the worker stops")
            if not work.done():
                await end([work], _TIDIES_WITHIN)
            await self._conclude(claim, kit, work, kept, overdue)
        finally:
            await end([work, kept, overdue, ahead])

    async def _conclude(
        self,
        claim: Claim,
        kit: Equipment,
        work: asyncio.Task[None],
        kept: asyncio.Task[End],
        overdue: asyncio.Task[None],
    ) -> None:
        """Ends a claim whose work has not ended it by itself."""
        error = None if work.cancelled() else work.exception()
        if not work.cancelled() and error is None:
            return
        try:
            if isinstance(error, LeaseLostError) or (kept.done() and kept.result() == "lost"):
                self._lost(claim)
            elif isinstance(error, CancelledError) or kept.done():
                await outlast(lambda: kit.claims.release(claim))
                self.metrics.jobs.labels("cancelled").inc()
                log.info("%s is cancelled", claim.job.id)
            elif overdue.done():
                await self._hand_back(claim, kit)
            else:
                await self._unforeseen(claim, kit, error)
        except LeaseLostError:
            self._lost(claim)

    async def _hand_back(self, claim: Claim, kit: Equipment) -> None:
        with contextlib.suppress(LeaseLostError):  # then somebody has it already
            await outlast(lambda: kit.claims.release(claim))
            self.metrics.handed_back.inc()
            log.info("%s is handed back, the attempt does not count", claim.job.id)

    def _lost(self, claim: Claim) -> None:
        self.metrics.lost.inc()
        log.warning("%s belongs to another worker by now", claim.job.id)

    async def _unforeseen(self, claim: Claim, kit: Equipment, error: BaseException | None) -> None:
        """A fault of this program costs an attempt, not the worker."""
        log.error("%s failed unforeseen", claim.job.id, exc_info=error)
        told = JobError(ComputationError.code, f"the worker failed ({type(error).__name__})")
        if claim.exhausted or not await outlast(lambda: kit.claims.retry(claim, told)):
            await outlast(lambda: kit.claims.bury(claim, told))

    async def _fetch_ahead(self, lease: Lease, client: Redis, kit: Equipment) -> None:
        # Not at once: of several workers, the one that is done first gets the next song.
        await lease.half_done.wait()

        async def next_places() -> Places | None:
            job = await next_job(client, self._offer.complete)
            return job.places(self._service.queue_bucket) if job else None

        kit.fetcher.start_ahead(next_places)

    async def _until_stopped(self, work: Coroutine[Any, Any, T], patience: float = 0.0) -> T | None:
        """The result of some waiting; None when the worker is to stop first.

        Args:
            work: what to wait for.
            patience: seconds for which it may go on when the worker is to stop.
        """
        task = asyncio.create_task(work)
        asked = asyncio.create_task(self._stopping.asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({task}, timeout=patience)
        finally:
            await end([task, asked])
        return None if task.cancelled() else task.result()
