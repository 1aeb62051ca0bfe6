"""A client on each of the servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.jobs.queue import JobQueue
from octet.jobs.server import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis


@pytest.fixture
async def client(queue_url: str) -> AsyncIterator[Redis]:
    """A client of an empty server; the test runs on Valkey and on Redis."""
    client = connect(queue_url)
    yield client
    await client.aclose()


@pytest.fixture
def queue(client: Redis) -> JobQueue:
    """The queue on that server."""
    return JobQueue(client)
