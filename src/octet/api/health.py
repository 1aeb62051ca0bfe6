"""Whether this process can take jobs in, and what is not as it should be all the same."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from octet.errors import ObjectMissingError, OctetError, QueueError, StorageError
from octet.jobs.durability import log_durability
from octet.results.publication import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

    from octet.jobs.queue import JobQueue
    from octet.results.recipe import Recipe
    from octet.storage.open import Buckets

logger = logging.getLogger("octet.api")

_LOOK_EVERY = 2.0
_WARN_EVERY = 2.0
_LEAST_ROOM = 1024**3
"""Bytes of the store below which it is about to be full."""
_ANSWERS_WITHIN = 2.0
_UPLOADS_END_WITHIN = timedelta(days=1)


class Health:
    """Looks at queue, store and workers.

    Args:
        redis: the queue server.
        queue: on it.
        buckets: the store.
        default: the recipe of those who ask for nothing, which workers should share.
        max_queue: waiting jobs that are too many.

    Attributes:
        closing: set when the process has been asked to end.
        prepared: whether the buckets are there.
    """

    def __init__(
        self, redis: Redis, queue: JobQueue, buckets: Buckets, default: Recipe, max_queue: int
    ) -> None:
        self.closing = asyncio.Event()
        self.prepared = False
        self._redis = redis
        self._queue = queue
        self._buckets = buckets
        self._default = default
        self._max_queue = max_queue
        self._durability: tuple[str, ...] = ()
        self._looked = -_LOOK_EVERY
        self._trouble = ""

    async def prepare(self) -> None:
        """Creates the buckets where they are missing; goes on until the store answers."""
        pause = 0.2
        while not self.prepared:
            try:
                await self._buckets.ensure()
            except OctetError as error:
                logger.warning("the buckets are not ready: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 5.0)
            else:
                self.prepared = True
        with contextlib.suppress(OctetError):
            await sweep(self._buckets.queue, _UPLOADS_END_WITHIN)

    async def look_at_durability(self) -> None:
        """Finds out, once the queue server answers, whether it may lose jobs, and logs it."""
        self._durability = tuple(await log_durability(self._redis))

    async def watch(self) -> None:
        """Logs, until cancelled, what is wrong with workers and store, and when it no longer is.

        What is seen only once is not logged: workers may take a moment longer to start.
        """
        before: set[str] = set()
        logged: set[str] = set()
        while True:
            await asyncio.sleep(_WARN_EVERY)
            try:
                found = {*await self._shortages()}
            except OctetError:
                continue
            for line in sorted((found & before) - logged):
                logger.warning("%s", line)
            for line in sorted(logged - found):
                logger.info("no longer: %s", line)
            logged = (logged & found) | (found & before)
            before = found

    async def trouble(self) -> str:
        """Why no job can be accepted now; empty when one can. The store is asked every 2 s."""
        if self.closing.is_set():
            return "it is about to stop"
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._trouble = await self._look()
            self._looked = time.monotonic()
        return self._trouble or await self._full()

    async def warnings(self) -> list[str]:
        """What works now, and is not as it should be, one line each.

        Raises:
            QueueError, StorageError: queue or store fail.
        """
        return [*self._durability, *await self._shortages()]

    async def _shortages(self) -> list[str]:
        lines = await worker_warnings(self._queue, self._default)
        room = await self._buckets.queue.room()
        if room is not None and room < _LEAST_ROOM:
            lines.append(f"the store has {room // 1024**2} MiB left")
        return lines

    async def is_full(self) -> bool:
        """Whether too many jobs wait.

        Raises:
            QueueUnavailableError: the queue does not answer.
        """
        return await self._queue.depth() >= self._max_queue

    async def _full(self) -> str:
        try:
            return "too many jobs are waiting" if await self.is_full() else ""
        except QueueError:
            return "the queue does not answer"

    async def _look(self) -> str:
        if not self.prepared:
            return "the buckets are not ready"
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                await self._queue.depth()
        except (QueueError, TimeoutError):
            return "the queue does not answer"
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                await self._buckets.queue.head("queue/none")
        except ObjectMissingError:
            return ""
        except (StorageError, TimeoutError):
            return "the store does not answer"
        return ""


async def worker_warnings(queue: JobQueue, default: Recipe) -> list[str]:
    """What is wrong with the workers, one line each: none is there, one is not fit for work, or
    has another default than the API.

    Raises:
        QueueUnavailableError: the queue does not answer.
    """
    workers = await queue.workers()
    if not workers:
        return ["no worker is alive: jobs are accepted, and wait"]
    lines, ours = [], default.to_dict()
    for name, state in workers.items():
        if sick := state.about.get("sick"):
            lines.append(f"worker {name} is not fit for work: {sick}")
        theirs = state.about.get("recipe", ours)
        if theirs != ours:
            lines.append(
                f"worker {name} has another default than the API ({_differences(ours, theirs)}); "
                "it applies to messages of other producers alone"
            )
    return lines


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {theirs.get(name)}, here {ours.get(name)}" for name in names)
