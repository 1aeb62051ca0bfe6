"""The reaper: puts back what has no living owner, and forgets old records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.jobs import keys
from octet.jobs.server import queue_errors, run_script

if TYPE_CHECKING:
    from redis.asyncio import Redis

EVERY = 2.0
"""Seconds between two calls of `Reaper.reap`, by each process that does it."""

INTERRUPTIONS = 10
"""So often the whole service may stop under a job before that counts as an attempt: a job
that brings everything down must not do so for ever."""


@dataclass(frozen=True)
class Reaped:
    """What was done: messages and jobs put back or ended, old records forgotten."""

    messages: int
    jobs: int
    forgotten: int


class Reaper:
    """Any worker and the API may run it, all at once (each step is atomic).

    Args:
        client: made by server.connect().
        keep_days: how long done and cancelled jobs stay recorded. Failed ones stay as long as
            their dead letters.
    """

    def __init__(self, client: Redis, *, keep_days: float = 30.0) -> None:
        self._redis = client
        self._keep = int(keep_days * 86_400_000)

    async def reap(self, *, thorough: bool = False) -> Reaped:
        """Puts back the jobs whose lease ran out, and the messages in the lists of workers
        without a heartbeat, to be taken next. A job that was to be cancelled ends instead.

        Does nothing when somebody else did it within the last second, unless `thorough`.

        Args:
            thorough: looks also for lists of workers that are not known (any more). It takes
                time with the number of keys; to be done when a process starts.

        Raises:
            QueueUnavailableError: the server does not answer.
        """
        orphans = await self._orphans() if thorough else []
        messages, jobs = await run_script(self._redis, "reap", int(thorough), *orphans)
        forgotten = await run_script(self._redis, "forget", self._keep)
        return Reaped(int(messages), int(jobs), int(forgotten))

    async def resume(self) -> Reaped:
        """Puts everything back that workers had, to be taken next; their attempts do not count.

        Only for whoever knows that no worker is alive: after a stop of the whole service.

        Raises:
            QueueUnavailableError: the server does not answer.
        """
        owners = await self._orphans()
        messages, jobs = await run_script(self._redis, "resume", INTERRUPTIONS, *owners)
        return Reaped(int(messages), int(jobs), 0)

    async def _orphans(self) -> list[str]:
        """All workers that have a list, known or not; the script sees which are alive."""
        head, tail = keys.WORKER_JOBS, keys.worker_jobs("")[len(keys.WORKER_JOBS) :]
        async with queue_errors():
            return [
                name.decode().removeprefix(head).removesuffix(tail)
                async for name in self._redis.scan_iter(match=f"{head}*{tail}", count=1000)
            ]
