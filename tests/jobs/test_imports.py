"""Imports on a queue server: recorded once, claimed by one, ended in one step."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from octet.errors import KeyReusedError
from octet.jobs.import_job import Import, ImportClaim, ImportRequest
from octet.jobs.imports import Imports
from octet.jobs.job import Callback, JobError
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from tests.jobs.songs import request, song

if TYPE_CHECKING:
    from redis.asyncio import Redis

pytestmark = pytest.mark.anyio

URL = "http://example.org/song.mp3"
HOOK = Callback("http://example.org/told", kind="event")
LAB = Callback("http://example.org/lab", {"a": ["\ud800", 1e400]})


@pytest.fixture
def imports(client: Redis) -> Imports:
    return Imports(client)


async def added(imports: Imports, **more: Any) -> Import:
    """A new import."""
    found = await imports.add(ImportRequest(URL, {"model": "pocket"}, **more))
    assert not isinstance(found, str)
    return found[0]


async def claimed(imports: Imports, lease: float = 60) -> ImportClaim:
    """The import that is due."""
    [claim] = await imports.claim(10, lease=lease)
    return claim


async def told(client: Redis) -> list[tuple[str, str]]:
    """The addresses and bodies of all deliveries."""
    return sorted((one.url, one.body) for one in await Outbox(client).claim(100))


async def test_an_import_is_recorded_and_claimed_by_one(imports: Imports) -> None:
    made = await added(imports, name="Lied", priority="high", key="0" * 16, callbacks=(LAB, HOOK))

    claim = await claimed(imports)

    assert made.id.startswith("import-")
    assert len(made.id) == len("import-") + 32
    assert (made.state, made.job, made.attempts, made.ended) == ("fetching", "", 0, False)
    record = claim.record
    assert (record.id, record.url, record.name, record.attempts) == (made.id, URL, "Lied", 1)
    assert (record.recipe, record.key, record.priority) == ({"model": "pocket"}, "0" * 16, "high")
    # the callbacks come back as they were; the event knows what asked for it
    assert claim.callbacks[0] == LAB
    assert claim.callbacks[1] == Callback(HOOK.url, kind="event", origin=made.id)
    assert await imports.claim(10, lease=60) == []
    assert await imports.count() == 1


async def test_a_lease_that_runs_out_gives_it_to_another(imports: Imports, client: Redis) -> None:
    await added(imports)
    late = await claimed(imports, lease=0.05)
    await asyncio.sleep(0.06)
    other = await claimed(imports)

    # then whatever the first one does is refused, and the second one's counts
    assert other.record.attempts == 2
    assert await imports.renew(late, lease=60, arrived=1, size=2) == "lost"
    assert await imports.fail(late, JobError("limit", "it is large")) == "lost"
    assert await imports.postpone(late, 0, counts=True) == "lost"
    assert await imports.submit(late, request(1), answered=False) == "lost"
    assert await client.llen("toWorker") == 0
    assert await imports.submit(other, request(1), answered=False) == "created"
    assert await client.llen("toWorker") == 1


async def test_a_renewal_keeps_it_and_tells_how_far_it_is(imports: Imports) -> None:
    made = await added(imports)
    claim = await claimed(imports, lease=0.05)

    assert await imports.renew(claim, lease=60, arrived=10, size=100) == "go on"

    await asyncio.sleep(0.06)
    assert await imports.claim(1, lease=1) == []
    seen = await imports.get(made.id)
    assert seen is not None
    assert (seen.arrived, seen.size) == (10, 100)


async def test_it_is_submitted_in_the_step_that_ends_it(imports: Imports, client: Redis) -> None:
    made = await added(imports, callbacks=(LAB, HOOK))
    claim = await claimed(imports)
    job = request(1, callbacks=claim.callbacks)

    assert await imports.submit(claim, job, answered=False) == "created"
    # and again, after a lost reply
    assert await imports.submit(claim, job, answered=False) == "created"

    seen = await imports.get(made.id)
    assert seen is not None
    assert (seen.state, seen.job, seen.ended) == ("submitted", song(1), True)
    assert await client.llen("toWorker") == 1
    assert await client.lrange(f"octet:callbacks:{song(1)}", 0, -1) != []
    assert await imports.count() == 0
    assert await imports.next_due() is None
    assert await told(client) == []
    # the address, which may hold a secret, is forgotten, and one day the record
    assert seen.url == ""
    assert 29 * 86_400 < await client.ttl(f"octet:job:{made.id}") <= 30 * 86_400


async def test_two_imports_of_one_song_are_one_job(imports: Imports, client: Redis) -> None:
    for _ in range(2):
        await added(imports, callbacks=(HOOK,))
    first, second = await imports.claim(2, lease=60)

    words = [
        await imports.submit(claim, request(1, callbacks=claim.callbacks), answered=False)
        for claim in (first, second)
    ]

    assert words == ["created", "joined"]
    assert await client.llen("toWorker") == 1
    # each of them is told of the end
    await JobQueue(client).cancel(song(1))
    bodies = [body for _, body in await told(client)]
    assert [claim.record.id in "".join(bodies) for claim in (first, second)] == [True, True]
    assert len(bodies) == 2


async def test_what_is_there_already_is_told_at_once(imports: Imports, client: Redis) -> None:
    # given a result that nobody has a record of
    made = await added(imports, callbacks=(LAB, HOOK))
    claim = await claimed(imports)

    job = request(1, callbacks=claim.callbacks)
    assert await imports.submit(claim, job, answered=True) == "joined"

    assert await client.llen("toWorker") == 0
    (lab_url, lab_body), (url, event) = await told(client)
    assert (lab_url, lab_body) == (LAB.url, LAB.body)
    assert url == HOOK.url
    assert f'"import":"{made.id}"' in event
    assert f'"song":"{song(1)}"' in event
    assert '"type":"job.done"' in event


async def test_a_failure_is_told_to_events_alone(imports: Imports, client: Redis) -> None:
    made = await added(imports, callbacks=(LAB, HOOK))
    claim = await claimed(imports)
    why = JobError("remote-refused", "it answered 404")

    assert await imports.fail(claim, why) == "failed"
    assert await imports.fail(claim, why) == "failed"

    seen = await imports.get(made.id)
    assert seen is not None
    assert (seen.state, seen.error) == ("failed", why)
    [(url, body)] = await told(client)
    assert url == HOOK.url
    assert f'"id":"{made.id}","song":null,"state":"failed"' in body
    assert '"code":"remote-refused"' in body


async def test_an_attempt_counts_or_does_not(imports: Imports) -> None:
    made = await added(imports)
    why = JobError("remote-unavailable", "it is away")

    assert await imports.postpone(await claimed(imports), 0, counts=False) == "fetching"
    assert await imports.postpone(await claimed(imports), 0, counts=True, error=why) == "fetching"
    claim = await claimed(imports)
    assert claim.record.attempts == 2
    assert claim.record.error == why
    assert await imports.postpone(claim, 0.1, counts=True) == "fetching"

    due = await imports.next_due()
    assert due is not None
    assert 0 < due <= 0.1
    assert await imports.claim(1, lease=1) == []
    # and an error that was overcome is none
    await asyncio.sleep(0.11)
    await imports.submit(await claimed(imports), request(1), answered=False)
    seen = await imports.get(made.id)
    assert seen is not None
    assert seen.error is None


async def test_one_that_waits_is_cancelled_at_once(imports: Imports, client: Redis) -> None:
    made = await added(imports, callbacks=(LAB, HOOK))

    for _ in range(2):
        seen = await imports.cancel(made.id)
        assert seen is not None
        assert seen.state == "cancelled"

    assert await imports.claim(1, lease=1) == []
    [(_, body)] = await told(client)
    assert '"type":"job.cancelled"' in body
    assert await imports.cancel("import-none") is None


@pytest.mark.parametrize("end", ["renew", "submit", "postpone", "fail", "die"])
async def test_one_that_is_fetched_is_marked(imports: Imports, client: Redis, end: str) -> None:
    made = await added(imports, callbacks=(HOOK,))
    claim = await claimed(imports, lease=0.05 if end == "die" else 60)

    seen = await imports.cancel(made.id)
    assert seen is not None
    assert (seen.state, seen.cancelling) == ("fetching", True)

    # whatever its fetcher does next, or if it dies, it ends as cancelled
    if end == "renew":
        assert await imports.renew(claim, lease=60, arrived=1, size=None) == "cancelled"
        assert await imports.end_cancelled(claim) == "cancelled"
    elif end == "submit":
        assert await imports.submit(claim, request(1), answered=False) == "cancelled"
        assert await imports.submit(claim, request(1), answered=False) == "cancelled"
    elif end == "postpone":
        assert await imports.postpone(claim, 5, counts=True) == "cancelled"
    elif end == "fail":
        assert await imports.fail(claim, JobError("limit", "large")) == "cancelled"
    else:
        await asyncio.sleep(0.06)
        assert await imports.claim(1, lease=60) == []
    seen = await imports.get(made.id)
    assert seen is not None
    assert (seen.state, seen.error) == ("cancelled", None)
    assert await client.llen("toWorker") == 0
    assert len(await told(client)) == 1


async def test_a_key_stands_for_one_request(imports: Imports, client: Redis) -> None:
    asked = ImportRequest(URL, {})
    first = await imports.add(asked, idempotency_key="mine", digest="d1")
    again = await imports.add(asked, idempotency_key="mine", digest="d1")
    assert not isinstance(first, str)
    assert not isinstance(again, str)
    assert (first[1], again[1]) == (True, False)
    assert first[0].id == again[0].id

    with pytest.raises(KeyReusedError):
        await imports.add(asked, idempotency_key="mine", digest="d2")
    # uploads share the keys
    with pytest.raises(KeyReusedError):
        await JobQueue(client).submit(request(1), idempotency_key="mine", digest="d3")
    await JobQueue(client).submit(request(1), idempotency_key="upload", digest="d3")
    with pytest.raises(KeyReusedError):
        await imports.add(asked, idempotency_key="upload", digest="d1")
    assert await imports.count() == 1


async def test_too_many_are_refused(imports: Imports) -> None:
    asked = ImportRequest(URL, {}, owner="a")
    for _ in range(3):
        assert not isinstance(await imports.add(asked, most=4, most_of_one=3), str)
    # one client's, and then all
    assert await imports.add(asked, most=4, most_of_one=3) == "enough"
    assert not isinstance(await imports.add(ImportRequest(URL, {}), most=4, most_of_one=3), str)
    assert await imports.add(ImportRequest(URL, {}), most=4, most_of_one=3) == "full"
    # until one of them has ended
    [*_, one] = [found for found in await imports.page() if found.state == "fetching"]
    await imports.cancel(one.id)
    assert not isinstance(await imports.add(asked, most=4, most_of_one=3), str)


async def test_records_of_the_ended_are_bounded(
    imports: Imports, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octet.jobs.imports._MOST_ENDED", 2)
    made = [await added(imports) for _ in range(4)]
    for one in made:
        await imports.cancel(one.id)
        await asyncio.sleep(0.002)

    kept = [one.id for one in made if await imports.get(one.id) is not None]
    assert kept == [one.id for one in made[2:]]
    assert await client.zrange("octet:imports:cancelled", 0, -1) == [name.encode() for name in kept]
    assert await client.zcard("octet:imports-ended") == 2


async def test_those_without_a_job_are_listed_in_pages(imports: Imports) -> None:
    # given one that became a job, one that failed, one that was cancelled, and two to fetch
    made = []
    for _ in range(5):
        made.append((await added(imports)).id)
        await asyncio.sleep(0.002)  # they are due in the order of their milliseconds
    claims = {claim.record.id: claim for claim in await imports.claim(2, lease=60)}
    await imports.submit(claims[made[0]], request(1), answered=False)
    await imports.fail(claims[made[1]], JobError("limit", "it is large"))
    await imports.cancel(made[2])

    first = await imports.page(limit=3)
    rest = await imports.page(limit=3, after=str(first[-1].made))

    assert [one.id for one in (*first, *rest)] == made[:0:-1]
    assert [one.id for one in await imports.page(state="failed")] == [made[1]]
    assert [one.id for one in await imports.page(state="cancelled")] == [made[2]]
    assert [one.id for one in await imports.page(state="fetching")] == [made[4], made[3]]


async def test_a_song_on_its_way_is_known_to_those_who_delete(
    imports: Imports, client: Redis
) -> None:
    await added(imports)
    claim = await claimed(imports)
    queue = JobQueue(client)
    assert await queue.coming() == set()

    await imports.renew(claim, lease=60, arrived=1, size=1, song=song(1))
    assert await queue.coming() == {song(1)}
    await imports.submit(claim, request(1), answered=False)
    assert await queue.coming() == set()


async def test_an_import_is_followed_to_its_end(imports: Imports) -> None:
    made = await added(imports)
    seen: list[tuple[str, int]] = []

    async def follow() -> None:
        seen.extend([(one.state, one.arrived) async for one in imports.watch(made.id)])

    following = asyncio.create_task(follow())
    claim = await claimed(imports)
    await imports.renew(claim, lease=60, arrived=5, size=None)
    await asyncio.sleep(0.3)
    await imports.submit(claim, request(1), answered=False)
    await asyncio.wait_for(following, 5)

    assert ("fetching", 5) in seen
    assert seen[-1] == ("submitted", 5)


async def test_a_record_that_is_gone_holds_nobody_up(imports: Imports, client: Redis) -> None:
    lost, kept = await added(imports), await added(imports)
    await client.delete(f"octet:job:{lost.id}")

    assert (await claimed(imports)).record.id == kept.id
    assert await imports.count() == 1


async def test_a_host_that_is_busy_holds_no_other_up(imports: Imports) -> None:
    # given three songs of one host, and then one of another
    names = ["a.example/1", "A.example/2", "a.example/3", "b.example/4"]
    for name in names:
        assert not isinstance(await imports.add(ImportRequest(f"http://{name}", {})), str)
        await asyncio.sleep(0.002)

    first = await imports.claim(3, lease=60, per_host=2)
    second = await imports.claim(3, lease=60, per_host=2, busy={"a.example": 2})
    third = await imports.claim(3, lease=60, per_host=2, busy={"a.example": 1})

    assert [one.record.url[-1] for one in first] == ["1", "2", "4"]
    assert second == []
    assert [one.record.url[-1] for one in third] == ["3"]
