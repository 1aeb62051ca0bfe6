"""What a worker can rely on, and what others can rely on when a worker fails."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from octet.errors import LeaseLostError
from octet.jobs import keys
from octet.jobs.claims import Claims
from octet.jobs.dead import DeadLetters
from octet.jobs.job import Callback, JobError
from octet.jobs.outbox import Outbox
from octet.jobs.reaper import Reaper
from tests.chaos import rounds
from tests.jobs.songs import request, song

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from octet.jobs.queue import JobQueue

pytestmark = pytest.mark.anyio

WRONG = JobError("model", "it went wrong")


@pytest.fixture
def claims(client: Redis) -> Claims:
    return Claims(client, "worker-1")


@pytest.fixture
def reaper(client: Redis) -> Reaper:
    return Reaper(client)


async def expire(client: Redis, job_id: str) -> None:
    """The lease of a job has run out."""
    await client.hset(keys.JOB + job_id, "lease", 1)


async def test_a_claim_is_counted_and_can_be_seen(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))

    claim = await claims.take(wait=0)

    assert claim is not None
    assert (claim.job.state, claim.job.attempts, claim.job.worker) == ("running", 1, "worker-1")
    assert not claim.exhausted
    assert await client.lrange(keys.INFLIGHT, 0, -1) == [song(1).encode()]
    assert await queue.depth() == 0
    assert await client.exists(keys.worker_jobs("worker-1")) == 0


async def test_progress_is_recorded(queue: JobQueue, claims: Claims) -> None:
    await queue.submit(request(1))
    claim = await claims.take(wait=0)
    assert claim is not None

    await claims.renew(claim, percent=33.3, left=40)

    job = await queue.get(song(1))
    assert job is not None
    assert (job.percent, job.left) == (33.3, 40.0)


async def test_nothing_to_take_is_none(claims: Claims) -> None:
    assert await claims.take(wait=0.05) is None


async def test_a_failed_attempt_goes_behind_the_others_until_all_are_used(
    queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    await queue.submit(request(2))
    order = []
    for _ in range(4):
        claim = await claims.take(wait=0)
        assert claim is not None
        order.append((claim.job.song, claim.job.attempts))
        if claim.job.song == song(2):
            await claims.finish(claim, "complete")
        else:
            again = await claims.retry(claim, WRONG)

    assert order == [(song(1), 1), (song(2), 1), (song(1), 2), (song(1), 3)]
    assert not again
    assert claim is not None
    job = await claims.finish(claim, "fallback", WRONG)
    assert (job.state, job.outcome, job.error) == ("done", "fallback", WRONG)


async def test_a_job_that_kills_its_workers_gets_three_attempts_then_a_rescue(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    """Reliability 4, the queue's part."""
    await queue.submit(request(1))
    seen = []
    while (claim := await claims.take(wait=0)) is not None:
        seen.append((claim.job.attempts, claim.exhausted))
        await expire(client, song(1))
        await reaper.reap(thorough=True)

    # then there were three attempts, three more at a fallback, and a dead letter
    assert seen == [(1, False), (2, False), (3, False), (3, True), (3, True), (3, True)]
    job = await queue.get(song(1))
    assert job is not None
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.code == "attempts"
    [letter] = await DeadLetters(client).list()
    assert (letter.id, letter.code) == (song(1), "attempts")


async def test_a_released_job_is_next_and_the_attempt_does_not_count(
    queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    await queue.submit(request(2))
    claim = await claims.take(wait=0)
    assert claim is not None

    await claims.release(claim)

    assert await queue.queue() == [song(1), song(2)]
    claim = await claims.take(wait=0)
    assert claim is not None
    assert (claim.job.song, claim.job.attempts) == (song(1), 1)


@pytest.mark.parametrize("after", ["put back", "claimed by another", "finished by another"])
async def test_a_late_worker_changes_nothing(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper, after: str
) -> None:
    """Reliability 6, the queue's part: the fence."""
    for number in range(rounds(3, 50)):
        # given a worker that was paused past its lease
        await queue.submit(request(number, callbacks=(Callback("http://x/"),)))
        late = await claims.take(wait=0)
        assert late is not None
        await expire(client, song(number))
        await reaper.reap(thorough=True)
        other = Claims(client, "worker-2")
        if after != "put back":
            claim = await other.take(wait=0)
            assert claim is not None
            if after == "finished by another":
                await other.finish(claim, "complete")
        before = await client.hgetall(keys.JOB + song(number))
        told = await client.zcard(keys.OUTBOX)

        # when it goes on
        for end in (
            claims.renew(late, percent=99),
            claims.finish(late, "fallback"),
            claims.retry(late, WRONG),
            claims.bury(late, WRONG),
            claims.release(late),
        ):
            with pytest.raises(LeaseLostError):
                await end

        # then nothing has changed
        assert await client.hgetall(keys.JOB + song(number)) == before
        assert await client.zcard(keys.OUTBOX) == told
        await queue.cancel(song(number))
        await client.flushall()


async def test_two_workers_forced_onto_one_job_end_it_once(
    client: Redis, queue: JobQueue, reaper: Reaper
) -> None:
    """Reliability 11, the queue's part."""
    one, two = Claims(client, "worker-1"), Claims(client, "worker-2")
    for number in range(rounds(20, 200)):
        await queue.submit(request(number, callbacks=(Callback("http://x/"),)))
        first = await one.take(wait=0)
        assert first is not None
        await expire(client, song(number))
        await reaper.reap(thorough=True)
        second = await two.take(wait=0)
        assert second is not None

        ends = await asyncio.gather(
            one.finish(first, "complete"), two.finish(second, "complete"), return_exceptions=True
        )

        assert [type(end) for end in ends].count(LeaseLostError) == 1
        assert await Outbox(client).pending() == number + 1


async def test_a_message_for_a_running_job_joins_it(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    first = await claims.take(wait=0)
    assert first is not None
    callback = {"url": "http://x/", "data": 1}
    await client.lpush("toWorker", json.dumps({"hash": song(1), "callback": callback}))

    assert await claims.take(wait=0) is None

    await claims.finish(first, "complete")
    assert [d.url for d in await Outbox(client).claim()] == ["http://x/"]


async def test_a_message_for_a_waiting_job_runs_it_and_its_own_is_dropped(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await client.lpush("toWorker", song(1))
    await queue.submit(request(1))

    claim = await claims.take(wait=0)
    assert claim is not None
    await claims.finish(claim, "complete")

    assert await claims.take(wait=0) is None
    job = await queue.get(song(1))
    assert job is not None
    assert job.state == "done"


async def test_a_message_of_others_for_a_done_job_is_a_claim_again(
    client: Redis, claims: Claims
) -> None:
    for _ in range(2):
        await client.lpush("toWorker", song(1))
        claim = await claims.take(wait=0)
        assert claim is not None
        assert claim.job.attempts == 1
        await claims.finish(claim, "complete")


async def test_an_unreadable_message_is_a_dead_letter_and_the_next_one_runs(
    client: Redis, claims: Claims
) -> None:
    await client.lpush("toWorker", b'{"hash": \xff', song(1))

    claim = await claims.take(wait=0)

    assert claim is not None
    assert claim.job.song == song(1)
    [letter] = await DeadLetters(client).list()
    assert letter.message == b'{"hash": \xff'
    assert (letter.job_id, letter.code) == ("", "message")
    assert "UTF-8" in letter.reason


async def test_a_cancelled_take_loses_nothing(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    for number in range(rounds(20, 200)):
        waiting = asyncio.create_task(claims.take(wait=10))
        pushed = asyncio.create_task(queue.submit(request(number)))
        for _ in range(number % 20):
            await asyncio.sleep(0.0005)
        waiting.cancel()
        found = (await asyncio.gather(waiting, return_exceptions=True))[0]
        await pushed
        if isinstance(found, asyncio.CancelledError):
            found = await claims.take(wait=0)
        if found is None:
            # The claim was made when its call was cancelled: its lease brings it back.
            await expire(client, song(number))
            await Reaper(client).reap(thorough=True)
            found = await claims.take(wait=0)

        assert found is not None
        assert not isinstance(found, BaseException)
        assert found.job.song == song(number)
        await claims.finish(found, "complete")


async def test_leaving_gives_back_what_was_only_moved(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    await claims.heartbeat()
    await client.lmove("toWorker", keys.worker_jobs("worker-1"), "RIGHT", "LEFT")

    await claims.leave()

    assert await queue.queue() == [song(1)]
    assert await queue.workers() == {}


@pytest.mark.parametrize("key", [keys.JOB, keys.CALLBACKS, keys.DEAD_LETTER])
async def test_a_key_of_the_wrong_type_costs_no_job(
    client: Redis, queue: JobQueue, claims: Claims, key: str
) -> None:
    # given something else under the name of a job's key, before its message and another
    await client.set(key + song(1), "x")
    for number in (1, 2):
        await client.lpush("toWorker", song(number))

    # when both are taken, then both run to their ends
    for number in (1, 2):
        claim = await claims.take(wait=0)
        assert claim is not None
        assert claim.job.id == song(number)
        await claims.bury(claim, WRONG)
    assert await queue.depth() == 0


async def test_damaged_callbacks_do_not_keep_a_job_from_its_end(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await queue.submit(request(1))
    claim = await claims.take(wait=0)
    assert claim is not None
    await client.set(keys.CALLBACKS + song(1), "x")

    assert (await claims.finish(claim, "complete")).state == "done"


async def test_a_running_job_with_a_damaged_record_stops_no_other(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    # given two jobs of a dead worker, of which one has no record any more
    for number in (1, 2):
        await queue.submit(request(number))
        assert await claims.take(wait=0) is not None
    await client.set(keys.JOB + song(1), "x")
    await client.hset(keys.JOB + song(2), "lease", 1)

    # when the reaper looks, then the other one comes back
    assert (await Reaper(client).reap(thorough=True)).jobs == 1
    assert await queue.queue() == [song(2)]


async def test_a_job_that_is_to_be_tried_later_holds_up_nobody(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    # given a job whose attempt failed, to be tried again a second later, and another behind it
    await queue.submit(request(1))
    await queue.submit(request(2))
    claim = await claims.take(wait=0)
    assert claim is not None
    began = time.monotonic()
    assert await claims.retry(claim, WRONG, delay=1.0)

    # when the next is taken, then it is the other at once, and the first when its time has come
    other = await claims.take(wait=0)
    assert other is not None
    assert other.job.song == song(2)
    assert await claims.take(wait=0) is None
    assert (await reaper.reap(thorough=True)).found == 0
    again = await claims.take(wait=10)
    assert again is not None
    assert (again.job.song, again.job.attempts) == (song(1), 2)
    assert time.monotonic() - began >= 1.0
    assert await client.zcard(keys.DELAYED) == 0


@pytest.mark.parametrize("end", ["cancel", "another recipe"])
async def test_a_delayed_job_can_be_cancelled_and_superseded(
    client: Redis, queue: JobQueue, claims: Claims, end: str
) -> None:
    await queue.submit(request(1))
    claim = await claims.take(wait=0)
    assert claim is not None
    assert await claims.retry(claim, WRONG, delay=60)

    if end == "cancel":
        job = await queue.cancel(song(1))
        assert job is not None
        assert job.state == "cancelled"
    else:
        assert (await queue.submit(request(1, recipe={"format": "flac"}))).created

    assert await client.zcard(keys.DELAYED) == 0
    assert await queue.depth() == (0 if end == "cancel" else 1)
