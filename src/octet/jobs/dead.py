"""Dead letters: jobs that were given up, and messages that could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octet.jobs import keys
from octet.jobs.server import reply_of, run_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis


_REMEMBERED = 600_000
"""Milliseconds for which it is known what became of a letter."""


@dataclass(frozen=True)
class DeadLetter:
    """One of them.

    Attributes:
        id: the job's id, or `message-N` for a message that could not be read.
        job_id: the job's; empty for a message that could not be read.
        message: the bytes from the queue.
        code: the error's code (errors.py); `message` when it could not be read.
        reason: why, for people.
        time: seconds since 1970.
    """

    id: str
    job_id: str
    message: bytes
    code: str
    reason: str
    time: float


class DeadLetters:
    """All of them. They stay until they are replayed or discarded.

    Args:
        client: made by server.connect().
    """

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def count(self) -> int:
        """How many there are."""
        return int(await reply_of(self._redis.zcard(keys.DEAD)))

    async def list(self, *, start: int = 0, limit: int = 50) -> Sequence[DeadLetter]:
        """Some of them, the newest first."""
        ids = await reply_of(self._redis.zrevrange(keys.DEAD, start, start + limit - 1))
        found = [await self.get(name.decode()) for name in ids]
        return [letter for letter in found if letter is not None]

    async def get(self, letter_id: str) -> DeadLetter | None:
        """The letter of this id; None when there is none."""
        record = await reply_of(self._redis.hgetall(keys.DEAD_LETTER + letter_id))
        if not record:
            return None
        return DeadLetter(
            id=letter_id,
            job_id=record.get(b"job", b"").decode(),
            message=record[b"message"],
            code=record[b"code"].decode("utf-8", "replace"),
            reason=record[b"reason"].decode("utf-8", "replace"),
            time=float(record[b"time"]) / 1e3,
        )

    async def replay(self, letter_id: str) -> bool:
        """Puts it back on the queue, a job with its attempts at 0 (atomic).

        Returns:
            False when there is no such letter. True, and nothing happens, for one that was
            replayed within the last minutes: the reply may have been lost on its way.
        """
        return bool(await run_script(self._redis, "replay", letter_id, _REMEMBERED))

    async def discard(self, letter_id: str) -> bool:
        """Forgets it, and the record of its job (atomic).

        Returns:
            As `replay`.
        """
        return bool(await run_script(self._redis, "discard", letter_id, _REMEMBERED))

    async def dropped(self) -> dict[str, int]:
        """How many `letters` and `deliveries` were dropped so far, since there were too many."""
        counts = await reply_of(self._redis.hgetall(keys.DROPPED))
        return {name.decode(): int(count) for name, count in counts.items()}
