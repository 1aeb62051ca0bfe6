"""The changes of jobs, heard over one subscription for any number of those who follow one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from octet.errors import QueueError
from octet.jobs import keys
from octet.jobs.server import queue_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from redis.asyncio import Redis

_AGAIN = 1.0
"""Seconds between two tries to subscribe, and the longest wait for a message."""


class Followed(Protocol):
    """What can be followed: it ends."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""


Thing = TypeVar("Thing", bound=Followed)


class JobEvents:
    """Wakes those who follow a job when its record has changed.

    One connection listens for all of them (to every job's changes, some small messages a second
    and worker), for as long as there is anybody. It may miss changes while the server is away:
    followers are woken when it is back, and read for themselves.

    Args:
        client: made by server.connect().
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._followers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def following(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job has changed; the follower clears it."""
        changed = asyncio.Event()
        self._followers[job_id].add(changed)
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        try:
            yield changed
        finally:
            self._followers[job_id].discard(changed)
            if not self._followers[job_id]:
                del self._followers[job_id]

    async def ready(self, within: float) -> None:
        """Waits until changes are heard, or so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._listening.wait()
        except TimeoutError:
            return

    async def watch(
        self, job_id: str, read: Callable[[], Awaitable[Thing | None]], *, every: float = 15.0
    ) -> AsyncIterator[Thing]:
        """What `read` gives now, and again each time that it has changed, until it has ended.

        Nothing is missed: it is read after listening has begun, and again at least each `every`
        seconds (and yielded then as well, changed or not). Ends at once when there is none.
        """
        with self.following(job_id) as changed:
            await self.ready(min(every, 2.0))
            while (thing := await read()) is not None:
                yield thing
                if thing.ended:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await changed.wait()
                changed.clear()

    async def _listen(self) -> None:
        """Listens until nobody follows anything."""
        try:
            while self._followers:
                try:
                    await self._subscribed()
                except QueueError:
                    await asyncio.sleep(_AGAIN)
        finally:
            self._task = None

    async def _subscribed(self) -> None:
        head = len(keys.EVENTS)
        async with queue_errors(), self._redis.pubsub() as channel:
            try:
                await channel.psubscribe(f"{keys.EVENTS}*")
                while self._followers:
                    message = await channel.get_message(timeout=_AGAIN)
                    if message is None:
                        continue
                    if message["type"] == "psubscribe":  # again after each broken connection
                        self._listening.set()
                        self._wake(*self._followers)
                    else:
                        self._wake(message["channel"].decode()[head:])
            finally:
                self._listening.clear()

    def _wake(self, *jobs: str) -> None:
        for job in jobs:
            for changed in self._followers.get(job, ()):
                changed.set()
