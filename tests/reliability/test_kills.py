"""Whatever is killed, and whenever: nothing is lost, nothing is half published (1, 2)."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest

from octet.jobs import keys
from tests.chaos import FULL, rounds
from tests.reliability.crew import crew
from tests.worker.receiver import Receiver
from tests.worker.service import song

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.reliability.crew import Member
    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 7200))]

LEASE = 2.0
BOUNDARIES = ["claim", "separation", "manifest", "acknowledgement", "callback"]
# A result of eight tracks: eight uploads; the fence is passed once before the first step that
# others can see, once before each copy, and once before the manifest.
BOUNDARIES += (
    ["download"]
    + [f"upload:{number}" for number in range(1, 9)]
    + [f"publish:{number}" for number in range(1, 11)]
    if FULL
    else ["upload:4", "publish:5", "publish:10"]
)


AT_ONCE = 8
"""Workers that start together: more of them keep one another from renewing their leases."""


async def whole_or_nothing(service: Service, names: list[str]) -> int:
    """Asserts that what has a manifest is whole; how many there are."""
    published = 0
    for name in names:
        if await service.manifest(name) is not None:
            await service.check_published(name)
            published += 1
    return published


async def taken_up_again(service: Service, victim: Member, since: float) -> float | None:
    """Seconds from the death of a worker until nothing is in its hands any more.

    None if nothing was in its hands when it died.
    """
    running = (await service.queue.jobs(state="running")).jobs
    orphans = [job.id for job in running if job.worker == victim.name]
    if not orphans:
        return None
    async with asyncio.timeout(LEASE + 5):
        while True:
            jobs = [await service.job(name) for name in orphans]
            if not any(job.state == "running" and job.worker == victim.name for job in jobs):
                return time.monotonic() - since
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("model", "kills", "seconds"),
    [("odd-slow-1", rounds(2, 180), 0.2), ("pocket", rounds(1, 20), 6.0)],
)
async def test_workers_killed_at_random_moments(
    service: Service, record_property: Record, model: str, kills: int, seconds: float
) -> None:
    record_property("figure", await killed_at_random(service, model, kills, seconds))


async def test_workers_killed_at_random_moments_on_s3(
    ceph_service: Service, record_property: Record
) -> None:
    figure = await killed_at_random(ceph_service, "odd-slow-1", rounds(2, 180), 0.2)
    record_property("figure", f"S3, {figure}")


async def killed_at_random(service: Service, model: str, kills: int, seconds: float) -> str:
    """Kills workers while songs come in; nothing is lost. Returns the figures."""
    chance = random.Random(1)
    # So many attempts that no job runs out of them by bad luck: that is another test.
    settings = {"OCTET_MODEL": model, "OCTET_LEASE": str(LEASE), "OCTET_ATTEMPTS": "50"}
    names: list[str] = []
    waits: list[float] = []
    with crew(service, **settings) as people:
        for _ in range(2):
            people.hire()
        for number in range(kills):
            for copy in range(2):
                names.append(await service.put(song(2 * number + copy, seconds, 44_100)))
                await service.push(names[-1])
            await service.running_any()
            await asyncio.sleep(chance.uniform(0, 1.5))
            victim = chance.choice(people.members)
            people.kill(victim)
            began = time.monotonic()
            people.hire()
            await whole_or_nothing(service, names[-8:])
            wait = await taken_up_again(service, victim, began)
            if wait is not None:
                waits.append(wait)
        jobs = await service.all_ended(names, 60 + 3 * len(names))

    assert {job.outcome for job in jobs} == {"complete"}
    assert await whole_or_nothing(service, names) == len(names)
    assert await service.client.llen(keys.INFLIGHT) == 0
    return (
        f"{model}: {kills} kills, {len(names)} jobs, all complete; {len(waits)} jobs lost their "
        f"worker and were back within {max(waits, default=0):.1f} s (lease {LEASE:g} s)"
    )


@pytest.mark.parametrize("turn", range(rounds(1, 20)))
async def test_workers_killed_at_each_boundary(
    service: Service, record_property: Record, turn: int
) -> None:
    record_property("figure", await killed_at_boundaries(service, turn))


@pytest.mark.parametrize("turn", range(rounds(1, 20)))
async def test_workers_killed_at_each_boundary_on_s3(
    ceph_service: Service, record_property: Record, turn: int
) -> None:
    record_property("figure", f"S3: {await killed_at_boundaries(ceph_service, turn)}")


async def killed_at_boundaries(service: Service, turn: int) -> str:
    """Kills a worker at each boundary; nothing is lost. Returns the figures."""
    names = [await service.put(song(100 * turn + number)) for number in range(2 * len(BOUNDARIES))]
    environment = {
        "OCTET_LEASE": str(LEASE),
        "OCTET_ATTEMPTS": "50",
        "OCTET_ALLOW_HOSTS": "127.0.0.1",
    }
    with Receiver() as receiver, crew(service, **environment) as people:
        for name in names:
            await service.push(name, callback={"url": receiver.url, "data": name})
        for start in range(0, len(BOUNDARIES), AT_ONCE):
            some = BOUNDARIES[start : start + AT_ONCE]
            for boundary in some:
                people.hire(OCTET_FAILPOINT=boundary)

            assert await people.all_dead() == [-9] * len(some)
            people.members.clear()
        await whole_or_nothing(service, names)

        async with service.worker(lease=LEASE, attempts=50, allow_hosts=("127.0.0.1",)):
            jobs = await service.all_ended(names)
            got = await receiver.all_of(len(names))

    assert {job.outcome for job in jobs} == {"complete"}
    assert await whole_or_nothing(service, names) == len(names)
    assert set(got) == {f'"{name}"' for name in names}, "each callback arrives"
    assert all(len(ids) == 1 for ids in got.values()), "under one id, however often"
    return f"{len(BOUNDARIES)} boundaries, {len(names)} jobs, all complete"
