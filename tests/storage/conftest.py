from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.storage.open import Buckets, StorageConfig, open_buckets

if TYPE_CHECKING:
    from pathlib import Path

    from octet.storage.bucket import Bucket
    from tests.ceph import Ceph


@pytest.fixture(params=["folder", "ceph"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> StorageConfig:
    """One store after the other, with fresh buckets."""
    if request.param == "folder":
        return StorageConfig(storage=f"file://{tmp_path / 'store'}")
    store: Ceph = request.getfixturevalue("ceph")
    return store.config(patience=10.0)


@pytest.fixture
async def buckets(config: StorageConfig, anyio_backend: str) -> Buckets:
    opened = open_buckets(config)
    await opened.ensure()
    return opened


@pytest.fixture
async def bucket(buckets: Buckets) -> Bucket:
    return buckets.output
