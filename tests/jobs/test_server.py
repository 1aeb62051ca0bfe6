from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from octet.errors import QueueUnavailableError, SettingError
from octet.jobs.claims import Claims
from octet.jobs.job import Callback
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect, queue_url
from octet.settings import ServiceSettings, read_settings
from tests.jobs.proxy import LossyProxy
from tests.jobs.songs import request

if TYPE_CHECKING:
    from redis.asyncio import Redis

pytestmark = pytest.mark.anyio


def settings(**given: Any) -> ServiceSettings:
    return read_settings(ServiceSettings, **given)


def test_the_address_comes_from_the_settings() -> None:
    assert queue_url(settings(redis_host="redis", redis_port=7)) == "redis://redis:7/0"
    assert queue_url(settings(redis_host="::1")) == "redis://[::1]:6379/0"
    assert queue_url(settings(redis_url="unix:///run/r.sock")) == "unix:///run/r.sock"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OCTET_REDIS_URL", "redis.example:6379"),
        ("OCTET_REDIS_URL", "127.0.0.1"),
        ("OCTET_REDIS_URL", "http://127.0.0.1:6379"),
        ("OCTET_REDIS_URL", "redis://redis:port/0"),
        ("OCTET_REDIS_URL", "redis://redis:6379/0?patience=7"),
        ("REDIS_HOST", "redis:6379"),
        ("REDIS_HOST", "redis://redis"),
    ],
)
def test_a_mistyped_address_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=f"{variable} is no address of a queue server"):
        queue_url(settings())


@pytest.mark.parametrize("scheme", ["redis+sentinel", "redis-sentinel", "rediss+cluster"])
def test_sentinel_and_cluster_are_refused_by_name(scheme: str) -> None:
    with pytest.raises(SettingError, match="OCTET_REDIS_URL names a Redis Sentinel"):
        queue_url(settings(redis_url=f"{scheme}://:hunter2@a:26379/mymaster"))


@pytest.mark.parametrize("url", ["http://user:hunter2@host/", "redis://:hunter2/7@host/0"])
def test_an_address_without_sense_does_not_show_its_password(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        connect(url)
    assert "hunter2" not in str(caught.value)


async def test_a_server_that_is_away_is_a_typed_error() -> None:
    client = connect("redis://127.0.0.1:1/0")
    with pytest.raises(QueueUnavailableError):
        await JobQueue(client).submit(request(1))
    await client.aclose()


async def test_lost_replies_run_nothing_twice(queue_url: str, client: Redis) -> None:
    """Reliability 10, the queue's part: a reply lost after execution."""
    port = urlsplit(queue_url).port
    assert port is not None
    async with LossyProxy(port, seed=1).open() as proxy:
        flaky = connect(f"redis://127.0.0.1:{proxy.port}/0")
        queue, claims = JobQueue(flaky), Claims(flaky, "worker-1", lease=30)
        await flaky.ping()
        proxy.share = 0.08

        # when 30 jobs go all the way while one reply in twelve is lost
        submissions = [
            await queue.submit(request(number, callbacks=(Callback(f"http://{number}/"),)))
            for number in range(30)
        ]
        waiting = await JobQueue(client).depth()
        ended = []
        while (claim := await claims.take(wait=0)) is not None:
            await claims.renew(claim, percent=50)
            ended.append(await claims.finish(claim, "complete"))
        proxy.share = 0.0
        await flaky.aclose()

    # then each was queued once, claimed once, finished once and told once
    assert proxy.lost > 10
    assert all(submission.created for submission in submissions)
    assert waiting == 30
    assert len(ended) == 30
    assert {job.attempts for job in ended} == {1}
    deliveries = await Outbox(client).claim(limit=1000)
    assert sorted(d.url for d in deliveries) == sorted(f"http://{n}/" for n in range(30))


async def test_more_commands_at_once_than_connections_wait_for_one(
    queue: JobQueue, client: Redis
) -> None:
    # given five hundred that are asked for together, when all have been answered
    found = await asyncio.gather(*(queue.get(f"{number:064x}") for number in range(500)))

    # then none was refused, and the server has seen few connections
    assert found == [None] * 500
    assert len(await client.client_list(_type="normal")) <= 100
