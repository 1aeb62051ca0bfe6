"""What a store refuses, lacks or fails to answer, as errors of our own."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from octet.errors import (
    ObjectMissingError,
    ObjectTooLargeError,
    SettingError,
    StorageError,
    StorageFullError,
    StorageRefusedError,
    StorageUnavailableError,
)
from octet.settings import ServiceSettings, read_settings
from octet.storage.bucket import Bucket
from octet.storage.open import open_buckets
from tests.ceph import ACCESS_KEY, SECRET_KEY
from tests.storage.conftest import at, files, keys, pieces
from tests.storage.proxy import server_that_says

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.ceph import Ceph

pytestmark = pytest.mark.anyio


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
        settings = read_settings(
            ServiceSettings,
            minio_access_key=SecretStr(ACCESS_KEY),
            minio_secret_key=SecretStr(SECRET_KEY),
        )
        bucket = at(settings, port, patience=0.3, retries=2)
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


async def test_wrong_keys_are_told_apart_from_a_missing_object(
    ceph: Ceph, reached: ServiceSettings
) -> None:
    stranger = open_buckets(
        reached.model_copy(update={"minio_secret_key": SecretStr("not-the-secret")})
    )
    for call in (
        stranger.ensure,
        lambda: stranger.output.head("key"),
        lambda: stranger.output.put_bytes("key", b"1"),
    ):
        with pytest.raises(StorageRefusedError) as caught:
            await call()
        assert "403" in caught.value.message
        assert "secret key" in caught.value.hint
        assert "not-the-secret" not in str(caught.value)


async def test_a_missing_bucket_is_told_apart_from_a_missing_object(ceph: Ceph) -> None:
    buckets = open_buckets(ceph.settings())
    with pytest.raises(StorageRefusedError, match="does not exist"):
        await buckets.output.put_bytes("key", b"1")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidArgument", StorageRefusedError),
        (400, "EntityTooLarge", ObjectTooLargeError),
        (413, "", ObjectTooLargeError),
        (403, "QuotaExceeded", StorageFullError),
        (400, "XMinioAdminBucketQuotaExceeded", StorageFullError),
        (507, "XMinioStorageFull", StorageFullError),
        (401, "Unauthorized", StorageRefusedError),
        (403, "AccessDenied", StorageRefusedError),
        (404, "NoSuchBucket", StorageRefusedError),
        (405, "MethodNotAllowed", StorageRefusedError),
        (409, "OperationAborted", StorageUnavailableError),
        (429, "SlowDown", StorageUnavailableError),
        (503, "SlowDown", StorageUnavailableError),
    ],
)
async def test_refusals_are_told_apart_by_their_type(
    status: int, code: str, kind: type[StorageError], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"1")
    body = f"<Error><Code>{code}</Code></Error>" if code else ""
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    async with server_that_says((head + body).encode()) as port:
        bucket = at(read_settings(ServiceSettings), port, retries=1)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: bucket.put_bytes("key", b"1"),
            lambda: bucket.put_file("key", tmp_path / "file"),
            lambda: bucket.put_stream("key", pieces(b"1")),
            lambda: Bucket.copy(bucket, "key", "target"),
        ]
        for call in calls:
            with pytest.raises(StorageError) as caught:
                await call()
            assert type(caught.value) is kind
            assert str(status) in caught.value.message or "NoSuch" in code


@pytest.mark.parametrize(
    ("part", "answer", "key"),
    [
        ("the HTTP status", "HTTP/1.1 418 X\r\nContent-Length: 0\r\n\r\n", "418"),
        (
            "the store's error code",
            "HTTP/1.1 400 X\r\nContent-Length: 30\r\n\r\n<Error><Code>Odd</Code></Error>",
            "400 Odd",
        ),
        ("the number of tries", "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", "(2 tries)"),
        ("a broken connection", "", "no answer"),
    ],
)
async def test_what_is_read_from_obstores_texts_is_there(part: str, answer: str, key: str) -> None:
    """If this fails, obstore has changed: see octet.storage.errors, and the bound in pyproject."""
    async with server_that_says(answer.encode()) as port:
        bucket = at(read_settings(ServiceSettings), port, retries=1)
        with pytest.raises(StorageError) as caught:
            await bucket.put_bytes("key", b"1")
        assert key in caught.value.message, f"obstore no longer tells {part}"


async def test_a_read_from_beyond_the_end_is_told_by_its_text(bucket: Bucket) -> None:
    """If this fails, obstore has changed: see octet.storage.errors.lies_beyond."""
    await bucket.put_bytes("key", b"123")
    assert [chunk async for chunk in bucket.stream("key", 3)] == []
    assert [chunk async for chunk in bucket.stream("key", 99, 100)] == []


async def test_a_quota_is_no_fault_of_the_keys(ceph: Ceph, reached: ServiceSettings) -> None:
    bucket = open_buckets(reached).output
    await bucket.put_bytes("before", b"1")
    quota = ("quota", "--quota-scope=bucket", "--bucket", bucket.name)
    await asyncio.to_thread(ceph.admin, *quota, "set", "--max-objects=1")
    await asyncio.to_thread(ceph.admin, *quota, "enable")

    with pytest.raises(StorageFullError, match="QuotaExceeded") as caught:
        await bucket.put_bytes("after", b"1")
    assert "quota" in caught.value.hint


async def test_what_is_missing_is_missing_everywhere(bucket: Bucket, tmp_path: Path) -> None:
    async def drain(start: int, end: int | None) -> None:
        async for _ in bucket.stream("none", start, end):
            pass

    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: bucket.head("none"),
        lambda: bucket.get_bytes("none"),
        lambda: drain(0, 1),
        lambda: drain(1, 1),
        lambda: drain(0, None),
        lambda: bucket.download("none", tmp_path / "none"),
        lambda: bucket.copy("none", "other"),
    ]
    for attempt in attempts:
        with pytest.raises(ObjectMissingError) as caught:
            await attempt()
        assert "'none'" in caught.value.message
    assert not any("none" in name for name in files(tmp_path))
    await bucket.delete("none")


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "/etc/passwd", "../up", "a/../../up", "a/..", "..", ".", "a/./b", "a//b", "a/"),
        *("nul\0l", "line\nfeed", "\x7f", "\ud800", "long" * 300),
    ],
)
async def test_hostile_keys_are_refused_by_every_call(
    bucket: Bucket, key: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: bucket.put_bytes(key, b""),
        lambda: bucket.put_file(key, tmp_path / "file"),
        lambda: bucket.put_stream(key, pieces(b"1")),
        lambda: bucket.head(key),
        lambda: bucket.get_bytes(key),
        lambda: anext(bucket.stream(key, 0, 1)),
        lambda: bucket.download(key, tmp_path / "out"),
        lambda: bucket.delete(key),
        lambda: bucket.copy(key, "fine"),
        lambda: bucket.copy("fine", key),
        lambda: bucket.presign(key, timedelta(minutes=1)),
    ]
    await bucket.put_bytes("fine", b"1")
    for attempt in attempts:
        with pytest.raises(SettingError):
            await attempt()
    assert await keys(bucket) == ["fine"]
