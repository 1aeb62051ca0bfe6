"""A service with an empty queue on Valkey, and a store in a local folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.jobs.server import connect
from octet.separation.models.registry import REGISTRY
from tests.servers import find_free_port, nothing_here
from tests.worker.odd_compute import entries
from tests.worker.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.ceph import Ceph


@pytest.fixture(autouse=True)
def odd_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Supervisors of the test's own process know the odd models, until the test ends."""
    for name, entry in entries().items():
        monkeypatch.setitem(REGISTRY, name, entry)


@pytest.fixture
async def service(valkey_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """The service without workers."""
    client = connect(valkey_url)
    service = Service(client, valkey_url, (tmp_path / "store").as_uri(), tmp_path / "scratch")
    await service.buckets.ensure()
    yield service
    await client.aclose()


@pytest.fixture
async def ceph_service(valkey_url: str, ceph: Ceph, tmp_path: Path) -> AsyncIterator[Service]:
    """The same with an S3 service, named by the contract's variables."""
    settings = ceph.settings()
    environment = ceph.environment(settings)
    more = {name.lower(): value for name, value in environment.items()}
    client = connect(valkey_url)
    service = Service(client, valkey_url, "s3", tmp_path / "scratch", more, environment)
    await service.buckets.ensure()
    yield service
    await client.aclose()


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    return find_free_port()


@pytest.fixture
def empty_hub() -> Iterator[str]:
    """The address of a hub of models that has none."""
    with nothing_here() as address:
        yield address
