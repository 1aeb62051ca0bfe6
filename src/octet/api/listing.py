"""The whole queue, listed without holding up anybody else's answer.

Reading ten thousand messages takes a good part of a second of this process' time. A long queue
is therefore read by a thread, and all who ask while it is at it get the next reading together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from octet.jobs.message import complete_alone
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect

if TYPE_CHECKING:
    from octet.jobs.message import Complete
    from octet.jobs.queue import Waiting

_SHORT = 100
"""Messages that are read on the spot."""


class Listing:
    """What waits.

    Args:
        queue: the queue, as this process uses it.
        url: of its server.
        complete: completes the recipes of messages that are not Octet's own.
    """

    def __init__(self, queue: JobQueue, url: str, complete: Complete = complete_alone) -> None:
        self._queue = queue
        self._url = url
        self._complete = complete
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[list[Waiting]] | None = None

    async def waiting(self) -> list[Waiting]:
        """All messages that waited at some moment after the call, in the order of their turn.

        Raises:
            QueueUnavailableError: the server does not answer.
        """
        if await self._queue.depth() <= _SHORT:
            return await self._queue.waiting()
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        return await asyncio.shield(self._next)

    async def songs(self) -> list[str]:
        """The names of the songs among them."""
        return [entry.song for entry in await self.waiting() if entry.song]

    async def find(self, job_id: str) -> Waiting | None:
        """The message of this job that will run first."""
        return next((entry for entry in await self.waiting() if entry.job_id == job_id), None)

    async def _read(self) -> list[Waiting]:
        async with self._one_at_a_time:
            self._next = None  # who asks from now on wants to see what comes from now on
            return await asyncio.to_thread(
                lambda: asyncio.run(_read_all(self._url, self._complete))
            )


async def _read_all(url: str, complete: Complete) -> list[Waiting]:
    client = connect(url)
    try:
        return await JobQueue(client, complete).waiting()
    finally:
        await client.aclose()
