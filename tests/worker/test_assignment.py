"""What becomes of a job when something is wrong with it, or with the worker."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from octet.jobs.dead import DeadLetters
from octet.jobs.job import Callback, JobRequest
from octet.jobs.outbox import Outbox
from octet.results.keys import ResultKeys
from tests.worker.service import Service, name_of, song

pytestmark = pytest.mark.anyio

if TYPE_CHECKING:
    from pathlib import Path


async def test_what_is_not_audio_gets_a_clear_error_and_no_files(service: Service) -> None:
    songs = {
        "not-audio": b"this is text\n" * 100,
        "limit": song(1, seconds=5),
        "damaged-audio": song(2, seconds=0),
    }
    names = {code: await service.put(data) for code, data in songs.items()}
    for name in names.values():
        await service.push(name)

    async with service.worker({"max_seconds": 2.0}):
        jobs = {code: await service.ended(name) for code, name in names.items()}

    for code, job in jobs.items():
        assert job.state == "failed"
        assert job.attempts == 1, "what can never work is not tried again"
        assert job.error is not None
        assert code in (job.error.code, "damaged-audio")
        assert str(service.scratch) not in job.error.message
    assert await service.objects() == set()
    letters = {letter.job_id for letter in await DeadLetters(service.client).list()}
    assert letters == set(names.values())


async def test_a_song_beyond_the_size_limit_is_not_fetched(service: Service) -> None:
    name = await service.put(song(seconds=1.0))
    await service.push(name)

    async with service.worker({"max_bytes": 1000}):
        job = await service.ended(name)

    assert job.error is not None
    assert job.error.code == "limit"
    assert "more than the 1000 allowed" in job.error.message


async def test_a_missing_song_is_tried_three_times(service: Service) -> None:
    name = name_of(song())
    await service.push(name)

    async with service.worker():
        job = await service.ended(name)

    assert (job.state, job.attempts) == ("failed", 3)
    assert job.error is not None
    assert job.error.code == "object-missing"


async def test_a_song_may_come_after_its_message(service: Service) -> None:
    # given a message that a worker has taken before its song was there
    await service.push(name_of(song()))
    async with service.worker():
        await service.waits_again(name_of(song()))

        # when the song comes, then the job finds it
        name = await service.put(song())
        job = await service.ended(name)

    assert job.outcome == "complete"
    assert 2 <= job.attempts <= 3


@pytest.mark.parametrize(
    ("model", "attempts", "words"),
    [
        ("odd-kill", 3, "killed by signal 9"),
        ("odd-exit", 3, "ended with status 3"),
        ("odd-raise", 3, "RuntimeError: an odd fault"),
        ("odd-slow-20", 1, "OCTET_JOB_SECONDS"),
        ("../../etc/passwd", 1, "there is no model"),
    ],
)
async def test_a_separation_that_fails_for_good_falls_back_and_says_so(
    service: Service, model: str, attempts: int, words: str
) -> None:
    name = await service.put(song())
    key = "0123456789abcdef"
    hook = Callback("http://127.0.0.1:9/", data={"mine": 1})
    request = JobRequest(song=name, recipe={"model": model}, key=key, callbacks=(hook,))
    await service.queue.submit(request)
    keys = ResultKeys(name, key)

    async with service.worker(fallback=("original",), allow_hosts=("127.0.0.1",), job_seconds=3.0):
        job = await service.ended(request.job_id)

    assert (job.state, job.outcome, job.attempts) == ("done", "fallback", attempts)
    assert job.error is not None
    assert words in job.error.message
    assert f"{model} failed" in job.error.message
    assert "made by original" in job.error.message
    manifest = await read_json(service, keys.manifest)
    assert manifest["outcome"] == "fallback"
    assert manifest["reason"] == job.error.message
    assert manifest["model"]["name"] == "original"
    assert len(manifest["tracks"]) == 8
    assert await Outbox(service.client).pending() == 1, "somebody is to be told"


async def test_fallbacks_are_tried_in_order(service: Service) -> None:
    name = await service.put(song())
    await service.push(name)

    async with service.worker(
        {"model": "odd-exit"}, fallback=("odd-kill", "odd-shares", "original"), attempts=1
    ):
        job = await service.ended(name)

    assert job.outcome == "fallback"
    manifest = await service.check_published(name)
    assert manifest["model"]["name"] == "odd-shares"
    assert manifest["reason"].startswith("odd-exit failed")


async def test_a_device_set_for_the_default_model_keeps_pocket_from_nothing(
    service: Service,
) -> None:
    # Given a worker whose device is set for a model that has it, while pocket has not,
    first, second = await service.put(song(1)), await service.put(song(2))
    await service.push(first)
    chosen = JobRequest(song=second, recipe={"model": "pocket"}, key="0123456789abcdef")
    await service.queue.submit(chosen)

    # when its model fails, or a client names pocket,
    async with service.worker(
        {"model": "odd-exit", "device": "cuda"}, fallback=("pocket",), attempts=1
    ):
        failed, done = await service.ended(first), await service.ended(chosen.job_id)

    # then pocket runs on the processor, and the manifest says so.
    assert (failed.outcome, done.outcome) == ("fallback", "complete")
    for name, key in ((first, ""), (second, "0123456789abcdef")):
        manifest = await read_json(service, ResultKeys(name, key).manifest)
        assert (manifest["model"]["name"], manifest["runtime"]["device"]) == ("pocket", "cpu")


async def test_without_a_fallback_the_job_is_a_dead_letter(service: Service) -> None:
    name = await service.put(song())
    await service.push(name)

    async with service.worker({"model": "odd-exit"}, fallback="none"):
        job = await service.ended(name)

    assert (job.state, job.attempts) == ("failed", 3)
    assert await service.objects() == set()
    [letter] = await DeadLetters(service.client).list()
    assert (letter.code, "status 3" in letter.reason) == ("computation", True)


async def test_a_complete_result_replaces_a_fallback(service: Service) -> None:
    # Somebody's earlier result, with a reason that has gone by now.
    [name] = await service.songs(1)
    async with service.worker({"model": "odd-exit"}, attempts=1, fallback=("original",)):
        await service.ended(name)
    key = f"{name}-manifest.json"
    fallback = (await service.buckets.output.get_bytes(key)).decode()
    assert '"outcome": "fallback"' in fallback
    earlier = fallback.replace('"model": "odd-exit"', '"model": "odd-shares"')
    await service.buckets.output.put_bytes(key, earlier.encode())

    await service.push(name)
    async with service.worker({"model": "odd-shares"}):
        job = await service.ended_again(name)

    assert (job.outcome, job.error) == ("complete", None)
    assert (await service.check_published(name))["model"]["name"] == "odd-shares"


async def test_a_recipe_that_makes_no_sense_is_refused(service: Service) -> None:
    name = await service.put(song())
    recipes: list[dict[str, Any]] = [
        {"format": "exe"},
        {"scratch": "/etc"},
        {"bits": 7},
        {"tracks": ["kazoo"]},
        {"format": "mp3", "bits": 24},
    ]
    requests = [
        JobRequest(song=name, recipe=recipe, key=f"{number:016x}")
        for number, recipe in enumerate(recipes)
    ]
    for request in requests:
        await service.queue.submit(request)

    async with service.worker():
        jobs = await service.all_ended([request.job_id for request in requests])

    assert {(job.state, job.error.code) for job in jobs if job.error} == {("failed", "setting")}
    assert await service.objects() == set()


async def test_a_cancelled_job_stops_and_publishes_nothing(service: Service) -> None:
    first, second = await service.songs(2)

    async with service.worker({"model": "odd-slow-20"}) as worker:
        await service.running(first, percent=1)
        child = worker.child.pid
        await service.queue.cancel(first)
        job = await service.ended(first, 10)
        await service.running(second)
        assert worker.child.pid == child, "the model stays loaded"
        await service.queue.cancel(second)
        await service.ended(second, 10)

    assert job.state == "cancelled"
    assert await service.objects() == set()
    assert not await service.staged()


async def test_a_cancelled_job_that_does_not_listen_is_killed(service: Service) -> None:
    name = await service.put(song())
    await service.push(name)

    async with service.worker({"model": "odd-stall"}):
        await service.running(name, percent=1)
        await service.queue.cancel(name)
        job = await service.ended(name, 15)

    assert job.state == "cancelled"


async def test_an_outage_of_the_store_is_waited_for(service: Service, tmp_path: Path) -> None:
    name = await service.put(song())
    await service.push(name)

    async with service.worker({"model": "odd-slow-1"}):
        await service.running(name, percent=1)
        # A store that refuses every write from now on.
        output = tmp_path / "store" / "demucs-output"
        output.rename(tmp_path / "gone")
        output.write_text("a file where the bucket was")
        await asyncio.sleep(3)
        assert (await service.job(name)).state == "running"
        output.unlink()
        (tmp_path / "gone").rename(output)
        job = await service.ended(name)

    assert (job.outcome, job.attempts) == ("complete", 1)
    await service.check_published(name)


async def read_json(service: Service, key: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(await service.buckets.output.get_bytes(key))
    return value


async def test_a_stem_file_is_published_as_one_track(service: Service) -> None:
    name = await service.put(song())
    request = JobRequest(song=name, recipe={"format": "stem"}, key="0123456789abcdef")
    await service.queue.submit(request)

    async with service.worker():
        job = await service.ended(request.job_id)

    assert job.outcome == "complete"
    keys = ResultKeys(name, request.key, "mp4")
    assert await service.objects() == {keys.track("stem"), keys.manifest}
    manifest = await read_json(service, keys.manifest)
    assert manifest["tracks"]["stem"]["key"] == f"{name}/{request.key}/stem.mp4"
    assert manifest["tracks"]["stem"]["rate"] == 44_100
