"""The supervisor: claims jobs, sees them through, and never computes.

It holds one claim at a time, so that an attempt always means that this very song was being
worked on. Its housekeeping (heartbeat, putting back what others lost, callbacks) goes on whatever
the computation does, because that happens in a child process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from octet.errors import CancelledError, ComputationError, LeaseLostError, OctetError, UnfitError
from octet.jobs.claims import Claims
from octet.jobs.job import JobError
from octet.jobs.server import connect, queue_url
from octet.results.recipe import Offer
from octet.separation.models.registry import REGISTRY
from octet.storage.open import open_buckets
from octet.worker import failpoints
from octet.worker.assignment import Assignment, Context
from octet.worker.child import COMPUTE, Child
from octet.worker.fetcher import Fetcher, next_places
from octet.worker.health import Health
from octet.worker.housekeeping import Housekeeping
from octet.worker.lease import Lease
from octet.worker.metrics import Metrics
from octet.worker.retry import end, persist
from octet.worker.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from pathlib import Path

    from redis.asyncio import Redis

    from octet.jobs.claims import Claim
    from octet.settings import SeparationSettings, ServiceSettings
    from octet.worker.lease import End

T = TypeVar("T")

log = logging.getLogger(__name__)

_TAKE_FOR = 1.0
_TIDIES_WITHIN = 15.0
"""Seconds for an assignment that is broken off: longer than a child takes to be stopped."""

_AFTER_AN_OUTAGE = 1.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_AT_ONCE = 1.5
"""Seconds from the second signal until the process ends whatever happens."""
_FOR_HANDING_BACK = 0.1
"""Share of the grace that is kept for handing a job back."""


class Stopping:
    """How a worker is told to stop: once with grace, a second time at once.

    Args:
        grace: seconds that the work under way may still take after the first request.

    Attributes:
        requested: set by the first request.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace * (1 - _FOR_HANDING_BACK)
        self._at_once = asyncio.Event()
        self.requested = asyncio.Event()

    def request(self) -> None:
        """Asks for the end; asking again leaves no grace."""
        if self.requested.is_set():
            self._at_once.set()
        self.requested.set()

    async def overdue(self) -> None:
        """Returns when the work under way has to be handed back."""
        await self.requested.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                await self._at_once.wait()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Takes SIGTERM, SIGINT and SIGHUP meanwhile. For the main thread."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        self.request()
        if self._at_once.is_set():
            # What cannot be handed back by then comes back when its lease runs out.
            asyncio.get_running_loop().call_later(_AT_ONCE, os._exit, 0)


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
        self.child = Child(
            compute,
            stall=service.stall,
            load_stall=service.load_stall,
            longest=service.job_seconds,
            memory_limit=service.memory_limit,
        )
        self._stopping = Stopping(service.grace)

    def stop(self) -> None:
        """Asks for the end; the second time without grace."""
        self._stopping.request()

    async def run(self, *, signals: bool = True) -> None:
        """Works until it is told to stop.

        Args:
            signals: listen to SIGTERM, SIGINT and SIGHUP; for the main thread only.

        Raises:
            SettingError: the settings make no sense.
            OutputError: there is no scratch space.
        """
        client = connect(queue_url(self._service))
        try:
            with contextlib.ExitStack() as stack:
                if signals:
                    stack.enter_context(self._stopping.on_signals())
                scratch = stack.enter_context(Scratch(self._defaults.scratch_folder))
                await self._run(client, self._context(client, scratch.folder))
        finally:
            await self.child.stop()
            await client.aclose()

    def _context(self, client: Redis, folder: Path) -> Context:
        service, defaults = self._service, self._defaults
        buckets = open_buckets(service)
        return Context(
            claims=Claims(
                client,
                self.worker,
                lease=service.lease,
                attempts=service.attempts,
                complete=self._offer.complete,
            ),
            buckets=buckets,
            child=self.child,
            fetcher=Fetcher(buckets, folder, defaults.max_bytes),
            health=Health(self.child, buckets, folder, defaults),
            folder=folder,
            service=service,
            defaults=defaults,
            offer=self._offer,
            metrics=self.metrics,
        )

    async def _run(self, client: Redis, context: Context) -> None:
        log.info("worker %s starts, model %s", self.worker, self._defaults.model)
        async with Housekeeping(client, context):
            await self._work(client, context)
            await context.fetcher.close()
        # After the last heartbeat, which would bring the worker back to life.
        with contextlib.suppress(OctetError):  # what it leaves behind is put back by others
            await context.claims.leave()
        log.info("worker %s stops", self.worker)

    async def _work(self, client: Redis, context: Context) -> None:
        while not self._stopping.requested.is_set():
            if not context.health.fit:
                await self._until_stopped(context.health.recover())
                continue
            try:
                # Broken off in the wrong moment, it could have claimed what nobody knows of.
                claim = await self._until_stopped(context.claims.take(_TAKE_FOR), 2 * _TAKE_FOR)
            except OctetError as error:
                log.warning("waiting: %s", error)
                await self._until_stopped(asyncio.sleep(_AFTER_AN_OUTAGE))
                continue
            if claim is not None and self._stopping.requested.is_set():
                await self._hand_back(claim, context, "stop")
            elif claim is not None:
                failpoints.reached("claim")
                with self.metrics.in_flight.track_inprogress():
                    await self._handle(claim, client, context)

    async def _handle(self, claim: Claim, client: Redis, context: Context) -> None:
        """Sees a claim through to its end, whatever end that is."""
        log.info("%s is claimed, attempt %d", claim.job.id, claim.job.attempts)
        lease = Lease(context.claims, claim, self._service.lease)
        work = asyncio.create_task(Assignment(claim, lease, context).run())
        kept = asyncio.create_task(lease.keep())
        overdue = asyncio.create_task(self._stopping.overdue())
        prefetch = asyncio.create_task(self._prefetch(lease, client, context))
        try:
            await asyncio.wait({work, kept, overdue}, return_when=asyncio.FIRST_COMPLETED)
            if overdue.done():
                self.child.kill("the worker stops")
            if not work.done():
                await end([work], _TIDIES_WITHIN)
            await self._conclude(claim, context, work, kept, overdue)
        finally:
            await end([work, kept, overdue, prefetch])

    async def _conclude(
        self,
        claim: Claim,
        context: Context,
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
                await persist(lambda: context.claims.release(claim))
                self.metrics.jobs.labels("cancelled").inc()
                log.info("%s is cancelled", claim.job.id)
            elif overdue.done() or isinstance(error, UnfitError):
                why = "unfit" if isinstance(error, UnfitError) else "stop"
                await self._hand_back(claim, context, why)
            else:
                await self._unforeseen(claim, context, error)
        except LeaseLostError:
            self._lost(claim)

    async def _hand_back(self, claim: Claim, context: Context, why: str) -> None:
        with contextlib.suppress(LeaseLostError):  # then somebody has it already
            await persist(lambda: context.claims.release(claim))
            self.metrics.handed_back.labels(why).inc()
            log.info("%s is handed back, the attempt does not count", claim.job.id)

    def _lost(self, claim: Claim) -> None:
        self.metrics.lost.inc()
        log.warning("%s belongs to another worker by now", claim.job.id)

    async def _unforeseen(
        self, claim: Claim, context: Context, error: BaseException | None
    ) -> None:
        """A fault of this program costs an attempt, not the worker."""
        log.error("%s failed unforeseen", claim.job.id, exc_info=error)
        why = JobError(ComputationError.code, f"the worker failed ({type(error).__name__})")
        if claim.exhausted or not await persist(lambda: context.claims.retry(claim, why)):
            await persist(lambda: context.claims.bury(claim, why))

    async def _prefetch(self, lease: Lease, client: Redis, context: Context) -> None:
        # Not at once: of several workers, the one that is done first gets the next song.
        await lease.half_done.wait()
        context.fetcher.prefetch(
            lambda: next_places(client, self._offer.complete, self._service.queue_bucket)
        )

    async def _until_stopped(self, work: Coroutine[Any, Any, T], patience: float = 0.0) -> T | None:
        """The result of some waiting; None when the worker is to stop first.

        Args:
            work: what to wait for.
            patience: seconds for which it may go on when the worker is to stop.
        """
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stopping.requested.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({task}, timeout=patience)
        finally:
            await end([task, stop])
        return None if task.cancelled() else task.result()
