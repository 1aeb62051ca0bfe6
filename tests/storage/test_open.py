"""The settings of the store, and the buckets that they open."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.errors import (
    SettingError,
)
from octet.settings import ServiceSettings, read_settings
from octet.storage.open import open_buckets, with_scheme
from tests.storage.conftest import keys
from tests.storage.proxy import line_to

if TYPE_CHECKING:
    from pathlib import Path

    from octet.storage.open import Buckets
    from tests.ceph import Ceph

pytestmark = pytest.mark.anyio


async def test_buckets_are_created_once_and_kept_apart(buckets: Buckets) -> None:
    await buckets.queue.put_bytes("key", b"in")
    await buckets.output.put_bytes("key", b"out")
    await buckets.ensure()

    assert await buckets.queue.get_bytes("key") == b"in"
    assert await buckets.named(buckets.output.name).get_bytes("key") == b"out"
    other = buckets.named("another-bucket")
    await other.ensure()
    assert await keys(other) == []


async def test_links_are_signed_for_the_address_that_clients_see(
    ceph: Ceph, reached: ServiceSettings
) -> None:
    async with line_to(ceph.port) as line:
        public = reached.model_copy(update={"public_endpoint": f"http://localhost:{line.port}"})
        bucket = open_buckets(public).output
        await bucket.put_bytes("key", b"1")
        link = await bucket.presign("key", timedelta(minutes=1))

        assert link is not None
        assert link.startswith(f"http://localhost:{line.port}/")
        async with httpx.AsyncClient() as client:
            assert (await client.get(link)).content == b"1"


@pytest.mark.parametrize(
    ("endpoint", "secure", "url"),
    [
        ("minio:9000", False, "http://minio:9000"),
        ("minio:9000", True, "https://minio:9000"),
        ("http://minio:9000/", True, "http://minio:9000"),
        ("https://s3.example.org", False, "https://s3.example.org"),
        ("[::1]:9000", False, "http://[::1]:9000"),
    ],
)
def test_an_endpoint_may_come_with_a_scheme(endpoint: str, secure: bool, url: str) -> None:
    assert with_scheme(endpoint, secure=secure) == url


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "ftp://minio",
        "http://",
        "minio:port",
        "minio/bucket",
        "http://minio?x=1",
        "http://user:secretpass@minio:9000",
    ],
)
def test_an_endpoint_that_makes_no_sense_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingError, match="address of the S3 service") as caught:
        open_buckets(read_settings(ServiceSettings, minio_endpoint=endpoint))
    assert "secretpass" not in str(caught.value)


@pytest.mark.parametrize(
    "storage", ["", "s4", "file://", "file://host/x", "gs://", "az:///x", "http://x", "gs://a?b"]
)
def test_a_store_that_nobody_knows_is_refused(storage: str) -> None:
    with pytest.raises(SettingError, match="OCTET_STORAGE"):
        open_buckets(read_settings(ServiceSettings, storage=storage))


@pytest.mark.parametrize("name", ["", "ab", "Bucket", "a/b", "../x", "a..b", "-ab", "x" * 64])
def test_a_bucket_that_cannot_exist_is_refused(name: str, tmp_path: Path) -> None:
    buckets = open_buckets(read_settings(ServiceSettings, storage=f"file://{tmp_path}"))
    with pytest.raises(SettingError, match="cannot name a bucket"):
        buckets.named(name)
