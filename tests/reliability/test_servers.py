"""The API, the store or the queue server dies alone, under load (19, 20, 23)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.errors import QueueError
from octet.jobs import keys
from octet.jobs.job import JobRequest
from octet.jobs.server import connect
from tests.chaos import rounds
from tests.reliability.crew import crew
from tests.reliability.programs import start_api
from tests.servers import QueueServer, find_free_port
from tests.worker.service import Service, name_of, song

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.ceph import Ceph

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 7200))]


@dataclass
class Uploads:
    """Clients that upload one song after another, and note which were accepted."""

    port: int
    accepted: list[str] = field(default_factory=list)
    refused: int = 0

    async def go_on(self, first: int) -> None:
        """Until it is cancelled; every fourth song is sent again, as if its answer were lost."""
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", timeout=10, trust_env=False
        ) as client:
            for number in range(first, first + 100_000):
                data = song(number - (number % 4 == 3), 1.0, 44_100)
                try:
                    answer = await client.post("/v1/jobs", content=data)
                except httpx.TransportError:
                    self.refused += 1
                    await asyncio.sleep(0.1)
                else:
                    if answer.is_success:
                        assert answer.json()["id"] == name_of(data)
                        self.accepted.append(name_of(data))
                    else:
                        assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.1)

    async def until(self, count: int) -> None:
        """Returns once so many have been accepted."""
        async with asyncio.timeout(60):
            while len(self.accepted) < count:  # noqa: ASYNC110 - a server stands between
                await asyncio.sleep(0.02)


async def test_the_api_is_killed_under_load(service: Service, record_property: Record) -> None:
    chance, kills = random.Random(19), rounds(3, 50)
    uploads = Uploads(find_free_port())
    # given clients that upload all the time
    with crew(service, OCTET_MODEL="odd-shares") as people:
        people.hire()
        clients = [asyncio.create_task(uploads.go_on(10_000 * one)) for one in range(4)]
        # when the API is killed again and again
        for number in range(kills):
            api = start_api(service, uploads.port)
            await uploads.until(len(uploads.accepted) + 2)
            await asyncio.sleep(chance.uniform(0, 0.5))
            api.kill()
            api.wait()
            assert not any(client.done() for client in clients), f"kill {number}"
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

        # then whatever was accepted is done
        names = list(dict.fromkeys(uploads.accepted))
        jobs = await service.all_ended(names, 60 + 2 * len(names))

    assert {job.outcome for job in jobs} == {"complete"}
    for name in names[:: rounds(1, 10)]:
        await service.check_published(name)
    record_property(
        "figure",
        f"{kills} kills, {uploads.refused} calls broken off, {len(names)} songs accepted, "
        "all complete",
    )


async def test_the_store_is_killed_and_restarted(
    ceph_service: Service, ceph: Ceph, record_property: Record
) -> None:
    chance, kills = random.Random(20), rounds(2, 20)
    # given workers under way
    names = await ceph_service.songs(4 * kills)
    with crew(ceph_service, OCTET_MODEL="odd-slow-1") as people:
        for _ in range(2):
            people.hire()
        # when the store goes again and again, for a moment or for some seconds
        for _ in range(kills):
            await ceph_service.running_any()
            await asyncio.sleep(chance.uniform(0, 1.5))
            ceph.restart_gateway(
                chance.uniform(0, 6)
            )  # the gateway ends with the thread that starts it
        jobs = await ceph_service.all_ended(names, 60 + 5 * len(names))

    # then no job is lost, and none pays for it
    assert {(job.outcome, job.attempts) for job in jobs} == {("complete", 1)}
    for name in names:
        await ceph_service.check_published(name)
    record_property(
        "figure", f"{kills} restarts, {len(names)} jobs, all complete at the first attempt"
    )


@pytest.mark.parametrize("turn", range(rounds(1, 20)))
async def test_redis_restarts_with_a_lost_message(
    tmp_path: Path, record_property: Record, turn: int
) -> None:
    chance = random.Random(turn)
    server = QueueServer("redis", tmp_path, durable=True)
    server.start()
    client = connect(server.url)
    service = Service(client, server.url, (tmp_path / "store").as_uri(), tmp_path / "scratch")
    try:
        # given accepted jobs, some of whose messages somebody has taken away
        await service.buckets.ensure()
        names = [await service.put(song(100 * turn + number)) for number in range(6)]
        for name in names:
            await service.queue.submit(JobRequest(song=name))
        messages = await service.queue.waiting()
        for entry in chance.sample(messages, 3):
            await client.lrem(keys.QUEUE, 1, entry.message.decode())
        left = await service.queue.queue()

        # when the server is killed and starts again, and clients ask for their songs once more
        server.kill()
        server.start()
        await answers(service)
        lost = [name for name in names if name not in left]
        cancelled = await service.queue.cancel(lost[0])
        for name in lost[1:]:
            await service.queue.submit(JobRequest(song=name))
        async with service.worker():
            jobs = await service.all_ended(left + lost[1:])
    finally:
        await client.aclose()
        server.kill()

    # then each is done or cancelled
    assert {job.outcome for job in jobs} == {"complete"}
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    record_property("figure", "3 of 6 messages lost: 2 asked for again and complete, 1 cancelled")


async def answers(service: Service) -> None:
    """Returns once the queue server answers again."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(QueueError):
                await service.queue.depth()
                return
            await asyncio.sleep(0.1)
