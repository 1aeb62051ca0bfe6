"""A service with an empty queue on Valkey, and a store in a local folder."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from octet.jobs.connection import connect
from tests.worker.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def service(valkey_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """The service without workers."""
    client = connect(valkey_url)
    service = Service(client, valkey_url, (tmp_path / "store").as_uri(), tmp_path / "scratch")
    await service.buckets.ensure()
    yield service
    await client.aclose()


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
