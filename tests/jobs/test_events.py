"""Any number of followers over one subscription, which comes back when it is cut."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from octet.jobs.claims import Claims
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect
from tests.jobs.songs import request, song, until
from tests.servers import QueueServer

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

    from octet.jobs.job import State

pytestmark = pytest.mark.anyio


async def subscriptions(client: Redis) -> int:
    return len(await client.client_list(_type="pubsub"))


async def follow(queue: JobQueue, number: int, *, every: float = 60) -> list[State]:
    return [job.state async for job in queue.watch(song(number), every=every)]


async def test_hundreds_of_followers_share_one_connection(client: Redis, queue: JobQueue) -> None:
    # given three hundred followers of ten jobs
    for number in range(10):
        await queue.submit(request(number))
    seen: list[list[State]] = [[] for _ in range(300)]

    async def follow(number: int) -> None:
        async for job in queue.watch(song(number % 10), every=60):
            seen[number].append(job.state)

    following = [asyncio.create_task(follow(number)) for number in range(300)]

    async def all_there() -> bool:
        return all(seen)

    await until(all_there)
    assert await subscriptions(client) == 1
    assert len(await client.client_list(_type="normal")) < 200

    # when the jobs run to their ends
    claims = Claims(client, "worker-1")
    while (claim := await claims.take(wait=0)) is not None:
        await claims.finish(claim, "complete")

    # then each follower hears of it without waiting for its next look, and nobody listens any more
    await asyncio.wait_for(asyncio.gather(*following), 40)
    assert {(states[0], states[-1]) for states in seen} == {("waiting", "done")}

    async def none_left() -> bool:
        return await subscriptions(client) == 0

    await until(none_left)


async def test_a_subscription_that_is_cut_comes_back(client: Redis, queue: JobQueue) -> None:
    # given a follower whose connection is cut
    await queue.submit(request(1))
    following = asyncio.create_task(follow(queue, 1))

    async def is_heard() -> bool:
        return await subscriptions(client) == 1

    await until(is_heard)
    await client.client_kill_filter(_type="pubsub")
    await until(is_heard)

    # when the job is cancelled, then it is told of that
    await queue.cancel(song(1))
    assert (await asyncio.wait_for(following, 10))[-1] == "cancelled"


async def test_a_follower_hears_what_came_after_the_last_one_left(queue: JobQueue) -> None:
    for number in range(5):
        await queue.submit(request(number))
        following = asyncio.create_task(follow(queue, number))
        await asyncio.sleep(0.05 * number)
        await queue.cancel(song(number))
        assert (await asyncio.wait_for(following, 10))[-1] == "cancelled"


async def test_followers_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    # given a follower of a job on a durable server
    server = QueueServer("redis", tmp_path, durable=True)
    server.start()
    async with connect(server.url) as client:
        queue = JobQueue(client)
        await queue.submit(request(1))
        following = asyncio.create_task(follow(queue, 1))
        await asyncio.sleep(0.5)

        # when the server is killed, started again, and the job is cancelled
        server.kill()
        server.start()
        await queue.cancel(song(1))

        # then the follower hears of it
        assert (await asyncio.wait_for(following, 20))[-1] == "cancelled"
    server.stop()
