"""Follows a job as it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octet.jobs import keys
from octet.jobs.job import Job
from octet.jobs.scripts import reaching, reply_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis


async def watch(client: Redis, job_id: str, every: float) -> AsyncIterator[Job]:
    """What `JobQueue.watch` promises."""
    async with reaching(), client.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(keys.EVENTS + job_id)
        while True:
            record = await reply_of(client.hgetall(keys.JOB + job_id))
            if not record:
                return
            job = Job.from_record(record)
            yield job
            if job.ended:
                return
            await channel.get_message(timeout=every)
