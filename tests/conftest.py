"""Fixtures for all rooms."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from octet.jobs.server import connect
from tests.ceph import ceph
from tests.servers import BINARIES, QueueServer, QueueServers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from redis.asyncio import Redis

__all__ = ["ceph"]  # known here, so that all tests share one


def pytest_configure() -> None:
    """Signals reach the programs that tests start, even if the tests run in the background.

    A shell starts what it puts there with SIGINT ignored, nohup with SIGHUP, and programs inherit
    that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, those that take longest come first.

    They are the files with a long time limit: what is left at the end is short, and no process
    waits for another.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    limits: dict[Path, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        limits[item.path] = max(limits.get(item.path, 0), mark.args[0] if mark else 0)
    items.sort(key=lambda item: -limits[item.path])


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all the processes share that run its tests."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def queue_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[QueueServers]:
    """Starts the server of a kind when it is first asked for; all end with the session.

    Programs that outlive a test would take part in the next one's work: they have a server of
    their own, under the name of whose it is.
    """
    running: dict[tuple[str, str], QueueServer] = {}

    def start(kind: str, whose: str = "everyone") -> QueueServer:
        if (kind, whose) not in running:
            server = QueueServer(kind, tmp_path_factory.mktemp(kind))
            server.start()
            running[kind, whose] = server
        return running[kind, whose]

    yield start
    for server in running.values():
        server.stop()


def _emptied(server: QueueServer) -> str:
    with server.client() as client:
        client.flushall()
    return server.url


@pytest.fixture
def valkey_url(queue_servers: QueueServers) -> str:
    """The address of an empty Valkey."""
    return _emptied(queue_servers("valkey"))


@pytest.fixture
def redis_url(queue_servers: QueueServers) -> str:
    """The address of an empty Redis."""
    return _emptied(queue_servers("redis"))


@pytest.fixture(params=BINARIES)
def queue_url(request: pytest.FixtureRequest, queue_servers: QueueServers) -> str:
    """The address of an empty server: the test runs on Valkey and on Redis."""
    return _emptied(queue_servers(request.param))


@pytest.fixture
async def client(queue_url: str) -> AsyncIterator[Redis]:
    """A client of an empty server; the test runs on Valkey and on Redis."""
    client = connect(queue_url)
    yield client
    await client.aclose()
