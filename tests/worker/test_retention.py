"""What is too old goes, what a job needs stays, and a submission in between loses nothing."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from octet.worker import retention
from octet.worker.retention import expire
from tests.worker.service import song

if TYPE_CHECKING:
    from pathlib import Path

    from tests.worker.service import Service

pytestmark = pytest.mark.anyio

DAY = 86_400


def age(folder: Path, days: float, but: tuple[str, ...] = ()) -> None:
    """Makes all files older, but for those whose names hold one of these words."""
    for path in folder.rglob("*"):
        if path.is_file() and not any(word in path.name for word in but):
            moment = path.stat().st_mtime - days * DAY
            os.utime(path, (moment, moment))


async def uploads(service: Service) -> set[str]:
    return {entry.key async for entry in service.buckets.queue.list()}


@pytest.fixture(autouse=True)
def few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_LOOKS", 4)


async def test_nothing_goes_unless_a_setting_says_so(service: Service, tmp_path: Path) -> None:
    [name] = await service.songs(1)
    async with service.worker():
        await service.ended(name)
    age(tmp_path / "store", 1000)

    await expire(service.buckets, service.queue, service.settings())

    await service.check_published(name)
    assert await uploads(service) == {f"queue/{name}.mp3"}


async def test_old_results_and_uploads_go_and_young_ones_stay(
    service: Service, tmp_path: Path
) -> None:
    old, young = await service.songs(2)
    async with service.worker():
        await service.all_ended([old, young])
    age(tmp_path / "store", 3, but=(young,))

    settings = service.settings(keep_results=2, keep_uploads=2)
    await expire(service.buckets, service.queue, settings)

    assert {key[:64] for key in await service.objects()} == {young}
    await service.check_published(young)
    assert await uploads(service) == {f"queue/{young}.mp3"}


async def test_what_a_waiting_or_running_job_needs_stays(service: Service, tmp_path: Path) -> None:
    running, waiting = await service.songs(2)
    async with service.worker({"model": "odd-slow-5"}):
        await service.running(running)
        age(tmp_path / "store", 3)

        settings = service.settings(keep_results=2, keep_uploads=2)
        await expire(service.buckets, service.queue, settings)

        assert await uploads(service) == {f"queue/{name}.mp3" for name in (running, waiting)}


async def test_a_submission_that_has_seen_its_upload_finds_it_again(
    service: Service, tmp_path: Path
) -> None:
    # given an old upload, which a submission has seen
    name = await service.put(song())
    age(tmp_path / "store", 3)

    # when it is deleted before the job is on the queue
    going = asyncio.create_task(
        expire(service.buckets, service.queue, service.settings(keep_uploads=2))
    )
    while await uploads(service) & {f"queue/{name}.mp3"}:  # noqa: ASYNC110 - it lies on the disk
        await asyncio.sleep(0.01)
    await service.push(name)
    await going

    # then the job has its song, and no copy is left
    assert await uploads(service) == {f"queue/{name}.mp3"}
