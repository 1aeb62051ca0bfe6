"""One worker of three is sick: the others do all the work, and no job pays for it (21, 22)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.chaos import rounds
from tests.reliability.crew import crew
from tests.worker.service import fill, small_disk, song

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from octet.jobs.job import Job
    from tests.reliability.crew import Crew
    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 3600))]

SONGS = rounds(8, 100)


@contextlib.contextmanager
def silent_hub() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def in_order(jobs: list[Job], at_once: int = 3) -> bool:
    """Whether jobs began in their order, but for those that ran side by side."""
    began = sorted(range(len(jobs)), key=lambda number: jobs[number].started or 0.0)
    return all(abs(number - place) <= at_once for place, number in enumerate(began))


async def all_done_in_order(service: Service, names: list[str]) -> list[Job]:
    """Asserts what nobody's sickness may change."""
    jobs = await service.all_ended(names, 60 + 3 * len(names))
    assert {job.outcome for job in jobs} == {"complete"}, "no fallback, no dead letter"
    assert {job.attempts for job in jobs} == {1}, "no attempt is charged"
    assert in_order(jobs)
    for name in names[:: rounds(1, 10)]:
        await service.check_published(name)
    return jobs


async def hire_two_that_are_well(people: Crew) -> None:
    for _ in range(2):
        people.hire()


@pytest.mark.parametrize("way", ["name", "device", "hub"])
async def test_a_worker_that_cannot_have_its_model(
    service: Service, tmp_path: Path, record_property: Record, way: str
) -> None:
    # given one worker of three whose model is misspelt, has no device, or lies at a silent hub
    with silent_hub() as hub:
        settings = {
            "name": {"OCTET_MODEL": "pockett"},
            "device": {"OCTET_MODEL": "pocket", "OCTET_DEVICE": "cuda"},
            "hub": {"OCTET_MODEL": "htdemucs", "HF_ENDPOINT": hub},
        }[way]
        folders = {"OCTET_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hub")}
        count = await only_the_others_work(service, **settings, **folders)
    record_property("figure", f"{way}: {count} songs, all complete at the first attempt")


async def test_a_worker_whose_disk_is_full(
    service: Service, tmp_path: Path, record_property: Record
) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        fill(disk, leave=1)
        count = await only_the_others_work(service, OCTET_SCRATCH=str(disk))
    record_property("figure", f"full: {count} songs, all complete at the first attempt")


async def only_the_others_work(service: Service, **settings: str) -> int:
    """Songs for a worker with these settings and two that are well; returns how many."""
    with crew(service, OCTET_MODEL="odd-shares") as people:
        sick = people.hire(**settings)
        if "HF_ENDPOINT" not in settings:  # which it may go on asking for minutes
            await service.unfit(sick.name, "")
        await hire_two_that_are_well(people)

        # when songs come
        names = await service.songs(SONGS)
        jobs = await all_done_in_order(service, names)

        # then it has had none of them, and is alive
        assert sick.name not in {job.worker for job in jobs}
        assert sick.process.poll() is None
    return len(jobs)


async def test_a_worker_whose_disk_fills_while_it_works(
    service: Service, tmp_path: Path, record_property: Record
) -> None:
    with (
        small_disk(tmp_path / "disk", 64) as disk,
        crew(service, OCTET_MODEL="odd-slow-1") as people,
    ):
        # given three workers under way
        sick = people.hire(OCTET_SCRATCH=str(disk))
        await hire_two_that_are_well(people)
        names = [await service.put(song(number, 5.0, 44_100)) for number in range(SONGS + 8)]
        for name in names:
            await service.push(name)
        await works_on_something(service, sick.name)

        # when the disk of one of them fills up, and is emptied later
        ballast = fill(disk)
        reason = await service.unfit(sick.name, "the scratch disk is full")
        await service.all_ended(names[: len(names) // 2], 120)
        assert not await service.running_at(sick.name)
        ballast.unlink()

        # then nothing is lost, nothing falls back, no attempt is charged
        jobs = await all_done_in_order(service, names)
    record_property("figure", f"{len(jobs)} songs, all complete at the first attempt; {reason}")


async def works_on_something(service: Service, worker: str) -> None:
    async with asyncio.timeout(60):
        while not await service.running_at(worker):  # noqa: ASYNC110 - it lies on a server
            await asyncio.sleep(0.02)
