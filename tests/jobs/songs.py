"""Names of songs, requests for them, and waiting for what they become."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from octet.jobs.job import JobRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def song(number: int) -> str:
    """The name of the song with this number: a SHA-256."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def request(number: int, **fields: Any) -> JobRequest:
    """A request for that song, where the contract puts songs."""
    name = song(number)
    fields = {"bucket": "demucs-bucket", "object": f"queue/{name}.mp3", **fields}
    return JobRequest(song=name, **fields)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Waits until it holds; TimeoutError when it does not come to that."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is asked lies on a server
            await asyncio.sleep(0.01)
