"""What a worker does besides its jobs, whatever the computation does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import octet
from octet.errors import ObjectMissingError, OctetError
from octet.intake.imports import Importer
from octet.jobs.durability import log_durability
from octet.jobs.imports import Imports
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from octet.jobs.reaper import EVERY as REAP_EVERY
from octet.jobs.reaper import Reaper
from octet.outbound.webhooks import deliver
from octet.results.publication import sweep
from octet.worker import failpoints
from octet.worker.retention import expire
from octet.worker.retry import end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from redis.asyncio import Redis

    from octet.jobs.outbox import Delivery
    from octet.outbound.webhooks import Attempt
    from octet.worker.assignment import Context

log = logging.getLogger(__name__)

_MEASURE_EVERY = 5.0
_ANSWERS_WITHIN = 3.0
_SWEEP_EVERY = 3600.0
_DURABILITY_EVERY = 86_400.0
_AFTER_A_FAULT = 1.0
_STAGED_LONG_AGO = timedelta(days=2)
"""Longer than any separation takes."""


class Housekeeping:
    """Heartbeat, what others lost, callbacks, imports, figures, tidying: an async context.

    Each goes on after any failure; a server that is away is met again at the next turn.

    Args:
        client: of the queue.
        context: the worker's.
    """

    def __init__(self, client: Redis, context: Context) -> None:
        self._client = client
        self._context = context
        self._reaper = Reaper(
            client,
            keep_days=context.service.keep_days,
            most_letters=context.service.max_dead,
            most_deliveries=context.service.max_deliveries,
        )
        self._queue = JobQueue(client, context.offer.complete)
        self._reaped = False
        self._trouble = {"queue": "the queue has not answered yet", "store": ""}
        self._tasks: list[asyncio.Task[None]] = []

    def trouble(self) -> str:
        """Why this worker takes no jobs now; empty when it does."""
        health = self._context.health
        starting = "" if health.loaded else "the model is not loaded yet"
        return health.sickness or starting or " and ".join(filter(None, self._trouble.values()))

    async def __aenter__(self) -> Self:
        service, health = self._context.service, self._context.health
        turns = [
            _again(service.lease / 3, self._heartbeat, health.changed),
            _again(REAP_EVERY, self._reap),
            _again(_SWEEP_EVERY, self._sweep),
            _again(_SWEEP_EVERY, lambda: expire(self._context.buckets, self._queue, service)),
            _again(_AFTER_A_FAULT, self._deliver),
            _again(_AFTER_A_FAULT, self._fetch),
            _again(_DURABILITY_EVERY, lambda: log_durability(self._client)),
        ]
        if service.metrics_port is not None:
            turns.append(_again(_MEASURE_EVERY, self._measure))
            self._context.metrics.serve(service.metrics_port, self.trouble)
        self._tasks = [asyncio.create_task(turn) for turn in turns]
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks)

    async def _heartbeat(self) -> None:
        health = self._context.health
        self._context.metrics.fit.set(health.fit)
        about = {"octet": octet.__version__, "recipe": self._context.offer.default.to_dict()}
        if health.sickness:
            about["sick"] = health.sickness
        await self._context.claims.heartbeat(about)

    async def _reap(self) -> None:
        await self._reaper.reap(thorough=not self._reaped)
        self._reaped = True

    async def _sweep(self) -> None:
        for bucket in (self._context.buckets.output, self._context.buckets.queue):
            await sweep(bucket, _STAGED_LONG_AGO)

    async def _deliver(self) -> None:
        def count(attempt: Attempt) -> None:
            self._context.metrics.callbacks.labels(attempt.end).inc()

        await deliver(self._client, self._context.service, _Outbox(self._client), count)

    async def _fetch(self) -> None:
        context = self._context
        imports = Imports(self._client, keep=context.service.keep_days * 86_400)
        await Importer(imports, self._queue, context.buckets, context.offer, context.service).run()

    async def _measure(self) -> None:
        """Looks whether queue and store answer, for /readyz, and how many jobs wait."""
        self._context.metrics.fit.set(self._context.health.fit)
        async with self._noted("queue"):
            depth = await self._queue.depth()
            self._context.metrics.queue_depth.set(depth)
        async with self._noted("store"):
            with contextlib.suppress(ObjectMissingError):
                await self._context.buckets.queue.head("queue/none")

    @contextlib.asynccontextmanager
    async def _noted(self, server: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                yield
        except (OctetError, TimeoutError):
            self._trouble[server] = f"the {server} does not answer"
        else:
            self._trouble[server] = ""


class _Outbox(Outbox):
    async def finish(self, delivery: Delivery) -> bool:
        failpoints.reached("callback")
        return await super().finish(delivery)


async def _again(
    every: float, turn: Callable[[], Awaitable[object]], at_once: asyncio.Event | None = None
) -> None:
    """Does something every so many seconds, and as soon as an event is set."""
    at_once = at_once or asyncio.Event()
    while True:
        at_once.clear()
        try:
            await turn()
        except OctetError as error:
            log.debug("%s", error)
        except Exception:
            log.exception("a fault of the housekeeping")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await at_once.wait()
