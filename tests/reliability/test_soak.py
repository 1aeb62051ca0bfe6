"""Hours of songs, and somebody dies every minute: nothing grows, nothing is left behind (17)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

import psutil
import pytest

from octet.jobs import keys
from octet.tracks import TRACKS
from tests.chaos import FULL, rounds
from tests.reliability.crew import crew
from tests.reliability.programs import api_process, descriptors, memory
from tests.worker.service import song

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from tests.reliability.crew import Crew, Member
    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 3600))]

WARM_UP = rounds(2, 180)
SECONDS = rounds(4, 600)
BETWEEN_KILLS = rounds(2, 60)
LEASE = 3.0
GROWTH = 1.05


@dataclass
class Load:
    """A client that posts songs without end, and fetches some of what was made of them."""

    api: httpx.AsyncClient
    names: list[str] = field(default_factory=list)
    fetched: int = 0
    enough: bool = False

    async def go_on(self) -> None:
        """Until it is enough; any answer that is an error is one of the test."""
        while not self.enough:
            data = song(len(self.names), 0.5, 44_100)
            answer = await self.api.post("/v1/jobs", content=data)
            assert answer.status_code == 202, answer.text
            self.names.append(str(answer.json()["id"]))
            early = self.names[len(self.names) // 2]
            answer = await self.api.get(f"/v1/songs/{early}/tracks/vocals")
            assert answer.status_code in (200, 404)
            self.fetched += answer.status_code == 200
            await asyncio.sleep(0.4)


@dataclass(frozen=True)
class Figures:
    """What a process takes: MiB in memory, and descriptors while no song is in its hands."""

    memory: float
    descriptors: int

    @classmethod
    async def of(cls, pid: int) -> Figures:
        """Of a few moments the median, and the least: songs in the works hold some for a while."""
        moments = []
        for _ in range(rounds(3, 20)):
            moments.append((memory(pid), descriptors(pid)))
            await asyncio.sleep(0.2)
        taken, open_ones = zip(*moments, strict=True)
        return cls(median(taken), min(open_ones))


async def some_done(service: Service) -> None:
    """Returns once songs come through."""
    async with asyncio.timeout(60):
        while (await service.queue.counts())["done"] < 5:  # noqa: ASYNC110 - it lies on a server
            await asyncio.sleep(0.1)


async def kill_some(people: Crew, steady: Member, seconds: float, chance: random.Random) -> int:
    """Kills somebody again and again: a worker, or the process that computes for one."""
    kills, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(min(BETWEEN_KILLS, max(0.0, end - time.monotonic())))
        victim = chance.choice(people.members)
        computing = psutil.Process(victim.process.pid).children()
        if victim is steady or (computing and chance.random() < 0.5):
            for child in computing:
                os.kill(child.pid, signal.SIGKILL)
        else:
            people.kill(victim)
            people.hire()
        kills += 1
    return kills


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_soak_with_kills_leaks_nothing(
    service: Service, tmp_path: Path, record_property: Record
) -> None:
    record_property("figure", await soak(service, tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_soak_with_kills_leaks_nothing_on_s3(
    ceph_service: Service, tmp_path: Path, record_property: Record
) -> None:
    record_property("figure", f"S3: {await soak(ceph_service, tmp_path)}")


async def soak(service: Service, tmp_path: Path) -> str:
    """Songs, and kills, for a while; nothing is left or has grown. Returns the figures."""
    chance = random.Random(17)
    settings = {"OCTET_LEASE": str(LEASE), "OCTET_ATTEMPTS": "50"}
    # given an API and three workers, one of whom nobody kills, warm from some work
    async with api_process(service) as (api_pid, api):
        with crew(service, **settings) as people:
            steady = people.hire()
            pids = {"API": api_pid, "worker": steady.process.pid}
            load = Load(api)
            working = asyncio.create_task(load.go_on())
            await some_done(service)
            for _ in range(2):
                people.hire()
            await kill_some(people, steady, WARM_UP, chance)
            before = {name: await Figures.of(pid) for name, pid in pids.items()}

            # when the work goes on, and somebody is killed now and then
            kills = await kill_some(people, steady, SECONDS, chance)
            after = {name: await Figures.of(pid) for name, pid in pids.items()}
            load.enough = True
            await working
            jobs = await service.all_ended(load.names, 300)
            for member in people.members:
                member.process.send_signal(signal.SIGTERM)
            assert set(await people.all_dead()) == {0}

    # then everything is complete
    assert {job.outcome for job in jobs} == {"complete"}
    objects = await service.objects()
    assert len(objects) == len(load.names) * (len(TRACKS) + 1)
    for name in load.names[:: rounds(1, 20)]:
        await service.check_published(name)
    # and nobody has grown
    for name in pids:
        assert after[name].descriptors <= before[name].descriptors + 2, name
        assert not FULL or after[name].memory < before[name].memory * GROWTH, (before, after)
    await check_nothing_is_left(service, tmp_path)
    grown = ", ".join(
        f"{name} from {before[name].memory:.1f} to {after[name].memory:.1f} MiB" for name in pids
    )
    return (
        f"{SECONDS} s, {kills} kills, {len(jobs)} jobs, all complete, {load.fetched} tracks"
        f" fetched; {grown}; no file, descriptor or lease left over"
    )


async def check_nothing_is_left(service: Service, folder: Path) -> None:
    """Asserts that there are no leases, and no files but songs and results."""
    await asyncio.sleep(LEASE + 1)
    assert await service.client.llen(keys.INFLIGHT) == await service.queue.depth() == 0
    assert await service.queue.workers() == {}
    assert not [key async for key in service.client.scan_iter(f"{keys.WORKER_JOBS}*")]
    assert not await service.staged()
    left = [path for path in service.scratch.rglob("*") if path.is_file()]
    assert not left, "scratch files"
    hidden = [path for path in (folder / "store").rglob(".*") if path.is_file()]
    assert not hidden, "halves of files in the store"
