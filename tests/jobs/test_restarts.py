"""The queue server is killed with -9 under load, and nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from octet.errors import LeaseLostError, QueueUnavailableError
from octet.jobs.claims import Claims
from octet.jobs.job import Callback
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from octet.jobs.reaper import Reaper
from octet.jobs.server import connect
from tests.chaos import rounds
from tests.jobs.songs import request
from tests.servers import BINARIES, QueueServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 1800))]


@pytest.fixture(params=BINARIES)
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QueueServer]:
    """A server that syncs each write to its disk."""
    server = QueueServer(request.param, tmp_path, durable=True)
    server.start()
    yield server
    server.stop()


class Load:
    """One producer and one worker, who go on whatever happens to the server."""

    def __init__(self, url: str) -> None:
        self.client = connect(url)
        self.accepted: list[int] = []
        self.stopping = False

    async def produce(self) -> None:
        queue, number = JobQueue(self.client), 0
        while not self.stopping:
            with suppress(QueueUnavailableError):
                await queue.submit(request(number, callbacks=(Callback(f"http://{number}/"),)))
                self.accepted.append(number)
                number += 1
            await asyncio.sleep(0.002)

    async def work(self, name: str) -> None:
        claims, reaper = Claims(self.client, name, lease=1.0), Reaper(self.client)
        while not self.stopping:
            with suppress(QueueUnavailableError, LeaseLostError):
                await reaper.reap()
                claim = await claims.take(wait=0.05)
                if claim is not None:
                    await claims.finish(claim, "complete")


async def test_a_killed_server_loses_no_accepted_job(
    durable: QueueServer, record_property: Callable[[str, object], None]
) -> None:
    """Reliability 9."""
    kills = rounds(3, 50)
    chance = random.Random(9)
    load = Load(durable.url)
    tasks = [asyncio.create_task(load.produce())]
    tasks += [asyncio.create_task(load.work(f"worker-{number}")) for number in range(2)]

    # when the server is killed and started again, again and again
    for _ in range(kills):
        before = len(load.accepted)
        await asyncio.sleep(chance.uniform(0.2, 0.6))
        await asyncio.to_thread(durable.kill)
        await asyncio.to_thread(durable.start)
        async with asyncio.timeout(30):
            while len(load.accepted) <= before:
                for task in tasks:
                    assert not task.done(), task.exception()
                await asyncio.sleep(0.01)
    load.stopping = True
    await asyncio.gather(*tasks)

    # then what was accepted is done or still there, and when the rest has run, all is done
    queue, claims = JobQueue(load.client), Claims(load.client, "worker-9")
    await asyncio.sleep(1.1)  # the leases of what was cut off run out
    await Reaper(load.client).reap(thorough=True)
    while (claim := await claims.take(wait=0)) is not None:
        await claims.finish(claim, "complete")
    for number in load.accepted:
        job = await queue.get(request(number).job_id)
        assert job is not None
        assert job.state == "done"
    deliveries = await Outbox(load.client).claim(limit=100_000)
    told = [delivery.url for delivery in deliveries]
    assert len(told) == len(set(told))
    assert set(told) >= {f"http://{number}/" for number in load.accepted}
    await load.client.aclose()
    record_property(
        "figure", f"{kills} kills, {len(load.accepted)} jobs accepted, all done and told of once"
    )
