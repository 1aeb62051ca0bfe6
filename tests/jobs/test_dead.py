from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from octet.jobs.claims import Claims
from octet.jobs.dead import DeadLetters
from octet.jobs.job import Callback, JobError
from octet.jobs.message import LONGEST
from octet.jobs.outbox import Outbox
from octet.jobs.reaper import Reaper
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

    assert await queue.get(song(1)) is None
    assert (await queue.jobs()).jobs == []


async def test_what_worked_is_answered_so_again_and_happens_once(
    queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    # given two letters, one replayed and one discarded, whose replies were lost
    await bury(queue, claims, 1)
    await bury(queue, claims, 2)
    await dead.replay(song(1))
    await dead.discard(song(2))

    # when the same is asked for again, then it has worked, and nothing more happens
    assert await dead.replay(song(1))
    assert await dead.discard(song(2))
    assert await queue.queue() == [song(1)]

    # and what did not happen has not worked
    assert not await dead.discard(song(1))
    assert not await dead.replay(song(2))
    assert not await dead.replay("message-99")


async def test_the_oldest_letters_beyond_a_bound_are_dropped_and_counted(
    client: Redis,
    queue: JobQueue,
    claims: Claims,
    dead: DeadLetters,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # given five letters of jobs where three are kept
    for number in range(5):
        await bury(queue, claims, number)

    # when the old ones are tidied away
    with caplog.at_level(logging.WARNING, logger="octet"):
        reaped = await Reaper(client, most_letters=3).reap()

    # then the newest are there, the others are gone with their jobs, and that is said
    assert reaped.letters == 2
    assert [letter.id for letter in await dead.list()] == [song(4), song(3), song(2)]
    assert await queue.get(song(0)) is None
    assert (await dead.dropped())["letters"] == 2
    assert "2 of the oldest dead letters were dropped" in caplog.text
    assert (await Reaper(client, most_letters=3).reap()).letters == 0


async def test_a_letter_does_not_keep_what_was_too_long_to_be_read(
    client: Redis, claims: Claims, dead: DeadLetters
) -> None:
    await client.lpush("toWorker", b"x" * (LONGEST + 100))

    assert await claims.take(wait=0) is None

    [letter] = await dead.list()
    assert letter.message == b"x" * LONGEST


async def test_a_failed_job_that_is_submitted_again_is_no_dead_letter_any_more(
    queue: JobQueue, claims: Claims, dead: DeadLetters
) -> None:
    await bury(queue, claims, 1)

    submission = await queue.submit(request(1))

    assert submission.created
    assert await dead.count() == 0
