"""Songs that kill, hang or fill the memory harm themselves alone (4, 5, 7)."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos import rounds
from tests.reliability.crew import crew
from tests.worker.odd_compute import CGROUP
from tests.worker.service import song

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octet.jobs.job import Job
    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 1800))]

NEIGHBOURS = rounds(10, 50)
_MIB = 1024**2


async def test_a_job_that_kills_its_process_gets_three_attempts(
    service: Service, record_property: Record
) -> None:
    neighbours = await service.songs(NEIGHBOURS // 2)
    poison = await service.put(song(1000))
    await service.push(poison, model="odd-kill")
    for number in range(NEIGHBOURS // 2, NEIGHBOURS):
        neighbours.append(await service.put(song(number)))
        await service.push(neighbours[-1])

    async with service.worker(fallback=("original",)):
        jobs = await service.all_ended(neighbours)
        [poisoned] = [
            await service.ended(job.id)
            for job in (await service.queue.jobs(limit=200)).jobs
            if job.song == poison
        ]

    assert (poisoned.attempts, poisoned.outcome) == (3, "fallback")
    assert poisoned.error is not None
    assert "killed by signal 9" in poisoned.error.message
    assert {(job.outcome, job.attempts) for job in jobs} == {("complete", 1)}
    record_property("figure", f"3 attempts, then the fallback; {len(jobs)} neighbours complete")


async def test_a_job_that_kills_the_whole_worker_gets_three_attempts(
    service: Service, record_property: Record
) -> None:
    poison = await service.put(song(1000))
    await service.push(poison, model="odd-murder")
    neighbours = await service.songs(NEIGHBOURS)
    lease = 1.0

    deaths = 0
    with crew(service, OCTET_LEASE=str(lease), OCTET_FALLBACK="original") as people:
        async with asyncio.timeout(rounds(100, 1000)):
            member = people.hire()
            while (job := await find(service, poison)) is None or not job.ended:
                if member.process.poll() is not None:
                    deaths += 1
                    member = people.hire()
                await asyncio.sleep(0.05)
            jobs = await service.all_ended(neighbours)

    assert job.outcome == "fallback"
    assert (deaths, job.attempts) == (3, 3)
    assert {one.outcome for one in jobs} == {"complete"}
    assert {one.attempts for one in jobs} == {1}, "no neighbour pays for it"
    record_property(
        "figure", f"3 workers died; {len(jobs)} neighbours complete at the first attempt"
    )


async def find(service: Service, song_name: str) -> Job | None:
    """The job of a song, whatever its recipe."""
    jobs = (await service.queue.jobs(limit=200)).jobs
    return next((job for job in jobs if job.song == song_name), None)


@contextlib.contextmanager
def control_group(limit: int) -> Iterator[Path]:
    """A control group with so many bytes of memory; skips where none can be made."""
    name = f"octet-{uuid.uuid4().hex[:8]}"
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    folder = (old if old.is_dir() else new) / name
    files = (
        {"memory.limit_in_bytes": limit}
        if old.is_dir()
        else {"memory.max": limit, "memory.swap.max": 0}
    )
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror}")
    try:
        try:
            for file, value in files.items():
                (folder / file).write_text(str(value), encoding="ascii")
        except OSError as error:
            pytest.skip(f"no memory can be limited here: {error.strerror}")
        yield folder
    finally:
        for _ in range(50):
            with contextlib.suppress(OSError):
                folder.rmdir()
                break


async def test_an_out_of_memory_kill_by_the_kernel_costs_an_attempt(
    service: Service, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    with control_group(300 * _MIB) as group:
        monkeypatch.setenv(CGROUP, str(group))
        hungry = await service.put(song(1000))
        await service.push(hungry, model="odd-hog")
        [neighbour] = await service.songs(1)

        async with service.worker(fallback="none"):
            job = await service.ended(neighbour)
            async with asyncio.timeout(60):
                while (found := await find(service, hungry)) is None or not found.ended:  # noqa: ASYNC110 - it lies on a server
                    await asyncio.sleep(0.05)
            after = await service.put(song(2000))
            await service.push(after)
            again = await service.ended(after)

    assert (found.state, found.attempts) == ("failed", 3)
    assert found.error is not None
    assert "out of memory, or killed by signal 9" in found.error.message
    assert (job.outcome, again.outcome) == ("complete", "complete")
    record_property("figure", "killed by the kernel at 300 MiB, 3 attempts, the next job complete")


async def test_a_long_job_that_holds_the_interpreter_s_lock_is_claimed_once(
    service: Service, record_property: Record
) -> None:
    lease, length = rounds(1, 6), rounds(10, 60)
    name = await service.put(song())
    await service.push(name)

    async with (
        service.worker({"model": f"odd-hold-{length}"}, lease=lease),
        service.worker({"model": f"odd-hold-{length}"}, lease=lease),
    ):
        job = await service.ended(name, length + 60)

    assert (job.outcome, job.attempts) == ("complete", 1)
    assert job.finished is not None
    assert job.started is not None
    assert job.finished - job.started >= length
    record_property("figure", f"{length} s with a lease of {lease} s: claimed once")
