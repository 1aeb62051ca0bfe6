"""What every store must do alike."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.storage.conftest import MIB, keys, noise, pieces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from octet.storage.bucket import Bucket

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "key", ["song.mp3", "queue/deep/er/song.mp3", "a b+c%20&=ü 日本.mp3", "-dash", "a'\"quote"]
)
async def test_bytes_come_back(bucket: Bucket, key: str) -> None:
    await bucket.put_bytes(key, b"some bytes")

    assert await bucket.get_bytes(key) == b"some bytes"
    assert await keys(bucket) == [key]


async def test_an_empty_object_is_an_object(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.put_bytes("nothing", b"")

    assert (await bucket.head("nothing")).size == 0
    assert await bucket.get_bytes("nothing") == b""
    await bucket.download("nothing", tmp_path / "nothing")
    assert (tmp_path / "nothing").read_bytes() == b""


async def test_a_put_replaces_the_object_and_its_etag(bucket: Bucket) -> None:
    await bucket.put_bytes("key", b"one", content_type="text/plain")
    first = await bucket.head("key")
    await bucket.put_bytes("key", b"three")
    second = await bucket.head("key")

    assert await bucket.get_bytes("key") == b"three"
    assert first.etag != second.etag
    assert second.content_type == "application/octet-stream"


async def test_a_large_file_goes_up_in_parts_and_comes_down_in_chunks(
    bucket: Bucket, tmp_path: Path
) -> None:
    data = noise(20 * MIB + 17)
    (tmp_path / "song").write_bytes(data)

    await bucket.put_file("song.flac", tmp_path / "song", content_type="audio/flac")

    digest, largest = hashlib.sha256(), 0
    async for chunk in bucket.stream("song.flac", chunk=MIB):
        digest.update(chunk)
        largest = max(largest, len(chunk))
    assert digest.digest() == hashlib.sha256(data).digest()
    assert largest <= 4 * MIB
    assert (await bucket.head("song.flac")).content_type == "audio/flac"


async def test_a_file_that_is_missing_is_not_an_object_that_is_missing(
    bucket: Bucket, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        await bucket.put_file("key", tmp_path / "none")


async def test_a_stream_is_put_as_it_comes(bucket: Bucket) -> None:
    chunks = [noise(3 * MIB, seed) for seed in range(4)] + [b"", b"end"]

    size = await bucket.put_stream("key", pieces(*chunks), content_type="audio/mpeg")

    assert size == 12 * MIB + 3
    assert await bucket.get_bytes("key") == b"".join(chunks)
    assert (await bucket.head("key")).content_type == "audio/mpeg"


@pytest.mark.parametrize("error", [ValueError("too large"), FileNotFoundError("gone")])
async def test_a_stream_that_fails_leaves_nothing_and_tells_its_own_error(
    bucket: Bucket, error: Exception
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield noise(9 * MIB)
        raise error

    with pytest.raises(type(error)) as caught:
        await bucket.put_stream("key", failing())

    assert caught.value is error
    assert await keys(bucket) == []


async def test_the_head_tells_all(bucket: Bucket) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)

    await bucket.put_bytes("key.mp3", b"123", content_type="audio/x-test")

    head = await bucket.head("key.mp3")
    assert (head.key, head.size, head.content_type) == ("key.mp3", 3, "audio/x-test")
    assert head.etag
    assert before <= head.modified <= datetime.now(UTC) + timedelta(seconds=2)


async def test_a_copy_has_bytes_and_type(bucket: Bucket) -> None:
    data = noise(9 * MIB)
    await bucket.put_bytes("a/source", data, content_type="audio/ogg")
    await bucket.put_bytes("b/target", b"old")

    for _ in range(2):
        await bucket.copy("a/source", "b/target")
        await bucket.copy("a/source", "c/d/new")

    for key in ("a/source", "b/target", "c/d/new"):
        assert (await bucket.head(key)).content_type == "audio/ogg"
        assert await bucket.get_bytes(key) == data
    await bucket.delete("a/source")
    assert await bucket.get_bytes("b/target") == data


async def test_a_listing_goes_by_whole_segments(bucket: Bucket) -> None:
    for key in ("a/1", "a/b/2", "ab/3", "4"):
        await bucket.put_bytes(key, b"12", content_type="audio/x-test")

    assert await keys(bucket) == ["4", "a/1", "a/b/2", "ab/3"]
    assert await keys(bucket, "a") == ["a/1", "a/b/2"]
    assert await keys(bucket, "a/") == ["a/1", "a/b/2"]
    assert await keys(bucket, "none") == []
    assert {entry.size async for entry in bucket.list()} == {2}


async def test_what_is_deleted_is_gone(bucket: Bucket) -> None:
    await bucket.put_bytes("a/b/c", b"1", content_type="audio/x-test")
    await bucket.put_bytes("a/d", b"2")

    await bucket.delete("a/b/c")

    assert await keys(bucket) == ["a/d"]
    await bucket.put_bytes("a/b", b"3")  # a folder that emptied does not block its name
    assert await bucket.get_bytes("a/b") == b"3"
    await bucket.delete("a/b")
    await bucket.put_bytes("a/b/c", b"4")
    assert (await bucket.head("a/b/c")).content_type == "application/octet-stream"


async def test_a_presigned_link_opens_one_object_for_a_while(bucket: Bucket) -> None:
    await bucket.put_bytes("my song.mp3", b"123", download_name='Ça "va".mp3')
    link = await bucket.presign("my song.mp3", timedelta(minutes=1))
    if link is None:
        assert "folder" in bucket.place
        return

    async with httpx.AsyncClient() as client:
        answer = await client.get(link)
        assert (answer.status_code, answer.content) == (200, b"123")
        disposition = answer.headers["content-disposition"]
        assert "filename*=UTF-8''%C3%87a%20%22va%22.mp3" in disposition
        assert (await client.get(link.replace("my%20song", "other"))).status_code == 403
        assert (await client.delete(link)).status_code == 403

        brief = await bucket.presign("my song.mp3", timedelta(seconds=1))
        assert brief is not None
        await asyncio.sleep(2.1)
        assert (await client.get(brief)).status_code == 403
