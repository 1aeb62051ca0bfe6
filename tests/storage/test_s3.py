"""An S3 service behind a line that breaks, and services that are not what they should be."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.errors import SettingError, StorageError, StorageUnavailableError
from octet.storage.open import StorageConfig, open_buckets
from tests.ceph import ACCESS_KEY, SECRET_KEY
from tests.storage.proxy import line_to, server_that_says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from octet.storage.bucket import Bucket
    from tests.ceph import Ceph

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


@pytest.fixture
async def reached(ceph: Ceph, anyio_backend: str) -> StorageConfig:
    """A store whose buckets are there."""
    config = ceph.config(patience=5.0)
    await open_buckets(config).ensure()
    return config


def at(config: StorageConfig, port: int, **changes: object) -> Bucket:
    """The output bucket, reached through another port."""
    return open_buckets(
        replace(config, endpoint=f"127.0.0.1:{port}", **changes)  # type: ignore[arg-type]  # checked by the dataclass
    ).output


async def test_a_broken_download_goes_on_where_it_broke(
    ceph: Ceph, reached: StorageConfig, tmp_path: Path
) -> None:
    data = random.Random(2).randbytes(12 * MIB)
    await open_buckets(reached).output.put_bytes("key", data)
    async with line_to(ceph.port) as line:
        bucket = at(reached, line.port)
        await bucket.head("key")
        line.cuts = [0, 3 * MIB, 3 * MIB, 4 * MIB]
        line_before = line.opened

        # The first bucket's connection stays open; the cuts are for another one's.
        await at(reached, line.port).download("key", tmp_path / "song")

        assert (tmp_path / "song").read_bytes() == data
        assert line.cuts == []
        assert line.opened > line_before + 3


async def test_a_download_that_keeps_breaking_ends_with_an_error(
    ceph: Ceph, reached: StorageConfig, tmp_path: Path
) -> None:
    await open_buckets(reached).output.put_bytes("key", random.Random(2).randbytes(4 * MIB))
    async with line_to(ceph.port) as line:
        bucket = at(reached, line.port, retries=2)
        line.cuts = [2000] * 100
        with pytest.raises(StorageUnavailableError):
            await bucket.download("key", tmp_path / "song")
        assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a moment in a test


async def test_a_download_never_mixes_two_versions(ceph: Ceph, reached: StorageConfig) -> None:
    direct = open_buckets(reached).output
    await direct.put_bytes("key", b"a" * (12 * MIB))
    async with line_to(ceph.port) as line:
        bucket = at(reached, line.port)
        line.cuts = [3 * MIB]
        stream = bucket.stream("key")
        got = bytearray(await anext(stream))
        await direct.put_bytes("key", b"b" * (12 * MIB))

        async def rest() -> None:
            async for chunk in stream:
                got.extend(chunk)

        with pytest.raises(StorageError, match="was replaced while it was read"):
            await rest()
        assert set(got) == {ord("a")}


async def test_a_put_whose_answer_is_lost_is_not_a_rivals(
    ceph: Ceph, reached: StorageConfig
) -> None:
    async with line_to(ceph.port) as line:
        bucket = at(reached, line.port)
        await bucket.ensure()

        # At first the question whether the object is there is cut off, then the put.
        for cut in range(100, 700, 100):
            line.cuts = [cut]
            key = f"manifest-{cut}"
            fresh = at(reached, line.port)
            await fresh.put_bytes(key, b"mine %d" % cut, if_absent=True)
            assert await bucket.get_bytes(key) == b"mine %d" % cut


async def test_an_upload_whose_end_is_not_told_may_be_put_again(
    ceph: Ceph, reached: StorageConfig
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


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "no answer"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "503"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", ""),
        (b"SSH-2.0-OpenSSH\r\n", "no answer"),
        (b"", "no answer"),
    ],
)
async def test_a_store_that_fails_is_named_within_bounds(
    answer: bytes | None, told: str, tmp_path: Path
) -> None:
    async with server_that_says(answer) as port:
        config = StorageConfig(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        bucket = at(config, port, patience=0.3, retries=2)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: bucket.get_bytes("some/key"),
            lambda: bucket.put_bytes("some/key", b"1", if_absent=True),
        ]
        for call in calls:
            began = time.monotonic()
            with pytest.raises(StorageError) as caught:
                await call()
            assert time.monotonic() - began < 5
            message = str(caught.value)
            assert told in message
            assert f"demucs-output at http://127.0.0.1:{port}" in message
            assert "'some/key'" in message
            assert SECRET_KEY not in message
            assert ACCESS_KEY not in message
            if told:
                assert isinstance(caught.value, StorageUnavailableError)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:1", "no-such-host.invalid:9000"])
async def test_a_store_that_is_not_there_is_named(endpoint: str) -> None:
    buckets = open_buckets(StorageConfig(endpoint=endpoint, retries=1))
    for call in (buckets.ensure, lambda: buckets.output.head("key")):
        with pytest.raises(StorageUnavailableError) as caught:
            await call()
        assert endpoint in caught.value.message
        assert "2 tries" in caught.value.message
        assert caught.value.hint


async def test_wrong_keys_are_told_apart_from_a_missing_object(
    ceph: Ceph, reached: StorageConfig
) -> None:
    stranger = open_buckets(replace(reached, secret_key="not-the-secret"))
    for call in (
        stranger.ensure,
        lambda: stranger.output.head("key"),
        lambda: stranger.output.put_bytes("key", b"1"),
    ):
        with pytest.raises(StorageError) as caught:
            await call()
        assert caught.value.code == "storage"
        assert "403" in caught.value.message
        assert "secret key" in caught.value.hint
        assert "not-the-secret" not in str(caught.value)


async def test_a_missing_bucket_is_told_apart_from_a_missing_object(ceph: Ceph) -> None:
    buckets = open_buckets(ceph.config())
    with pytest.raises(StorageError, match="does not exist") as caught:
        await buckets.output.put_bytes("key", b"1")
    assert caught.value.code == "storage"


async def test_many_may_create_the_buckets_at_once(ceph: Ceph) -> None:
    config = ceph.config()
    await asyncio.gather(*(open_buckets(config).ensure() for _ in range(6)))
    await open_buckets(config).queue.put_bytes("key", b"1")


async def test_links_are_signed_for_the_address_that_clients_see(
    ceph: Ceph, reached: StorageConfig
) -> None:
    async with line_to(ceph.port) as line:
        public = replace(reached, public_endpoint=f"http://localhost:{line.port}")
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
    assert StorageConfig(endpoint=endpoint, secure=secure).endpoint_url() == url


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
        open_buckets(StorageConfig(endpoint=endpoint))
    assert "secretpass" not in str(caught.value)


@pytest.mark.parametrize(
    "storage", ["", "s4", "file://", "file://host/x", "gs://", "az:///x", "http://x", "gs://a?b"]
)
def test_a_store_that_nobody_knows_is_refused(storage: str) -> None:
    with pytest.raises(SettingError, match="OCTET_STORAGE"):
        open_buckets(StorageConfig(storage=storage))


@pytest.mark.parametrize("name", ["", "ab", "Bucket", "a/b", "../x", "a..b", "-ab", "x" * 64])
def test_a_bucket_that_cannot_exist_is_refused(name: str, tmp_path: Path) -> None:
    buckets = open_buckets(StorageConfig(storage=f"file://{tmp_path}"))
    with pytest.raises(SettingError, match="cannot name a bucket"):
        buckets.named(name)


def test_secrets_do_not_show_in_the_configuration() -> None:
    config = StorageConfig(access_key="the-access", secret_key="the-secret")
    assert "the-access" not in repr(config)
    assert "the-secret" not in repr(config)
