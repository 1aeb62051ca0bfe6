"""Looks at the message that will be taken next, and leaves it where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octet.errors import MessageError
from octet.jobs import keys
from octet.jobs.job import Job
from octet.jobs.message import read_message
from octet.jobs.queue import record_fields
from octet.jobs.server import queue_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from octet.jobs.message import Complete

_IN_ORDER = (keys.QUEUE_HIGH, keys.QUEUE, keys.QUEUE_LOW)


async def next_job(client: Redis, complete: Complete) -> Job | None:
    """The job that would be claimed next; None while nothing waits, or nothing readable.

    Takes the same time however many wait.

    Raises:
        QueueUnavailableError: the server does not answer.
    """
    async with queue_errors(), client.pipeline(transaction=False) as pipe:
        for name in _IN_ORDER:
            pipe.lindex(name, -1)
        found = await pipe.execute()
    message = next((entry for entry in found if entry is not None), None)
    if message is None:
        return None
    try:
        request = read_message(message, complete).request
    except MessageError:
        return None
    fields = [*record_fields(request, message), "state", "waiting"]
    texts = [part if isinstance(part, bytes) else part.encode() for part in fields]
    return Job.from_record(dict(zip(texts[::2], texts[1::2], strict=True)))
