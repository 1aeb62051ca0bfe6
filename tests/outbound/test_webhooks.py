"""Deliveries from a real outbox to real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from octet.errors import SettingError
from octet.jobs import keys
from octet.jobs.outbox import Outbox
from octet.jobs.server import connect, reply_of
from octet.outbound.guard import Guard
from octet.outbound.schedule import Schedule
from octet.outbound.sign import new_secret
from octet.outbound.webhooks import (
    Attempt,
    Deliverer,
    check_outbound,
    deliver,
    service_secret,
)
from octet.settings import ServiceSettings, read_settings
from tests.chaos import rounds
from tests.outbound.receiver import Received, Receiver, receiver, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

pytestmark = pytest.mark.anyio

EVENTS = rounds(reduced=100, full=1000)
SECRET = new_secret()
QUICK = Schedule((0.02,) * 9)
BODY = json.dumps({"type": "job.done", "data": {"song": "ü"}})


@pytest.fixture
async def outbox(valkey_url: str, anyio_backend: str) -> AsyncIterator[Outbox]:
    client = connect(valkey_url)
    yield Outbox(client)
    await client.aclose()


def deliverer(outbox: Outbox, **changes: Any) -> Deliverer:
    """One that may reach this machine, and hurries."""
    settings: dict[str, Any] = {"patience": 5.0, "events": QUICK, "lab": QUICK, "idle": 0.02}
    return Deliverer(outbox, Guard(["127.0.0.0/8"]), SECRET, **(settings | changes))


@contextlib.asynccontextmanager
async def running(outbox: Outbox, **changes: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(deliverer(outbox, **changes).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


async def emptied(outbox: Outbox, within: float = 60.0) -> None:
    end = time.monotonic() + within
    while left := await outbox.pending():
        assert time.monotonic() < end, f"{left} deliveries are left"
        await asyncio.sleep(0.02)


async def reported(ended: list[Attempt], count: int) -> None:
    """An end is reported after the outbox knows it."""
    async with asyncio.timeout(60):
        while len(ended) < count:  # noqa: ASYNC110 - a server stands between
            await asyncio.sleep(0.01)


async def arrived(server: Receiver, count: int) -> None:
    for _ in range(2000):
        if len(server.requests) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"only {len(server.requests)} requests arrived")


@pytest.mark.timeout(500)
async def test_all_events_reach_a_receiver_that_fails_three_times_in_ten(outbox: Outbox) -> None:
    chance = random.Random(30)
    delivered: Counter[str] = Counter()
    attempts: defaultdict[str, int] = defaultdict(int)

    def answer(request: Received) -> bytes | None:
        body = Webhook(SECRET).verify(request.body, request.headers)
        name = request.headers["webhook-id"]
        attempts[name] += 1
        if chance.random() < 0.3:
            return chance.choice([says(500), says(429), says(302, Location="/"), b""])
        delivered[name] += 1
        assert body["number"] in range(EVENTS)
        return says(204)

    async with receiver(answer) as server:
        names = [
            await outbox.add(server.url(), json.dumps({"number": number}))
            for number in range(EVENTS)
        ]
        async with running(outbox, per_host=32):
            await emptied(outbox, within=60 + EVENTS * 0.3)

    assert delivered == Counter(names)
    assert max(attempts.values()) > 1
    assert sum(attempts.values()) > EVENTS


async def test_an_event_that_always_fails_is_tried_ten_times_under_one_id(outbox: Outbox) -> None:
    ended: list[Attempt] = []
    async with receiver(lambda _: says(500)) as server:
        name = await outbox.add(server.url(), BODY)
        async with running(outbox, on_attempt=ended.append):
            await emptied(outbox)
            await reported(ended, 10)

        assert [request.headers["webhook-id"] for request in server.requests] == [name] * 10
        assert {request.body for request in server.requests} == {BODY.encode()}
    assert [attempt.end for attempt in ended] == ["failed"] * 9 + ["given up"]
    assert ended[-1].status == 500


async def test_a_receiver_that_is_gone_is_left_alone(outbox: Outbox) -> None:
    async with receiver(lambda _: says(410)) as server:
        await outbox.add(server.url(), BODY)
        async with running(outbox):
            await emptied(outbox)
        assert len(server.requests) == 1


async def test_a_redirect_is_a_failure_and_not_followed(outbox: Outbox) -> None:
    async with receiver() as target:
        async with receiver(lambda _: says(308, Location=target.url("/other"))) as server:
            await outbox.add(server.url(), BODY)
            async with running(outbox):
                await emptied(outbox)
            assert len(server.requests) == 10
        assert target.requests == []


async def test_a_retry_after_is_honoured(outbox: Outbox) -> None:
    moments: list[float] = []

    def answer(_: Received) -> bytes:
        moments.append(time.monotonic())
        return says(503, Retry_After="1") if len(moments) == 1 else says(200)

    async with receiver(answer) as server:
        await outbox.add(server.url(), BODY)
        async with running(outbox):
            await emptied(outbox)
    assert len(moments) == 2
    assert moments[1] - moments[0] >= 0.99


async def test_an_absurd_retry_after_counts_as_an_attempt(outbox: Outbox) -> None:
    ended: list[Attempt] = []
    absurd = f"Thu, 01 Jan {'9' * 40} 00:00:00 GMT"
    async with receiver(lambda _: says(503, Retry_After=absurd)) as server:
        await outbox.add(server.url(), BODY)
        async with running(outbox, on_attempt=ended.append):
            await emptied(outbox)
            await reported(ended, 10)
        assert len(server.requests) == 10


async def test_a_fault_that_nobody_foresaw_counts_as_an_attempt(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["no address"]

    ended: list[Attempt] = []
    await outbox.add("http://odd.example/token", BODY)
    settings: dict[str, Any] = {"events": QUICK, "idle": 0.02, "on_attempt": ended.append}
    task = asyncio.create_task(Deliverer(outbox, Guard((), resolve), SECRET, **settings).run())
    await emptied(outbox)
    await reported(ended, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert [attempt.end for attempt in ended] == ["failed"] * 9 + ["given up"]
    assert any("unforeseen" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("allow_hosts", "http://hooks.lab", "OCTET_ALLOW_HOSTS"),
        ("allow_hosts", "localhost,10.0.0.0/99", "OCTET_ALLOW_HOSTS"),
        ("webhook_secret", "hunter2", "OCTET_WEBHOOK_SECRET"),
        ("webhook_secret", "", "OCTET_WEBHOOK_SECRET"),
    ],
)
def test_settings_that_stop_all_callbacks_are_refused_at_the_start(
    setting: str, value: str, named: str
) -> None:
    check_outbound(read_settings(ServiceSettings))
    with pytest.raises(SettingError, match=named) as caught:
        check_outbound(read_settings(ServiceSettings, **{setting: value}))
    assert "hunter2" not in str(caught.value)


async def test_pending_deliveries_survive_a_restart(outbox: Outbox, valkey_url: str) -> None:
    async with receiver(lambda _: None) as deaf:
        names = {await outbox.add(deaf.url(), BODY) for _ in range(5)}
        async with running(outbox, patience=0.5, per_host=10):
            await arrived(deaf, 5)
        assert await outbox.pending() == 5
        assert {request.headers["webhook-id"] for request in deaf.requests} == names

        deaf.answer = lambda _: says(200)
        client = connect(valkey_url)
        async with running(Outbox(client)):
            await emptied(outbox)
        await client.aclose()
        assert {request.headers["webhook-id"] for request in deaf.requests[5:]} == names


async def test_one_slow_receiver_takes_nobody_elses_turn(outbox: Outbox) -> None:
    async with receiver(lambda _: None) as slow, receiver() as quick:
        for _ in range(150):
            await outbox.add(slow.url(), BODY)
        for _ in range(20):
            await outbox.add(quick.url(), BODY)
        began = time.monotonic()
        async with running(outbox, patience=8.0):
            await arrived(quick, 20)
            assert time.monotonic() - began < 6.0
        assert 1 <= len(slow.requests) <= 8


async def test_a_forbidden_address_is_given_up_without_a_connection(
    outbox: Outbox, connections: list[Any]
) -> None:
    ended: list[Attempt] = []
    for url in ("http://169.254.169.254/", "file:///etc/passwd", "http://[::1]/", "nonsense"):
        await outbox.add(url, BODY)
        await outbox.add(url, BODY, kind="lab")
    connections.clear()  # those to the queue server
    async with running(outbox, on_attempt=ended.append):
        await emptied(outbox)
        await reported(ended, 8)
    assert [attempt.end for attempt in ended] == ["given up"] * 8
    assert all("169.254" not in str(address) for address in connections)
    assert all(address[0] not in ("::1",) for address in connections if isinstance(address, tuple))


async def test_the_labs_callback_is_its_data_and_nothing_else(outbox: Outbox) -> None:
    data = '{"mp3": "<path>", "data": "to be returned"}'
    async with receiver() as server:
        name = await outbox.add(server.url("/"), data, kind="lab")
        async with running(outbox):
            await emptied(outbox)
        (request,) = server.requests
    assert request.line == "POST / HTTP/1.1"
    assert request.body == data.encode()
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == name
    assert "webhook-signature" not in request.headers


async def test_a_deliverer_without_a_usable_secret_is_refused(outbox: Outbox) -> None:
    for secret in ("", "whsec_", "whsec_c2hvcnQ=", "hunter2"):
        with pytest.raises(SettingError) as caught:
            Deliverer(outbox, Guard(), secret)
        assert "hunter2" not in str(caught.value)


async def test_a_delivery_of_an_older_version_is_still_made(
    outbox: Outbox, valkey_url: str
) -> None:
    name = await outbox.add("http://x/", BODY)
    client = connect(valkey_url)
    async with receiver() as server:
        # older versions named a secret in each record, always the service's own
        await reply_of(
            client.hset(keys.DELIVERY + name, mapping={"secret": "", "url": server.url()})
        )
        async with running(outbox):
            await emptied(outbox)
        Webhook(SECRET).verify(server.requests[0].body, server.requests[0].headers)
    await client.aclose()


async def test_deliverers_side_by_side_share_the_work(outbox: Outbox) -> None:
    async with receiver() as server:
        names = [await outbox.add(server.url(), BODY) for _ in range(30)]
        async with running(outbox), running(outbox), running(outbox):
            await emptied(outbox)
        assert Counter(r.headers["webhook-id"] for r in server.requests) == Counter(names)


async def test_what_a_url_holds_besides_its_host_stays_out_of_the_logs(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[Attempt] = []
    async with receiver(lambda _: says(500)) as server:
        await outbox.add(server.url("/path-token?key=hidden"), BODY)
        async with running(outbox, on_attempt=ended.append):
            await emptied(outbox)
            await reported(ended, 10)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("octet")]
    assert any("given up after 10 attempts: it answered 500" in line for line in ours)
    assert not any("token" in line or "hidden" in line for line in ours)


async def test_a_secret_is_made_once_unless_a_setting_names_one(
    outbox: Outbox, valkey_url: str
) -> None:
    async with contextlib.aclosing(connect(valkey_url)) as client:
        made = await service_secret(client, read_settings(ServiceSettings))
        chosen = new_secret()

        assert made == await service_secret(client, read_settings(ServiceSettings))
        settings = read_settings(ServiceSettings, webhook_secret=SecretStr(chosen))
        assert await service_secret(client, settings) == chosen != made


async def test_any_process_of_the_service_delivers_as_its_settings_say(
    outbox: Outbox, valkey_url: str
) -> None:
    settings = read_settings(ServiceSettings, allow_hosts=("127.0.0.1",))
    ended: list[Attempt] = []
    async with receiver() as server, contextlib.aclosing(connect(valkey_url)) as client:
        await outbox.add(server.url(), "{}")
        task = asyncio.create_task(deliver(client, settings, outbox, ended.append))
        await arrived(server, 1)
        await reported(ended, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        secret = await service_secret(client, settings)

    assert ended[0].end == "delivered"
    [request] = server.requests
    assert Webhook(secret).verify(request.body, request.headers) == {}
