from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from octet.settings import ServiceSettings, read_settings
from octet.storage.open import Buckets, open_buckets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from octet.storage.bucket import Bucket
    from tests.ceph import Ceph


MIB = 1024 * 1024


@pytest.fixture(params=["folder", "ceph"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> ServiceSettings:
    """One store after the other, with fresh buckets."""
    if request.param == "folder":
        return read_settings(ServiceSettings, storage=f"file://{tmp_path / 'store'}")
    store: Ceph = request.getfixturevalue("ceph")
    return store.settings()


@pytest.fixture
async def buckets(settings: ServiceSettings, anyio_backend: str) -> Buckets:
    opened = open_buckets(settings, patience=10.0)
    await opened.ensure()
    return opened


@pytest.fixture
async def bucket(buckets: Buckets) -> Bucket:
    return buckets.output


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


async def keys(bucket: Bucket, folder: str = "") -> list[str]:
    return sorted([entry.key async for entry in bucket.list(folder)])


@pytest.fixture
async def reached(ceph: Ceph, anyio_backend: str) -> ServiceSettings:
    """A store whose buckets are there."""
    settings = ceph.settings()
    await open_buckets(settings).ensure()
    return settings


def at(settings: ServiceSettings, port: int, *, patience: float = 5.0, retries: int = 4) -> Bucket:
    """The output bucket, reached through another port."""
    moved = settings.model_copy(update={"minio_endpoint": f"127.0.0.1:{port}"})
    return open_buckets(moved, patience=patience, retries=retries).output
