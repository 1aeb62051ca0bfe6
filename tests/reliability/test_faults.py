"""A network and a store that keep failing lose nothing, and double nothing (10)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.jobs import keys
from tests.api.conftest import serving
from tests.chaos import rounds
from tests.reliability.crew import crew
from tests.reliability.faults import FaultyLine, Shares, StoreLine
from tests.worker.service import name_of, song

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from octet.settings import ServiceSettings
    from tests.ceph import Ceph
    from tests.reliability.crew import Crew
    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 7200))]

JOBS = rounds(4, 500)
LATE = rounds(2, 5)
LEASE = rounds(1, 4)
"""Shorter than a late answer takes: that costs the lease, and others take over."""

QUEUE_FAULTS = Shares(reset=0.01, late=0.001, lost=0.01, cut=0.005)
STORE_FAULTS = Shares(reset=0.01, refused=0.1, late=0.002, lost=0.01, cut=0.01)


@dataclass
class Lines:
    """The ways to the queue and to the store, and what the settings call them."""

    queue: FaultyLine
    store: StoreLine

    @property
    def environment(self) -> dict[str, str]:
        """For processes."""
        return {
            "OCTET_REDIS_URL": f"redis://127.0.0.1:{self.queue.port}/0",
            "MINIO_ENDPOINT": f"127.0.0.1:{self.store.port}",
        }

    def settings(self, service: Service) -> ServiceSettings:
        """For an API in this process."""
        endpoint = self.environment["MINIO_ENDPOINT"]
        url = self.environment["OCTET_REDIS_URL"]
        return service.settings(redis_url=url, minio_endpoint=endpoint, port=0)

    def break_down(self) -> None:
        """From now on things go wrong."""
        self.queue.shares, self.store.shares = QUEUE_FAULTS, STORE_FAULTS

    def happened(self, what: str) -> int:
        """How often something went wrong, on both."""
        return self.queue.happened[what] + self.store.happened[what]


@asynccontextmanager
async def faulty_lines(service: Service, ceph: Ceph) -> AsyncIterator[Lines]:
    """Lines that work, until they are told to break down."""
    port = int(service.url.rpartition(":")[2].partition("/")[0])
    queue, store = FaultyLine(port, 10, LATE), StoreLine(ceph.port, 11, LATE)
    async with queue.open(), store.open():
        yield Lines(queue, store)


@asynccontextmanager
async def client_of(settings: ServiceSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API with these settings, which runs in a thread of its own."""
    api = serving(settings)
    url = await asyncio.to_thread(api.__enter__)
    try:
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            yield client
    finally:
        await asyncio.to_thread(api.__exit__, None, None, None)


async def post(api: httpx.AsyncClient, number: int) -> str:
    """Posts a song as a careful client does: again and again, under one key; its name."""
    data = song(number, 0.5, 44_100)
    name = name_of(data)
    while True:
        answer = await api.post("/v1/jobs", content=data, headers={"Idempotency-Key": name})
        if answer.status_code in (200, 202):
            assert answer.json()["id"] == name
            return name
        assert answer.status_code in (502, 503), answer.text
        await asyncio.sleep(0.1)


async def post_all(api: httpx.AsyncClient, numbers: range) -> list[str]:
    """Posts songs, a few at a time; their names."""
    gate = asyncio.Semaphore(4)

    async def one(number: int) -> str:
        async with gate:
            return await post(api, number)

    return list(await asyncio.gather(*(one(number) for number in numbers)))


async def places(service: Service, people: Crew) -> list[str]:
    """The names of all jobs that wait, are being moved, or run, at one moment; all places."""
    inboxes = [keys.worker_jobs(member.name) for member in people.members]
    async with service.client.pipeline(transaction=True) as pipe:
        for key in (keys.QUEUE_HIGH, keys.QUEUE, keys.QUEUE_LOW, *inboxes):
            pipe.lrange(key, 0, -1)
        pipe.lrange(keys.INFLIGHT, 0, -1)
        *lists, running = await pipe.execute()
    waiting = [json.loads(message)["hash"] for messages in lists for message in messages]
    return [*waiting, *(name.decode() for name in running)]


async def check_places(service: Service, people: Crew) -> None:
    """Asserts for ever that no job is in two places."""
    while True:
        found = await places(service, people)
        assert len(found) == len(set(found)), "a job was enqueued twice"
        await asyncio.sleep(0.1)


async def check_track(api: httpx.AsyncClient, service: Service, name: str) -> None:
    """Asserts that a result is whole, in the store and as the API hands it out."""
    manifest = await service.check_published(name)
    while True:
        with suppress(httpx.TransportError):  # cut off, and seen to be
            answer = await api.get(f"/v1/songs/{name}/tracks/other")
            if answer.status_code == 200:
                break
            assert answer.status_code in (502, 503), answer.text
    assert hashlib.sha256(answer.content).hexdigest() == manifest["tracks"]["other"]["sha256"]


async def test_faults_of_queue_and_store_lose_nothing_and_double_nothing(
    ceph_service: Service, ceph: Ceph, record_property: Record
) -> None:
    service = ceph_service
    settings = {"OCTET_LEASE": str(LEASE), "OCTET_ATTEMPTS": "50"}
    async with (
        faulty_lines(service, ceph) as lines,
        client_of(lines.settings(service)) as api,
    ):
        lines.break_down()
        # given songs that were posted while no worker was there
        names = await post_all(api, range(JOBS // 2))
        with crew(service, **settings, **lines.environment) as people:
            assert sorted(await places(service, people)) == sorted(names)

            # when workers begin, and more songs come
            watching = asyncio.create_task(check_places(service, people))
            for _ in range(3):
                people.hire()
            names += await post_all(api, range(JOBS // 2, JOBS))
            jobs = await service.all_ended(names, 60 + 10 * JOBS)
            if not watching.cancel():
                await watching

        # then all of them are complete, and what was sent and made is what is stored
        assert {job.outcome for job in jobs} == {"complete"}
        for name in names:
            assert name_of(await service.buckets.queue.get_bytes(f"queue/{name}.mp3")) == name
            await check_track(api, service, name)
    assert await service.client.llen(keys.INFLIGHT) == await service.queue.depth() == 0
    record_property("figure", _told(lines, len(names)))


def _told(lines: Lines, jobs: int) -> str:
    """What went wrong how often, and what came of it."""
    happened = lines.happened
    return (
        f"{jobs} jobs, all complete, none in two places, all checksums right, in spite of"
        f" {happened('reset')} resets, {happened('late')} answers {LATE} s late,"
        f" {happened('lost')} lost, {happened('cut')} cut in half, and"
        f" {lines.store.happened['refused']} of {lines.store.happened['requests']} requests to"
        f" S3 answered 500 or 503 (lease {LEASE} s)"
    )
