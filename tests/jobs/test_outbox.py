from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from octet.jobs.dead import DeadLetters
from octet.jobs.outbox import Outbox
from octet.jobs.reaper import Reaper

if TYPE_CHECKING:
    from redis.asyncio import Redis

pytestmark = pytest.mark.anyio


@pytest.fixture
def outbox(client: Redis) -> Outbox:
    return Outbox(client)


async def test_a_delivery_is_claimed_by_one_and_finished(outbox: Outbox) -> None:
    name = await outbox.add("http://x/", '{"a":1}')

    [delivery] = await outbox.claim()

    assert (delivery.id, delivery.url, delivery.body) == (name, "http://x/", '{"a":1}')
    assert (delivery.kind, delivery.attempts) == ("event", 0)
    assert await outbox.claim() == []
    assert await outbox.finish(delivery)
    assert await outbox.pending() == 0
    assert await outbox.next_due() is None


async def test_many_claimers_share_what_is_due(outbox: Outbox) -> None:
    for number in range(30):
        await outbox.add(f"http://{number}/", "{}")

    shares = await asyncio.gather(*(outbox.claim(limit=7) for _ in range(6)))

    urls = [delivery.url for share in shares for delivery in share]
    assert sorted(urls) == sorted(f"http://{number}/" for number in range(30))


async def test_a_failed_attempt_counts_and_comes_again_later(outbox: Outbox) -> None:
    await outbox.add("http://x/", "{}")
    [delivery] = await outbox.claim()

    assert await outbox.reschedule(delivery, 0.15)

    assert await outbox.claim() == []
    due = await outbox.next_due()
    assert due is not None
    assert 0 < due <= 0.15
    await asyncio.sleep(0.2)
    [again] = await outbox.claim()
    assert (again.id, again.attempts) == (delivery.id, 1)


async def test_a_lease_that_runs_out_makes_it_due_again_and_fences_the_late_one(
    outbox: Outbox,
) -> None:
    await outbox.add("http://x/", "{}")
    [late] = await outbox.claim(lease=0.05)
    await asyncio.sleep(0.1)

    [delivery] = await outbox.claim()

    assert delivery.id == late.id
    assert not await outbox.finish(late)
    assert not await outbox.reschedule(late, 1)
    assert await outbox.finish(delivery)


async def test_the_oldest_deliveries_beyond_a_bound_are_dropped_and_counted(
    client: Redis, outbox: Outbox
) -> None:
    # given six deliveries, of which the first is due last: it was tried already
    for number in range(6):
        await outbox.add(f"http://{number}/", "{}")
        await asyncio.sleep(0.002)
    for delivery in await outbox.claim(1):
        await outbox.reschedule(delivery, 3600)

    # when four are kept
    reaped = await Reaper(client, most_deliveries=4).reap()

    # then the oldest two are gone, and counted
    assert reaped.deliveries == 2
    assert [delivery.url for delivery in await outbox.claim()] == [
        f"http://{number}/" for number in range(2, 6)
    ]
    assert await outbox.pending() == 4
    assert (await DeadLetters(client).dropped())["deliveries"] == 2


async def test_a_finished_delivery_leaves_nothing(client: Redis, outbox: Outbox) -> None:
    await outbox.add("http://x/", "{}")
    [delivery] = await outbox.claim()

    await outbox.finish(delivery)

    assert await client.keys("octet:webhooks*") == []
