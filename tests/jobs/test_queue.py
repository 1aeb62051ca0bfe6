"""What producers and onlookers can rely on, on Valkey and on Redis alike."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from octet.errors import KeyReusedError, LeaseLostError, QueueError
from octet.jobs import keys
from octet.jobs.claims import Claims
from octet.jobs.job import Callback, JobError
from octet.jobs.outbox import Outbox
from octet.jobs.server import run_script
from tests.chaos import rounds
from tests.jobs.songs import request, song, until

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from octet.jobs.job import Priority
    from octet.jobs.queue import JobQueue

pytestmark = pytest.mark.anyio


@pytest.fixture
def claims(client: Redis) -> Claims:
    return Claims(client, "worker-1")


async def take_all(claims: Claims) -> list[str]:
    """Takes and finishes everything that waits; the songs' names in that order."""
    taken = []
    while (claim := await claims.take(wait=0)) is not None:
        taken.append(claim.job.song)
        await claims.finish(claim, "complete")
    return taken


async def blocked(client: Redis) -> bool:
    """Whether somebody waits for a message."""
    return bool((await client.info("clients"))["blocked_clients"])


async def test_a_submitted_job_waits_where_the_contract_says(
    client: Redis, queue: JobQueue
) -> None:
    submission = await queue.submit(request(1, callbacks=(Callback("http://x/", {"a": 1}),)))

    assert submission.created
    assert submission.job.state == "waiting"
    assert submission.job.id == song(1)
    [message] = await client.lrange("toWorker", 0, -1)
    parts = json.loads(message)
    assert parts["hash"] == song(1)
    assert parts["bucket"] == "demucs-bucket"
    assert parts["object"] == f"queue/{song(1)}.mp3"
    assert parts["callback"] == {"url": "http://x/", "data": {"a": 1}}


async def test_jobs_run_in_the_order_in_which_they_came(queue: JobQueue, claims: Claims) -> None:
    for number in range(5):
        await queue.submit(request(number))

    assert await queue.queue() == [song(number) for number in range(5)]
    assert [await queue.position(song(number)) for number in range(5)] == [0, 1, 2, 3, 4]
    assert await take_all(claims) == [song(number) for number in range(5)]


async def test_fifty_posts_of_one_song_at_once_are_one_job(client: Redis, queue: JobQueue) -> None:
    """Reliability 12, the queue's part."""
    for number in range(rounds(2, 20)):
        submissions = await asyncio.gather(*(queue.submit(request(number)) for _ in range(50)))

        assert sum(submission.created for submission in submissions) == 1
        assert await client.llen("toWorker") == number + 1
        assert {submission.job.id for submission in submissions} == {song(number)}


async def test_another_recipe_is_another_job(queue: JobQueue) -> None:
    plain = await queue.submit(request(1))
    other = await queue.submit(request(1, recipe={"model": "htdemucs"}, key="0123456789abcdef"))

    assert other.created
    assert other.job.id != plain.job.id
    assert other.job.recipe == {"model": "htdemucs"}
    assert other.job.key == "0123456789abcdef"
    assert await queue.depth() == 2


async def test_a_new_default_takes_the_place_of_what_waits_under_the_same_name(
    queue: JobQueue, claims: Claims
) -> None:
    # given a job that waits with the recipe that was the default when it was accepted
    hook = Callback("http://x/", {"n": 1})
    await queue.submit(request(1, recipe={"format": "mp3"}, callbacks=(hook,)))
    await queue.submit(request(2))

    # when the song is submitted again with another default
    again = await queue.submit(request(1, recipe={"format": "flac"}))

    # then one message waits for it, with the new recipe, and whoever waited is still told
    assert again.created
    assert again.job.recipe == {"format": "flac"}
    assert await queue.queue() == [song(2), song(1)]
    assert await claims.take(wait=0) is not None
    claim = await claims.take(wait=0)
    assert claim is not None
    assert claim.job.recipe == {"format": "flac"}
    await claims.finish(claim, "complete")
    assert await Outbox(queue._redis).pending() == 1
    assert await claims.take(wait=0) is None


@pytest.mark.parametrize("end", ["cancelled", "finish", "bury", "retry"])
async def test_a_new_default_stops_what_runs_under_the_same_name(
    queue: JobQueue, claims: Claims, end: str
) -> None:
    # given a job that runs with the old default
    await queue.submit(request(1, recipe={"format": "mp3"}))
    claim = await claims.take(wait=0)
    assert claim is not None
    assert await claims.renew(claim) == "go on"

    # when the song is submitted again with another default
    again = await queue.submit(request(1, recipe={"format": "flac"}))

    # then the worker is told to stop, and however it ends its claim, the job runs anew
    assert (again.created, again.job.state) == (True, "running")
    assert await claims.renew(claim) == "cancelled"
    error = JobError("odd", "it broke")
    if end == "cancelled":
        await claims.release(claim)
    elif end == "retry":
        assert await claims.retry(claim, error)
    else:
        with pytest.raises(LeaseLostError):
            await (
                claims.finish(claim, "complete") if end == "finish" else claims.bury(claim, error)
            )
    anew = await claims.take(wait=0)
    assert anew is not None
    assert (anew.job.recipe, anew.job.attempts) == ({"format": "flac"}, 1)
    await claims.finish(anew, "complete")
    job = await queue.get(song(1))
    assert job is not None
    assert (job.state, job.outcome) == ("done", "complete")
    assert await claims.take(wait=0) is None


async def test_workers_announce_what_they_are(queue: JobQueue, claims: Claims) -> None:
    await claims.heartbeat({"recipe": {"model": "pocket"}})
    await claims.heartbeat()

    [(name, worker)] = (await queue.workers()).items()

    assert (name, worker.about) == ("worker-1", {"recipe": {"model": "pocket"}})
    assert 0 < worker.left <= 30
    await claims.leave()
    assert await queue.workers() == {}
    assert await queue._redis.hgetall("octet:workers:about") == {}


async def test_what_was_last_asked_for_of_a_song_is_remembered(queue: JobQueue) -> None:
    assert await queue.chosen(song(1)) is None

    await queue.choose(song(1), "", "0" * 16)
    assert await queue.chosen(song(1)) == ("", "0" * 16)
    await queue.choose(song(1), "1" * 16, "1" * 16)
    assert await queue.chosen(song(1)) == ("1" * 16, "1" * 16)


async def test_what_is_done_is_not_run_again_unless_asked(queue: JobQueue, claims: Claims) -> None:
    await queue.submit(request(1))
    await take_all(claims)

    repeated = await queue.submit(request(1))
    assert (repeated.created, repeated.job.state) == (False, "done")
    assert await queue.depth() == 0

    insisted = await queue.submit(request(1), again=True)
    assert (insisted.created, insisted.job.state) == (True, "waiting")
    assert await take_all(claims) == [song(1)]


async def test_priorities(queue: JobQueue, claims: Claims) -> None:
    for number, priority in enumerate(["low", "high", "high", "normal", "high", "low", "normal"]):
        await queue.submit(request(number, priority=priority))

    order = [song(number) for number in (1, 2, 4, 3, 6, 0, 5)]
    assert await queue.queue() == order
    assert [await queue.position(name) for name in order] == list(range(7))
    assert await take_all(claims) == order


@pytest.mark.parametrize("priority", ["high", "normal"])
async def test_a_waiting_worker_wakes_at_once(
    client: Redis, queue: JobQueue, claims: Claims, priority: str
) -> None:
    waiting = asyncio.create_task(claims.take(wait=10))
    await until(lambda: blocked(client))

    begun = time.perf_counter()
    await queue.submit(request(1, priority=priority))
    claim = await waiting

    assert claim is not None
    assert time.perf_counter() - begun < 0.5  # it would be up to a second without the wake
    await claims.finish(claim, "complete")


async def test_an_idempotency_key_answers_with_the_first_job(queue: JobQueue) -> None:
    first = await queue.submit(request(1), idempotency_key="k 1", digest="aa")
    again = await queue.submit(request(1), idempotency_key="k 1", digest="aa")

    assert (first.created, again.created) == (True, False)
    assert again.job.id == first.job.id
    with pytest.raises(KeyReusedError):
        await queue.submit(request(2), idempotency_key="k 1", digest="bb")
    assert await queue.depth() == 1


async def test_a_cancelled_job_does_not_run(queue: JobQueue, claims: Claims) -> None:
    for number in range(3):
        await queue.submit(request(number))

    cancelled = await queue.cancel(song(1))

    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert await take_all(claims) == [song(0), song(2)]


async def test_a_waiting_message_of_others_can_be_cancelled(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await client.lpush("toWorker", song(1), song(2))

    cancelled = await queue.cancel(song(1))

    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert await take_all(claims) == [song(2)]
    assert await queue.cancel(song(3)) is None


async def test_a_running_job_is_told_to_stop(queue: JobQueue, claims: Claims) -> None:
    await queue.submit(request(1))
    claim = await claims.take(wait=0)
    assert claim is not None
    assert await claims.renew(claim) == "go on"

    asked = await queue.cancel(song(1))
    assert asked is not None
    assert (asked.state, asked.cancelling) == ("running", True)
    assert await claims.renew(claim) == "cancelled"
    ended = await claims.release(claim)

    assert (ended.state, ended.cancelling) == ("cancelled", False)
    assert await queue.depth() == 0


async def test_a_job_that_is_wanted_again_while_it_is_stopped_waits_again(
    queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    claim = await claims.take(wait=0)
    assert claim is not None
    await queue.cancel(song(1))

    await queue.submit(request(1))
    ended = await claims.release(claim)

    assert (ended.state, ended.attempts) == ("waiting", 0)
    assert await take_all(claims) == [song(1)]


async def test_a_cancel_between_the_move_and_the_claim_holds(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    message = await client.lmove("toWorker", keys.worker_jobs("worker-1"), "RIGHT", "LEFT")
    assert isinstance(message, bytes)

    await queue.cancel(song(1))
    assert await claims.claim(message) is None

    job = await queue.get(song(1))
    assert job is not None
    assert job.state == "cancelled"


async def test_the_listing_is_newest_first_in_pages(queue: JobQueue, claims: Claims) -> None:
    for number in range(7):
        await queue.submit(request(number))
    await queue.cancel(song(3))

    first = await queue.jobs(limit=3)
    second = await queue.jobs(limit=3, after=first.next)
    third = await queue.jobs(limit=3, after=second.next)

    listed = [job.song for page in (first, second, third) for job in page.jobs]
    assert listed == [song(number) for number in reversed(range(7))]
    assert third.next is None
    assert [job.song for job in (await queue.jobs(state="cancelled")).jobs] == [song(3)]
    assert await queue.counts() == {
        "waiting": 6,
        "running": 0,
        "done": 0,
        "failed": 0,
        "cancelled": 1,
    }


async def test_a_job_of_others_is_listed_as_soon_as_it_is_claimed(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await client.lpush("toWorker", json.dumps({"hash": song(1), "callback": None}))
    assert await queue.queue() == [song(1)]
    assert await queue.position(song(1)) == 0
    assert (await queue.counts())["waiting"] == 1

    claim = await claims.take(wait=0)

    assert claim is not None
    [listed] = (await queue.jobs(state="running")).jobs
    assert listed.song == song(1)
    assert listed.worker == "worker-1"
    assert await queue.position(song(1)) is None
    assert await client.llen(keys.INFLIGHT) == 1
    assert list(await queue.workers()) == ["worker-1"]


async def test_callbacks_of_all_who_asked_are_delivered_once_each(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    one, two = Callback("http://one/", {"n": 1}), Callback("http://two/", [1.0, {}])
    event = Callback("http://three/", kind="event")
    await queue.submit(request(1, callbacks=(one,)))
    await queue.submit(request(1, callbacks=(one, two)))
    claim = await claims.take(wait=0)
    assert claim is not None
    await queue.submit(request(1, callbacks=(event,)))

    await claims.finish(claim, "fallback", JobError("model", "it failed"))

    deliveries = {d.url: d for d in await Outbox(client).claim()}
    assert deliveries["http://one/"].body == '{"n": 1}'
    assert deliveries["http://two/"].body == "[1.0, {}]"
    assert {d.outcome for d in deliveries.values()} == {"fallback"}
    told = json.loads(deliveries["http://three/"].body)
    assert told["type"] == "job.done"
    assert told["data"] == {
        "id": song(1),
        "song": song(1),
        "state": "done",
        "outcome": "fallback",
        "error": {"code": "model", "message": "it failed"},
    }


async def test_who_watches_a_job_sees_how_it_goes_and_how_it_ends(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    seen: list[tuple[str, float]] = []

    async def watch() -> None:
        async for job in queue.watch(song(1)):
            seen.append((job.state, job.percent))  # noqa: PERF401 - looked at meanwhile

    async def last(state: str, percent: float) -> bool:
        return seen[-1:] == [(state, percent)]

    watching = asyncio.create_task(watch())
    await until(lambda: last("waiting", 0))
    claim = await claims.take(wait=0)
    assert claim is not None
    await until(lambda: last("running", 0))
    await claims.renew(claim, percent=40, left=12.5)
    await until(lambda: last("running", 40))
    await claims.finish(claim, "complete")
    await asyncio.wait_for(watching, 10)

    assert ("done", 100) in seen
    assert [job async for job in queue.watch("nobody")] == []


async def test_claims_stay_fast_with_ten_thousand_waiting(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.lpush("toWorker", song(number))
        await pipe.execute()
    assert await queue.depth() == 10_000

    begun = await _script_time(client)
    for number in range(50):
        claim = await claims.take(wait=0)
        assert claim is not None
        assert claim.job.song == song(number)
        await claims.finish(claim, "complete")
    spent = await _script_time(client) - begun

    # Three scripts a job, in the server's own time; walking the list would take milliseconds.
    assert spent / 150 < 2000
    assert len(await queue.queue()) == 9_950


async def _script_time(client: Redis) -> float:
    """Microseconds that the server has spent in scripts so far."""
    stats = await client.info("commandstats")
    return float(sum(entry["usec"] for name, entry in stats.items() if "evalsha" in name))


async def test_a_server_that_refuses_is_a_typed_error(client: Redis, queue: JobQueue) -> None:
    await client.set("toWorker", "not a list")

    try:
        with pytest.raises(QueueError):
            await queue.submit(request(1))
    finally:
        await client.delete("toWorker")  # or whoever shares the server finds it broken


@pytest.mark.parametrize("priority", ["high", "normal", "low"])
async def test_a_job_whose_message_is_gone_is_queued_again_when_it_is_asked_for(
    client: Redis, queue: JobQueue, priority: Priority
) -> None:
    # given a waiting job whose message somebody has deleted
    await queue.submit(request(1, priority=priority))
    await client.delete(keys.QUEUE, keys.QUEUE_HIGH, keys.QUEUE_LOW)

    # when it is asked for again, twice
    for _ in range(2):
        submission = await queue.submit(request(1, priority=priority))
        assert not submission.created

    # then it waits, once, and runs
    assert await queue.queue() == [song(1)]
    claim = await Claims(client, "worker-1").take(wait=0)
    assert claim is not None
    assert claim.job.id == song(1)


async def test_a_job_whose_message_is_gone_can_be_cancelled(client: Redis, queue: JobQueue) -> None:
    await queue.submit(request(1))
    await client.delete(keys.QUEUE)

    job = await queue.cancel(song(1))

    assert job is not None
    assert (job.state, job.cancelling) == ("cancelled", False)


async def test_a_message_that_a_worker_has_just_moved_is_not_gone(
    client: Redis, queue: JobQueue
) -> None:
    # given a message between its move and its claim
    await queue.submit(request(1))
    message = await run_script(client, "take", "worker-1", 30_000)

    # when the job is asked for again, and cancelled, then both wait for the claim
    await queue.submit(request(1))
    assert await queue.depth() == 0
    job = await queue.cancel(song(1))
    assert job is not None
    assert (job.state, job.cancelling) == ("waiting", True)
    assert await Claims(client, "worker-1").claim(message) is None
    job = await queue.get(song(1))
    assert job is not None
    assert job.state == "cancelled"


async def test_a_record_that_others_have_damaged_hides_no_other_job(
    client: Redis, queue: JobQueue
) -> None:
    for number in range(4):
        await queue.submit(request(number))
    await client.set(keys.JOB + song(0), "x")
    await client.hdel(keys.JOB + song(1), "song")
    await client.hset(keys.JOB + song(2), "attempts", "many")

    assert [job.song for job in (await queue.jobs()).jobs] == [song(3)]
