"""Who has lost its lease publishes nothing, wherever it was when it fell asleep (6, 11)."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from octet.jobs import keys
from octet.jobs.reaper import Reaper
from tests.chaos import FULL, rounds
from tests.reliability.crew import crew
from tests.worker.service import song

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.reliability.crew import Member
    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 7200))]

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

LEASE = 2.5
# Asleep after the fence was passed and before the step that it allowed: the worst moments.
MOMENTS: tuple[str, ...] = ("upload:4", "publish:5", "publish:10")
if FULL:
    MOMENTS += ("separation:1", "publish:1")
# Of those, a local folder has the ones in which no put is under way: whoever is suspended in
# the milliseconds in which it holds the folder's lock holds up all writers of the machine.
QUIET_MOMENTS: tuple[str, ...] = (
    ("download:1", "upload:1", "publish:1", "publish:10") if FULL else ("publish:10",)
)


def asleep(member: Member) -> bool:
    """Whether SIGSTOP has stopped a worker."""
    text = Path(f"/proc/{member.process.pid}/stat").read_text(encoding="ascii")
    return text.rpartition(")")[2].split()[0] == "T"


async def until_asleep(people: list[Member], seconds: float = 90.0) -> None:
    async with asyncio.timeout(seconds):
        while not all(asleep(member) for member in people):  # noqa: ASYNC110 - the system knows
            await asyncio.sleep(0.05)


async def snapshot(service: Service) -> dict[str, tuple[str, bytes]]:
    """All objects: when each was put last, and its bytes."""
    bucket = service.buckets.output
    return {
        key: (str((await bucket.head(key)).modified), await bucket.get_bytes(key))
        for key in await service.objects()
    }


@linux
@pytest.mark.parametrize("turn", range(rounds(1, 10)))
async def test_a_worker_that_wakes_up_too_late_publishes_nothing(
    ceph_service: Service, record_property: Record, turn: int
) -> None:
    await late_workers(ceph_service, MOMENTS, turn)
    record_property("figure", f"S3: {len(MOMENTS)} of {len(MOMENTS)} published nothing")


@linux
@pytest.mark.parametrize("turn", range(rounds(1, 5)))
async def test_a_worker_that_wakes_up_too_late_publishes_nothing_in_a_folder(
    service: Service, record_property: Record, turn: int
) -> None:
    await late_workers(service, QUIET_MOMENTS, turn)
    record_property("figure", f"folder: {len(QUIET_MOMENTS)} of {len(QUIET_MOMENTS)} likewise")


async def late_workers(service: Service, moments: tuple[str, ...], turn: int) -> None:
    """Workers fall asleep at these moments, others take over, and they wake up."""
    # More than one each: on a busy machine a worker may lose its lease before it gets there.
    names = [await service.put(song(100 * turn + number)) for number in range(3 * len(moments))]
    for name in names:
        await service.push(name)
    with crew(service, OCTET_LEASE=str(LEASE), OCTET_ATTEMPTS="50") as people:
        for moment in moments:
            people.hire(OCTET_FAILPOINT=f"{moment}:STOP")
        await until_asleep(people.members)

        async with service.worker(lease=LEASE, attempts=50):
            jobs = await service.all_ended(names)
        before = await snapshot(service)
        for member in people.members:
            member.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(2 * LEASE)
        for member in people.members:
            member.process.send_signal(signal.SIGTERM)
        assert await people.all_dead() == [0] * len(moments)

    assert {job.outcome for job in jobs} == {"complete"}
    assert await snapshot(service) == before, "nothing was touched after the end"
    for name in names:
        await service.check_published(name)
    assert not await service.staged()


async def test_two_workers_on_one_job_publish_one_manifest(
    service: Service, record_property: Record
) -> None:
    record_property("figure", await two_on_one_job(service))


async def test_two_workers_on_one_job_publish_one_manifest_on_s3(
    ceph_service: Service, record_property: Record
) -> None:
    record_property("figure", f"S3: {await two_on_one_job(ceph_service)}")


async def two_on_one_job(service: Service) -> str:
    """Takes the lease from a worker again and again; one result each. Returns the figures."""
    chance = random.Random(2)
    count = rounds(4, 200)
    settings = {"model": "odd-shares"}
    overlaps = 0
    async with (
        service.worker(settings, attempts=50),
        service.worker(settings, attempts=50),
    ):
        for number in range(count):
            name = await service.put(song(number, 1.0, 44_100))
            await service.push(name)
            first = await service.running(name)
            await asyncio.sleep(chance.uniform(0, 0.8))
            # The lease is taken from the first, who does not know yet.
            if (await service.job(name)).state == "running":
                await service.client.hset(keys.JOB + name, "lease", 1)
                await Reaper(service.client).reap(thorough=True)
            job = await service.ended(name)
            overlaps += job.attempts > first.attempts

            assert job.outcome == "complete"
            await service.check_published(name)

    assert await service.queue.depth() == 0
    assert await service.client.llen(keys.INFLIGHT) == 0
    assert overlaps, "the two never met"
    return f"{count} jobs, {overlaps} of them taken over half-way: one manifest each"
