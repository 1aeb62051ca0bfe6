"""A server that may lose accepted jobs is named, with the setting that makes it do so."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from octet.jobs.durability import durability, log_durability
from octet.jobs.embedded import EmbeddedServer
from octet.jobs.server import connect
from tests.servers import BINARIES, QueueServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from redis.asyncio import Redis

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=BINARIES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QueueServer]:
    """A server that keeps what it is given."""
    server = QueueServer(request.param, tmp_path_factory.mktemp("durable"), durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own(server: QueueServer) -> AsyncIterator[Redis]:
    """Its client; what the test sets is set back."""
    client = connect(server.url)
    settings = ("maxmemory-policy", "appendonly", "appendfsync")
    before = {name: str((await client.config_get(name))[name]) for name in settings}
    yield client
    for name, value in before.items():
        await client.config_set(name, value)
    await client.aclose()


async def test_a_server_that_keeps_everything_is_not_warned_of(own: Redis) -> None:
    assert await durability(own) == []
    await own.config_set("appendfsync", "everysec")
    assert await durability(own) == []


async def test_the_private_valkey_keeps_everything(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as embedded, connect(embedded.url) as client:
        assert await durability(client) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maxmemory-policy", "allkeys-lru"),
        ("maxmemory-policy", "allkeys-random"),
        ("maxmemory-policy", "volatile-lfu"),
        ("appendonly", "no"),
        ("appendfsync", "no"),
    ],
)
async def test_each_setting_that_loses_jobs_is_named(own: Redis, name: str, value: str) -> None:
    await own.config_set(name, value)

    (warning,) = await durability(own)

    assert warning.startswith(f"{name} is {value}: ")
    assert "; set it to " in warning


async def test_a_replica_is_named(own: Redis) -> None:
    await own.replicaof("127.0.0.1", "1")
    try:
        assert any("name the primary" in warning for warning in await durability(own))
    finally:
        await own.replicaof("NO", "ONE")


@pytest.mark.parametrize("command", ["config", "info"])
async def test_what_the_server_does_not_tell_is_said_once(
    own: Redis, server: QueueServer, command: str
) -> None:
    # given a user who may not use a command, as with managed services
    await own.execute_command(
        *("ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all", f"-{command}")
    )
    url = server.url.replace("redis://", "redis://limited:any@")
    async with connect(url) as limited:
        # when the server is looked at, then one line says what nobody could see
        (warning,) = await durability(limited)
    assert f"does not allow {command.upper()}" in warning


async def test_the_log_says_it_once_the_server_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given a server that is not there yet, and then is one that keeps nothing
    server = QueueServer("redis", tmp_path)
    async with connect(server.url) as client:
        logging_it = asyncio.create_task(log_durability(client))
        await asyncio.sleep(0.2)
        server.start()
        try:
            with caplog.at_level(logging.WARNING, logger="octet"):
                assert len(await logging_it) == 1
        finally:
            server.stop()
    assert "appendonly is no" in caplog.text
