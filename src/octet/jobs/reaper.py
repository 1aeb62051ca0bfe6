"""The reaper: puts back what has no living owner, and forgets old records."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.jobs import keys
from octet.jobs.server import queue_errors, run_script

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two calls of `Reaper.reap`, by each process that does it."""

FIND_EVERY = 15.0
"""Seconds between two searches for jobs whose message is gone, by all processes together."""

LOSSES = 3
"""So often a job's message is put back after it has vanished from the queue."""

INTERRUPTIONS = 10
"""So often the whole service may stop under a job before that counts as an attempt: a job
that brings everything down must not do so for ever."""


@dataclass(frozen=True)
class Reaped:
    """What was done.

    Attributes:
        messages, jobs: put back (or ended, if that was asked for), since their owner is gone.
        found: jobs put on the queue again, since their message was gone.
        lost: jobs that were given up, since it vanished again and again.
        forgotten: ended jobs, whose time was over.
        letters, deliveries: dropped, the oldest, since there were too many.
    """

    messages: int = 0
    jobs: int = 0
    found: int = 0
    lost: int = 0
    forgotten: int = 0
    letters: int = 0
    deliveries: int = 0


class Reaper:
    """Any worker and the API may run it, all at once (each step is atomic).

    Args:
        client: made by server.connect().
        keep_days: how long done and cancelled jobs stay recorded. Failed ones stay as long as
            their dead letters.
        most_letters, most_deliveries: the oldest beyond these numbers are dropped, which is
            logged and counted (`octet:dropped`).
    """

    def __init__(
        self,
        client: Redis,
        *,
        keep_days: float = 30.0,
        most_letters: int = 10_000,
        most_deliveries: int = 100_000,
    ) -> None:
        self._redis = client
        self._bounds = (int(keep_days * 86_400_000), most_letters, most_deliveries)

    async def reap(self, *, thorough: bool = False) -> Reaped:
        """Puts back the jobs whose lease ran out, and the messages in the lists of workers
        without a heartbeat, to be taken next. A job that was to be cancelled ends instead. A
        job that waits and whose message is gone is put on the queue again. What was done beyond
        the usual is logged.

        Does nothing when somebody else did it within the last second, unless `thorough`.

        Args:
            thorough: looks also for lists of workers that are not known (any more), and for
                lost messages at once. It takes time with the number of keys; to be done when a
                process starts.

        Raises:
            QueueUnavailableError: the server does not answer.
        """
        orphans = await self._orphans() if thorough else []
        find_every = 0 if thorough else int(FIND_EVERY * 1000)
        done = Reaped(
            *await run_script(self._redis, "reap", int(thorough), *orphans),
            *await run_script(self._redis, "recover", LOSSES, find_every),
            *await run_script(self._redis, "forget", *self._bounds),
        )
        for count, what in (
            (done.messages + done.jobs, "jobs of dead workers wait again"),
            (done.found, "jobs wait again whose message had vanished from the queue"),
            (done.lost, "jobs are dead letters: their message vanished again and again"),
            (done.letters, "of the oldest dead letters were dropped (OCTET_MAX_DEAD)"),
            (done.deliveries, "of the oldest callbacks were dropped (OCTET_MAX_DELIVERIES)"),
        ):
            if count:
                log.warning("%d %s", count, what)
        return done

    async def resume(self) -> Reaped:
        """Puts everything back that workers had, to be taken next; their attempts do not count.

        Only for whoever knows that no worker is alive: after a stop of the whole service.

        Raises:
            QueueUnavailableError: the server does not answer.
        """
        owners = await self._orphans()
        messages, jobs = await run_script(self._redis, "resume", INTERRUPTIONS, *owners)
        return Reaped(messages, jobs)

    async def _orphans(self) -> list[str]:
        """All workers that have a list, known or not; the script sees which are alive."""
        head, tail = keys.WORKER_JOBS, keys.worker_jobs("")[len(keys.WORKER_JOBS) :]
        async with queue_errors():
            return [
                name.decode().removeprefix(head).removesuffix(tail)
                async for name in self._redis.scan_iter(match=f"{head}*{tail}", count=1000)
            ]
