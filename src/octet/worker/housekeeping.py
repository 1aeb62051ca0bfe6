"""What a worker does beside its jobs, whatever the computation does."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import octet
from octet.errors import OctetError
from octet.jobs.durability import log_durability
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from octet.jobs.reaper import EVERY as REAP_EVERY
from octet.jobs.reaper import Reaper
from octet.outbound.webhooks import deliver
from octet.results.publication import sweep
from octet.worker import failpoints
from octet.worker.tasks import end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from octet.jobs.outbox import Delivery
    from octet.outbound.webhooks import Attempt
    from octet.worker.assignment import Equipment

log = logging.getLogger(__name__)

_DEPTH_EVERY = 5.0
_SWEEP_EVERY = 3600.0
_DURABILITY_EVERY = 86_400.0
_AFTER_A_FAULT = 1.0
_STAGED_LONG_AGO = timedelta(days=2)
"""Longer than any separation takes."""


class Beside:
    """Heartbeat, putting back what others lost, callbacks, figures, tidying: an async context.

    Each goes on after any failure; a server that is away is met again at the next turn.

    Args:
        client: of the queue.
        kit: the worker's equipment.
    """

    def __init__(self, client: Redis, kit: Equipment) -> None:
        self._client = client
        self._kit = kit
        self._reaper = Reaper(client, keep_days=kit.service.keep_days)
        self._reaped = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        turns: list[tuple[float, Callable[[], Awaitable[object]]]] = [
            (self._kit.service.lease / 3, self._heartbeat),
            (REAP_EVERY, self._reap),
            (_SWEEP_EVERY, self._sweep),
            (_AFTER_A_FAULT, self._deliver),
            (_DURABILITY_EVERY, lambda: log_durability(self._client)),
        ]
        if self._kit.service.metrics_port is not None:
            turns.append((_DEPTH_EVERY, self._measure))
        self._tasks = [asyncio.create_task(_again(every, turn)) for every, turn in turns]
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._tasks)

    async def _heartbeat(self) -> None:
        about = {"octet": octet.__version__, "recipe": self._kit.offer.default.to_dict()}
        await self._kit.claims.heartbeat(about)

    async def _reap(self) -> None:
        done = await self._reaper.reap(thorough=not self._reaped)
        self._reaped = True
        if done.messages or done.jobs:
            log.warning("%d jobs of dead workers wait again", done.messages + done.jobs)

    async def _sweep(self) -> None:
        await sweep(self._kit.buckets.output, _STAGED_LONG_AGO)

    async def _deliver(self) -> None:
        def count(attempt: Attempt) -> None:
            self._kit.metrics.callbacks.labels(attempt.end).inc()

        await deliver(self._client, self._kit.service, _Outbox(self._client), count)

    async def _measure(self) -> None:
        self._kit.metrics.queue_depth.set(await JobQueue(self._client).depth())


class _Outbox(Outbox):
    async def finish(self, delivery: Delivery) -> bool:
        failpoints.reached("callback")
        return await super().finish(delivery)


async def _again(every: float, turn: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await turn()
        except OctetError as error:
            log.debug("%s", error)
        except Exception:
            log.exception("a fault beside the jobs")
        await asyncio.sleep(every)
