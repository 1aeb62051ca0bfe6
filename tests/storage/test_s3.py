"""Buckets of an S3 service: made where they are missing, over connections that break."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.errors import StorageUnavailableError
from octet.settings import ServiceSettings, read_settings
from octet.storage.open import open_buckets
from tests.storage.conftest import MIB, at, noise
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


@pytest.mark.parametrize("code", ["InvalidRequest", "EntityTooLarge"])
async def test_what_the_store_does_not_copy_is_put_again_in_parts(
    ceph: Ceph, reached: ServiceSettings, code: str
) -> None:
    data = noise(20 * MIB)
    async with line_to(ceph.port) as line:
        bucket = at(reached, line.port)
        await bucket.put_bytes("from", data, content_type="audio/x-test", download_name="a.mp3")
        body = f"<Error><Code>{code}</Code></Error>"
        line.refusals[b"x-amz-copy-source"] = (
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

        await bucket.copy("from", "to")

        assert await bucket.get_bytes("to") == data
        assert (await bucket.head("to")).content_type == "audio/x-test"
        link = await bucket.presign("to", timedelta(minutes=1))
        assert link is not None
        async with httpx.AsyncClient() as client:
            answer = await client.get(link)
        assert 'filename="a.mp3"' in answer.headers["content-disposition"]
