"""Brings songs from the buckets to the scratch folder, the next one ahead of time."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.errors import LimitError, MessageError, ObjectMissingError, OctetError
from octet.jobs import keys
from octet.jobs.message import read_message
from octet.jobs.server import queue_errors
from octet.worker.retry import end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from redis.asyncio import Redis

    from octet.jobs.message import Complete
    from octet.storage.headers import ObjectHead
    from octet.storage.open import Buckets

    Places = Sequence[tuple[str, str]]

_LOOK_EVERY = 1.0
"""Seconds between two looks at the queue while nothing waits there."""


@dataclass(frozen=True)
class Fetched:
    """A song on this machine, and which object it was."""

    path: Path
    bucket: str
    head: ObjectHead


class Fetcher:
    """Fetches songs, and at most one ahead.

    What is fetched ahead is not claimed: it waits on the queue as before, for any worker, and
    nothing has to be handed back when this one dies. Only its bytes lie here already.

    Args:
        buckets: where songs lie.
        folder: where they go, each as a file of its own.
        limit: bytes of the largest song accepted.
    """

    def __init__(self, buckets: Buckets, folder: Path, limit: int) -> None:
        self._buckets = buckets
        self._folder = folder
        self._limit = limit
        self._ahead: Fetched | None = None
        self._task: asyncio.Task[None] | None = None
        self._count = 0

    async def fetch(self, places: Places) -> Fetched:
        """A song from the first place that has it. The caller deletes the file.

        Args:
            places: (bucket, object), in the order in which they are tried.

        Raises:
            ObjectMissingError: none of them has it.
            LimitError: it is larger than allowed.
            SettingError: a name that cannot be a bucket's or an object's.
            StorageError: the store refuses, or does not answer.
        """
        await self.close()
        bucket, head = await self._find(places)
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if (ahead.bucket, ahead.head) == (bucket, head):
                return ahead
            ahead.path.unlink(missing_ok=True)
        return await self._download(bucket, head)

    def prefetch(self, next_places: Callable[[], Awaitable[Places | None]]) -> None:
        """Begins to fetch the next song ahead of its claim, unless there is one already.

        Args:
            next_places: where the next song on the queue lies; None while nothing waits.
        """
        if self._ahead is None and self._task is None:
            self._task = asyncio.create_task(self._prefetch(next_places))

    async def discard(self) -> None:
        """Deletes what was fetched ahead, for the room that it takes."""
        await self.close()
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.path.unlink(missing_ok=True)

    async def close(self) -> None:
        """Ends the fetching ahead that is under way."""
        task, self._task = self._task, None
        if task is not None:
            await end([task])

    async def _prefetch(self, next_places: Callable[[], Awaitable[Places | None]]) -> None:
        # Whatever goes wrong here will go wrong again, and be told, once the job is claimed.
        with contextlib.suppress(OctetError):
            while (places := await next_places()) is None:  # noqa: ASYNC110  # it lies on a server
                await asyncio.sleep(_LOOK_EVERY)
            bucket, head = await self._find(places)
            self._ahead = await self._download(bucket, head)

    async def _find(self, places: Places) -> tuple[str, ObjectHead]:
        for bucket, key in places:
            with contextlib.suppress(ObjectMissingError):
                return bucket, await self._buckets.named(bucket).head(key)
        where = " nor ".join(f"{bucket}/{key}" for bucket, key in places)
        raise ObjectMissingError(f"there is no song at {where}", "upload it, then queue it again")

    async def _download(self, bucket: str, head: ObjectHead) -> Fetched:
        if head.size > self._limit:
            raise LimitError(
                f"the song has {head.size} bytes, more than the {self._limit} allowed",
                "OCTET_MAX_BYTES is the limit",
            )
        self._count += 1
        # Without an ending: it often lies (everything is called .mp3 on the queue).
        path = self._folder / f"song-{self._count}"
        head = await self._buckets.named(bucket).download(head.key, path, limit=self._limit)
        return Fetched(path, bucket, head)


async def next_places(client: Redis, complete: Complete, bucket: str) -> Places | None:
    """Where the song of the message lies that would be taken next; it stays on the queue.

    None while nothing waits, or nothing readable. Takes the same time however many wait.

    Args:
        client: of the queue.
        complete: completes the recipes of messages that are not Octet's own.
        bucket: for a message that names none.

    Raises:
        QueueUnavailableError: the server does not answer.
    """
    async with queue_errors(), client.pipeline(transaction=False) as pipe:
        for name in (keys.QUEUE_HIGH, keys.QUEUE, keys.QUEUE_LOW):
            pipe.lindex(name, -1)
        found = await pipe.execute()
    message = next((entry for entry in found if entry is not None), None)
    try:
        return None if message is None else read_message(message, complete).request.places(bucket)
    except MessageError:
        return None
