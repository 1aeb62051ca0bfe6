from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.jobs.claims import Claims
from octet.jobs.dead import DeadLetters
from octet.jobs.job import Callback, JobError
from octet.jobs.outbox import Outbox
from tests.jobs.songs import request, song

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from octet.jobs.queue import JobQueue

pytestmark = pytest.mark.anyio

NOT_AUDIO = JobError("not-audio", "the file holds no sound")


@pytest.fixture
def claims(client: Redis) -> Claims:
    return Claims(client, "worker-1")


@pytest.fixture
def dead(client: Redis) -> DeadLetters:
    return DeadLetters(client)


async def bury(queue: JobQueue, claims: Claims, number: int) -> None:
    callbacks = (Callback("http://lab/", number), Callback("http://event/", kind="event"))
    await queue.submit(request(number, callbacks=callbacks))
    claim = await claims.take(wait=0)
    assert claim is not None
    await claims.bury(claim, NOT_AUDIO)


async def test_a_buried_job_has_failed_and_says_why(
    queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    await bury(queue, claims, 1)

    job = await queue.get(song(1))
    assert job is not None
    assert (job.state, job.error) == ("failed", NOT_AUDIO)
    letter = await dead.get(song(1))
    assert letter is not None
    assert (letter.job_id, letter.code, letter.reason) == (song(1), "not-audio", NOT_AUDIO.message)
    assert letter.message == job.message
    assert await dead.get("another") is None


async def test_letters_are_listed_newest_first(
    queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    for number in range(5):
        await bury(queue, claims, number)

    assert await dead.count() == 5
    assert [letter.id for letter in await dead.list(start=1, limit=2)] == [song(3), song(2)]


async def test_the_labs_callback_is_told_of_no_failure_and_events_are(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    await bury(queue, claims, 1)

    [delivery] = await Outbox(client).claim()

    assert (delivery.url, delivery.outcome) == ("http://event/", "failed")
    assert '"type":"job.failed"' in delivery.body
    assert '"code":"not-audio"' in delivery.body


async def test_a_replayed_job_runs_as_if_new(
    client: Redis, queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    await bury(queue, claims, 1)

    assert await dead.replay(song(1))
    assert not await dead.replay(song(1))

    assert await dead.count() == 0
    claim = await claims.take(wait=0)
    assert claim is not None
    assert (claim.job.attempts, claim.job.error) == (1, None)
    await claims.finish(claim, "complete")
    urls = sorted(delivery.url for delivery in await Outbox(client).claim())
    assert urls == ["http://event/", "http://event/", "http://lab/"]


async def test_a_replayed_unreadable_message_is_read_again(
    client: Redis, queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    await client.lpush("toWorker", "nonsense")
    assert await claims.take(wait=0) is None
    [letter] = await dead.list()

    assert await dead.replay(letter.id)

    assert await client.lrange("toWorker", 0, -1) == [b"nonsense"]
    assert await claims.take(wait=0) is None
    assert await dead.count() == 1


async def test_a_discarded_letter_is_gone_with_its_job(
    queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    await bury(queue, claims, 1)

    assert await dead.discard(song(1))
    assert not await dead.discard(song(1))

    assert await queue.get(song(1)) is None
    assert (await queue.jobs()).jobs == []


async def test_a_failed_job_that_is_submitted_again_is_no_dead_letter_any_more(
    queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    await bury(queue, claims, 1)

    submission = await queue.submit(request(1))

    assert submission.created
    assert await dead.count() == 0
