"""The queue on each of the servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.jobs.queue import JobQueue

if TYPE_CHECKING:
    from redis.asyncio import Redis


@pytest.fixture
def queue(client: Redis) -> JobQueue:
    """The queue on that server."""
    return JobQueue(client)
