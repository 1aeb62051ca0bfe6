"""A worker that is sick knows it: it hands back, takes nothing, says so, and looks again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.jobs.dead import DeadLetters
from octet.jobs.job import JobRequest
from octet.storage.open import open_buckets
from octet.worker import health
from tests.worker.odd_compute import LOST
from tests.worker.service import fill, small_disk, song

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ceph import Ceph
    from tests.worker.service import Service

pytestmark = pytest.mark.anyio


async def test_a_full_scratch_disk_keeps_a_worker_from_claiming(
    service: Service, tmp_path: Path
) -> None:
    [name] = await service.songs(1)
    with small_disk(tmp_path / "disk", 16) as disk:
        # given a disk with less room than any song takes
        service.scratch = disk
        ballast = fill(disk, leave=1)

        # when a worker starts, then it says what is wrong, and the job waits
        async with service.worker() as worker:
            await service.unfit(worker.worker, "the scratch disk is full")
            assert await service.queue.queue() == [name]

            # and once there is room it goes on by itself
            ballast.unlink()
            job = await service.ended(name)

    assert (job.outcome, job.attempts) == ("complete", 1)


async def test_a_disk_that_fills_during_a_job_costs_no_attempt(
    service: Service, tmp_path: Path
) -> None:
    name = await service.put(song(seconds=20, rate=44_100))
    with small_disk(tmp_path / "disk", 64) as disk:
        service.scratch = disk
        async with service.worker({"model": "odd-slow-2"}) as worker:
            # given a job under way, when the disk is filled
            await service.push(name)
            await service.running(name, percent=5)
            ballast = fill(disk)
            await service.unfit(worker.worker, "the scratch disk is full")

            # then the job waits as if nothing had been
            job = await service.job(name)
            assert (job.state, job.attempts, job.error) == ("waiting", 0, None)
            assert await service.queue.queue() == [name]
            ballast.unlink()
            job = await service.ended(name)

    assert (job.outcome, job.attempts) == ("complete", 1)
    await service.check_published(name)


async def test_a_song_too_large_for_the_whole_disk_is_its_own_fault(
    service: Service, tmp_path: Path
) -> None:
    large = await service.put(song(seconds=60, rate=44_100))
    small = await service.put(song(1))
    with small_disk(tmp_path / "disk", 16) as disk:
        service.scratch = disk
        await service.push(large)
        await service.push(small)
        async with service.worker({"model": "odd-shares"}, attempts=2):
            jobs = await service.all_ended([large, small])

    assert [job.state for job in jobs] == ["failed", "done"]
    assert jobs[0].error is not None
    assert (jobs[0].attempts, jobs[0].error.code) == (2, "output")


@pytest.mark.parametrize(
    ("defaults", "words"),
    [
        ({"model": "pockett"}, "no model"),
        ({"model": "pocket", "device": "cuda"}, "cuda"),
        ({"model": "htdemucs"}, "htdemucs cannot be loaded"),
    ],
)
async def test_a_worker_without_its_model_takes_nothing(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_hub: str,
    defaults: dict[str, str],
    words: str,
) -> None:
    # given a worker whose model is not to be had (misspelt, on no such device, or at a hub that
    # does not have it), beside one that is well
    monkeypatch.setenv("HF_ENDPOINT", empty_hub)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    cache = {"cache": tmp_path / "cache"}
    async with service.worker({**cache, **defaults}) as sick:
        await service.unfit(sick.worker, words)
        names = await service.songs(3)
        assert await service.queue.depth() == 3, "nothing is taken"

        async with service.worker() as well:
            jobs = await service.all_ended(names)

    # then the other does all of it
    assert {(job.outcome, job.attempts, job.worker) for job in jobs} == {
        ("complete", 1, well.worker)
    }


async def test_a_lost_device_costs_no_job_an_attempt(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOST, str(tmp_path))
    (tmp_path / "armed").touch()
    [name] = await service.songs(1)

    async with service.worker({"model": "odd-lost"}) as worker:
        # when the device is lost in the middle of a job, then the job waits unharmed
        reason = await service.unfit(worker.worker, "the device is lost")
        assert reason == "the model odd-lost cannot be loaded: the device is lost"
        waiting = await service.job(name)
        assert (waiting.state, waiting.attempts) == ("waiting", 0)
        # and is done once the device is there again
        (tmp_path / "lost").unlink()
        job = await service.ended(name)

    assert (job.outcome, job.attempts) == ("complete", 1)


async def test_a_job_that_breaks_the_device_each_time_is_the_cause_in_the_end(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOST, str(tmp_path))
    monkeypatch.setattr(health, "_LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(health, "_COINCIDENCES", 2)
    (tmp_path / "armed").touch()
    [name] = await service.songs(1)

    async def mend() -> None:
        while True:
            await asyncio.sleep(0.5)
            if (tmp_path / "lost").exists():
                await asyncio.sleep(0.5)
                (tmp_path / "lost").rename(tmp_path / "armed")

    async with service.worker({"model": "odd-lost"}, attempts=1, fallback=("original",)):
        mending = asyncio.create_task(mend())
        job = await service.ended(name, 60)
        mending.cancel()

    assert (job.state, job.outcome) == ("done", "fallback")


async def test_what_only_a_client_s_choice_lacks_is_the_job_s_own_case(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_hub: str
) -> None:
    # given a worker that is well, and a job for a model that it cannot fetch
    monkeypatch.setenv("HF_ENDPOINT", empty_hub)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    name = await service.put(song())
    request = JobRequest(song=name, recipe={"model": "htdemucs"}, key="0123456789abcdef")
    await service.queue.submit(request)

    async with service.worker({"cache": tmp_path / "cache"}, fallback=("original",)) as worker:
        job = await service.ended(request.job_id, 90)
        assert "sick" not in (await service.queue.workers())[worker.worker].about

    # then other attempts, perhaps of other workers, come first, and the fallback says why
    assert (job.outcome, job.attempts) == ("fallback", 3)
    assert job.error is not None
    assert job.error.message.startswith("htdemucs failed")


async def test_a_store_that_refuses_everything_costs_no_job_an_attempt(
    service: Service, tmp_path: Path
) -> None:
    name = await service.put(song())
    output = tmp_path / "store" / "demucs-output"
    async with service.worker({"model": "odd-slow-1"}, store_patience=1.0) as worker:
        await service.push(name)
        await service.running(name, percent=1)
        # when the store refuses every write, for longer than anybody waits
        output.rename(tmp_path / "gone")
        output.write_text("a file where the bucket was")
        await service.unfit(worker.worker, "the store is of no use")
        job = await service.job(name)
        assert (job.state, job.attempts) == ("waiting", 0)
        # then the job goes on when it is mended
        output.unlink()
        (tmp_path / "gone").rename(output)
        job = await service.ended(name, 60)

    assert (job.outcome, job.attempts) == ("complete", 1)
    await service.check_published(name)


async def test_a_refusal_that_one_job_alone_meets_is_its_own(
    ceph_service: Service, ceph: Ceph
) -> None:
    # given a message that names a bucket of somebody else's
    user = ("--uid", "other", "--display-name", "other")
    ceph.admin("user", "create", *user, "--access-key", "other", "--secret-key", "secret")
    others = ceph.settings(minio_access_key="other", minio_secret_key="secret")
    await open_buckets(others).ensure()
    first, second = await ceph_service.songs(2)
    await ceph_service.client.delete("toWorker")
    await ceph_service.push(first, bucket=others.queue_bucket)
    await ceph_service.push(second)

    async with ceph_service.worker(attempts=2) as worker:
        jobs = await ceph_service.all_ended([first, second])
        assert "sick" not in (await ceph_service.queue.workers())[worker.worker].about

    # then its attempts are counted, and others go on
    assert [job.state for job in jobs] == ["failed", "done"]
    [letter] = await DeadLetters(ceph_service.client).list()
    assert (jobs[0].attempts, letter.code) == (2, "storage-refused")


async def test_alive_and_ready_are_two_questions(
    service: Service, tmp_path: Path, unused_port: int
) -> None:
    async def ask(path: str) -> tuple[int, str]:
        answer = await client.get(f"http://127.0.0.1:{unused_port}{path}")
        return answer.status_code, answer.text

    with small_disk(tmp_path / "disk", 16) as disk:
        service.scratch = disk
        ballast = fill(disk, leave=1)
        async with (
            httpx.AsyncClient(trust_env=False) as client,
            service.worker(metrics_port=unused_port) as worker,
        ):
            await service.unfit(worker.worker, "full")

            assert await ask("/healthz") == (200, "ok\n")
            status, why = await ask("/readyz")
            assert (status, "the scratch disk is full" in why) == (503, True)
            assert "octet_worker_fit 0.0" in (await ask("/metrics"))[1]

            ballast.unlink()
            async with asyncio.timeout(30):
                while (await ask("/readyz"))[0] != 200:  # noqa: ASYNC110 - another process knows
                    await asyncio.sleep(0.2)
