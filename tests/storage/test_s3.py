"""Buckets of an S3 service: made where they are missing, over connections that break."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from octet.errors import (
    StorageUnavailableError,
)
from octet.settings import ServiceSettings, read_settings
from octet.storage.open import open_buckets
from tests.storage.conftest import at
from tests.storage.proxy import line_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.ceph import Ceph

pytestmark = pytest.mark.anyio


async def test_many_may_create_the_buckets_at_once(ceph: Ceph) -> None:
    settings = ceph.settings()
    await asyncio.gather(*(open_buckets(settings).ensure() for _ in range(6)))
    await open_buckets(settings).queue.put_bytes("key", b"1")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "no-such-host.invalid:9000"])
async def test_a_store_that_is_not_there_is_named(endpoint: str) -> None:
    buckets = open_buckets(read_settings(ServiceSettings, minio_endpoint=endpoint), retries=1)
    for call in (buckets.ensure, lambda: buckets.output.head("key")):
        with pytest.raises(StorageUnavailableError) as caught:
            await call()
        assert endpoint in caught.value.message
        assert "2 tries" in caught.value.message
        assert caught.value.hint


async def test_an_upload_whose_end_is_not_told_may_be_put_again(
    ceph: Ceph, reached: ServiceSettings
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a song"

    unknown = 0
    async with line_to(ceph.port) as line:
        # The upload begins, gets its only part, and ends: each answer is cut off once.
        for cut in range(50, 1500, 50):
            line.cuts = [cut]
            bucket = at(reached, line.port)
            try:
                await bucket.put_stream("key", chunks())
            except StorageUnavailableError:
                unknown += 1
                await bucket.put_stream("key", chunks())
            assert await bucket.get_bytes("key") == b"a song"
    assert unknown, "no end was lost"
