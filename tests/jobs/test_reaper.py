"""Whatever dies, its work comes back."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from octet.errors import LeaseLostError
from octet.jobs import keys
from octet.jobs.claims import Claims
from octet.jobs.job import JobError
from octet.jobs.outbox import Outbox
from octet.jobs.reaper import INTERRUPTIONS, LOSSES, Reaper
from octet.jobs.server import reply_of, run_script
from tests.chaos import rounds
from tests.jobs.songs import request, song

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from octet.jobs.job import Priority
    from octet.jobs.queue import JobQueue

pytestmark = pytest.mark.anyio

# A worker that is killed between the move and its claim: the failpoint is its own claim().
DIES_BEFORE_THE_CLAIM = """
import asyncio, os, signal, sys
from octet.jobs.claims import Claims
from octet.jobs.server import connect

class Dying(Claims):
    async def claim(self, message):
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(Dying(connect(sys.argv[1]), sys.argv[2], lease=0.2).take(wait=10))
"""


@pytest.fixture
def reaper(client: Redis) -> Reaper:
    return Reaper(client)


@pytest.fixture
def claims(client: Redis) -> Claims:
    return Claims(client, "worker-1")


async def silence(client: Redis, worker: str) -> None:
    """The heartbeat of a worker has run out."""
    await client.zadd(keys.WORKERS, {worker: 1})


async def test_a_kill_between_the_move_and_the_claim_strands_nothing(
    queue_url: str, client: Redis, queue: JobQueue, reaper: Reaper
) -> None:
    """Reliability 3."""
    for number in range(rounds(2, 100)):
        await queue.submit(request(number))
        program = [sys.executable, "-c", DIES_BEFORE_THE_CLAIM, queue_url, f"dying-{number}"]
        dying = await asyncio.create_subprocess_exec(*program)
        assert await dying.wait() == -signal.SIGKILL
        assert await queue.depth() == 0  # it had moved the message
        await silence(client, f"dying-{number}")

        reaped = await reaper.reap(thorough=True)

        assert reaped.messages == 1
        claim = await Claims(client, "worker-2").take(wait=0)
        assert claim is not None
        assert (claim.job.song, claim.job.attempts) == (song(number), 1)
        await Claims(client, "worker-2").finish(claim, "complete")


async def test_after_a_stop_of_everything_all_waits_again_at_once(
    client: Redis, queue: JobQueue, reaper: Reaper, claims: Claims
) -> None:
    # given a job that a worker computes, one that it has only taken, and one that waits
    for number in (1, 2, 3):
        await queue.submit(request(number))
    running = await claims.take(wait=0)
    assert running is not None
    await client.lmove("toWorker", keys.worker_jobs("worker-1"), "RIGHT", "LEFT")

    # when the whole service comes back, long before their leases end
    resumed = await reaper.resume()

    # then all wait in their order, the first as if it had not been tried
    assert (resumed.messages, resumed.jobs) == (1, 1)
    found = [await claims.take(wait=0) for _ in range(3)]
    assert [claim.job.song for claim in found if claim] == [song(1), song(2), song(3)]
    assert [claim.job.attempts for claim in found if claim] == [1, 1, 1]
    # and the worker of before, should it wake up, is refused
    with pytest.raises(LeaseLostError):
        await claims.finish(running, "complete")


async def test_a_job_under_which_everything_stops_again_and_again_is_given_up(
    queue: JobQueue, reaper: Reaper, claims: Claims
) -> None:
    # given a job under which the whole service stops as often as is forgiven
    await queue.submit(request(1))
    for _ in range(INTERRUPTIONS):
        claim = await claims.take(wait=0)
        assert claim is not None
        assert (claim.job.attempts, claim.exhausted) == (1, False)
        await reaper.resume()
    # when that goes on, then the stops count
    for attempts in (1, 2, 3):
        claim = await claims.take(wait=0)
        assert claim is not None
        assert (claim.job.attempts, claim.exhausted) == (attempts, False)
        await reaper.resume()
    claim = await claims.take(wait=0)
    assert claim is not None
    assert claim.exhausted


async def test_a_list_whose_owner_nobody_knows_goes_back(
    client: Redis, queue: JobQueue, reaper: Reaper
) -> None:
    await reaper.reap()
    await queue.submit(request(1))
    await client.lmove("toWorker", keys.worker_jobs("stranger:1"), "RIGHT", "LEFT")

    assert (await reaper.reap()).messages == 0  # it is not looked for each time
    assert (await reaper.reap(thorough=True)).messages == 1
    assert await queue.queue() == [song(1)]


async def test_what_has_a_living_owner_stays(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    await queue.submit(request(1))
    await queue.submit(request(2))
    assert await claims.take(wait=0) is not None
    await client.lmove("toWorker", keys.worker_jobs("worker-1"), "RIGHT", "LEFT")

    reaped = await reaper.reap(thorough=True)

    assert (reaped.messages, reaped.jobs) == (0, 0)
    assert await queue.depth() == 0


async def test_work_comes_back_in_its_order_before_the_rest(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    for number in range(6):
        await queue.submit(request(number))
    for _ in range(2):
        claim = await claims.take(wait=0)
        assert claim is not None
        await client.hset(keys.JOB + claim.job.id, "lease", 1)
    for _ in range(2):
        await client.lmove("toWorker", keys.worker_jobs("worker-1"), "RIGHT", "LEFT")
    await silence(client, "worker-1")

    reaped = await reaper.reap(thorough=True)

    assert (reaped.messages, reaped.jobs) == (2, 2)
    assert await queue.queue() == [song(number) for number in range(6)]
    assert await client.llen(keys.INFLIGHT) == 0


@pytest.mark.parametrize("priority", ["high", "low"])
async def test_messages_of_a_dead_worker_go_back_where_they_came_from(
    client: Redis, queue: JobQueue, reaper: Reaper, priority: Priority
) -> None:
    # given three messages of a priority, one normal one, and a worker that dies between the move
    # of its first message and the claim
    await queue.submit(request(9))
    for number in range(3):
        await queue.submit(request(number, priority=priority))
    before = await queue.queue()
    if priority == "low":
        await Claims(client, "other").take(wait=0)
    await run_script(client, "take", "worker-1", 30_000)
    await silence(client, "worker-1")

    # when its message goes back
    assert (await reaper.reap(thorough=True)).messages == 1

    # then the order is what it was
    assert await queue.queue() == (before if priority == "high" else before[1:])
    moved = await client.keys("octet:worker:*")
    assert moved == []


async def test_a_message_of_high_priority_on_an_empty_queue_stays_first(
    client: Redis, queue: JobQueue, reaper: Reaper
) -> None:
    # given a message of high priority that went straight onto the empty queue, and was moved
    await queue.submit(request(1, priority="high"))
    await run_script(client, "take", "worker-1", 30_000)
    await silence(client, "worker-1")
    for number, priority in ((2, "normal"), (3, "high"), (4, "high")):
        await queue.submit(request(number, priority=priority))

    await reaper.reap(thorough=True)

    assert await queue.queue() == [song(1), song(3), song(4), song(2)]


async def test_a_waiting_job_whose_message_is_gone_is_found(
    client: Redis, queue: JobQueue, reaper: Reaper
) -> None:
    # given jobs whose messages somebody has deleted
    for number in range(3):
        await queue.submit(request(number))
    await client.delete("toWorker")

    # when the reaper looks for them
    reaped = await reaper.reap(thorough=True)

    # then they wait again, in their order
    assert reaped.found == 3
    assert await queue.queue() == [song(number) for number in range(3)]
    assert (await reaper.reap(thorough=True)).found == 0


async def test_a_message_that_is_taken_away_again_and_again_ends_as_a_dead_letter(
    client: Redis, queue: JobQueue, reaper: Reaper
) -> None:
    await queue.submit(request(1))
    for _ in range(LOSSES):
        await client.delete("toWorker")
        assert (await reaper.reap(thorough=True)).found == 1
    await client.delete("toWorker")

    assert (await reaper.reap(thorough=True)).lost == 1

    job = await queue.get(song(1))
    assert job is not None
    assert job.error is not None
    assert (job.state, job.error.code) == ("failed", "lost")
    assert await queue.depth() == 0


async def test_a_running_job_that_the_list_of_running_jobs_lacks_comes_back(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    # given a dead worker's job, and a list that somebody has deleted
    await queue.submit(request(1))
    assert await claims.take(wait=0) is not None
    await client.hset(keys.JOB + song(1), "lease", 1)
    await client.delete(keys.INFLIGHT)

    # when the reaper has noticed
    await reaper.reap(thorough=True)
    await reaper.reap(thorough=True)

    assert await queue.queue() == [song(1)]


async def scores(client: Redis, key: str) -> dict[bytes, float]:
    return dict(await reply_of(client.zrange(key, 0, -1, withscores=True)))


async def test_a_clock_that_is_set_back_stops_nothing(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    """What a server looks like whose clock was set back by ten minutes, a lease of 30 s ago."""
    # given a dead worker with a running job and a moved message, a delivery that is due, and
    # a living worker that has renewed since
    await queue.submit(request(1))
    await queue.submit(request(2))
    await Outbox(client).add("http://x/", "{}")
    assert await claims.take(wait=0) is not None
    await run_script(client, "take", "worker-1", 30_000)
    await Claims(client, "alive").heartbeat()
    seconds, _ = await client.time()
    later = (seconds + 600) * 1000
    await client.set(keys.REAPED, later)
    await client.hset(keys.JOB + song(1), "lease", later + 30_000)
    await client.zadd(keys.WORKERS, {"worker-1": later + 30_000})
    [delivery] = await scores(client, keys.OUTBOX)
    await client.zadd(keys.OUTBOX, {delivery: later})

    # when the reaper looks
    await reaper.reap()

    # then nothing lasts longer than if the clock had not been touched
    now = (seconds + 5) * 1000
    workers = await scores(client, keys.WORKERS)
    [due] = (await scores(client, keys.OUTBOX)).values()
    assert int(await client.hget(keys.JOB + song(1), "lease") or 0) <= now + 30_000
    assert workers[b"worker-1"] <= now + 30_000
    assert workers[b"alive"] > now
    assert due <= now
    assert int(await client.get(keys.REAPED) or later) <= now


async def test_a_job_that_was_to_be_cancelled_ends_with_its_worker(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    await queue.submit(request(1))
    assert await claims.take(wait=0) is not None
    await queue.cancel(song(1))
    await client.hset(keys.JOB + song(1), "lease", 1)

    await reaper.reap(thorough=True)

    job = await queue.get(song(1))
    assert job is not None
    assert job.state == "cancelled"
    assert await queue.depth() == 0


async def test_it_is_done_once_a_second_by_all_together(
    client: Redis, queue: JobQueue, claims: Claims, reaper: Reaper
) -> None:
    await reaper.reap()
    await queue.submit(request(1))
    assert await claims.take(wait=0) is not None
    await client.hset(keys.JOB + song(1), "lease", 1)

    assert (await Reaper(client).reap()).jobs == 0


async def test_old_jobs_are_forgotten_and_failed_ones_stay(
    client: Redis, queue: JobQueue, claims: Claims
) -> None:
    for number in range(4):
        await queue.submit(request(number))
    for number in range(3):
        claim = await claims.take(wait=0)
        assert claim is not None
        if number == 0:
            await claims.finish(claim, "complete")
        elif number == 1:
            await claims.bury(claim, JobError("not-audio", "no sound"))
    await queue.cancel(song(3))

    assert (await Reaper(client, keep_days=30).reap()).forgotten == 0
    forgotten = (await Reaper(client, keep_days=-1).reap()).forgotten

    assert forgotten == 2
    states = {job.song: job.state for job in (await queue.jobs()).jobs}
    assert states == {song(1): "failed", song(2): "running"}
    assert await queue.get(song(0)) is None
