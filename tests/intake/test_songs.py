"""Songs on their way into the queue bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octet.errors import LimitError, NotAudioError, ObjectMissingError
from octet.intake.songs import discard_song, measure_song, receive_song, song_key
from octet.storage.folder import FolderBucket
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from octet.storage.bucket import Bucket

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bucket(tmp_path: Path) -> Bucket:
    bucket = FolderBucket(tmp_path / "bucket", "bucket")
    await bucket.ensure()
    return bucket


async def pieces(data: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def objects(bucket: Bucket) -> list[str]:
    return [entry.key async for entry in bucket.list()]


async def test_a_song_is_staged_named_and_placed(bucket: Bucket) -> None:
    async with receive_song(bucket, pieces(song(1, 200_000)), 200_000) as found:
        assert found.sha256 == name_of(song(1, 200_000))
        assert found.bytes == 200_000
        assert await objects(bucket) == [found.temporary]
        await found.place(bucket)
        await found.place(bucket)
    assert await objects(bucket) == [song_key(found.sha256)]
    assert await bucket.get_bytes(found.key) == song(1, 200_000)


@pytest.mark.parametrize("data", [b"", b"no song", song(1, 3000)])
async def test_what_is_refused_leaves_nothing(bucket: Bucket, data: bytes) -> None:
    with pytest.raises((NotAudioError, LimitError)):
        async with receive_song(bucket, pieces(data), 2999):
            pass
    assert await objects(bucket) == []


async def test_what_breaks_on_the_way_leaves_nothing(bucket: Bucket) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield song(1, 200_000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with receive_song(bucket, breaking(), 10**9):
            pass
    assert await objects(bucket) == []


async def test_a_song_that_lies_there_is_measured(bucket: Bucket) -> None:
    await bucket.put_bytes("mine.mp3", song(1))
    found = await measure_song(bucket, "mine.mp3", 10**6)
    assert (found.sha256, found.bytes, found.key) == (name_of(song(1)), len(song(1)), "mine.mp3")
    await found.place(bucket)
    assert await objects(bucket) == ["mine.mp3"]
    with pytest.raises(ObjectMissingError):
        await measure_song(bucket, "other.mp3", 10**6)


async def test_a_song_is_deleted_unless_it_is_needed(bucket: Bucket) -> None:
    name = name_of(song(1))
    await bucket.put_bytes(song_key(name), song(1))

    async def needed() -> bool:
        return True

    async def unneeded() -> bool:
        return False

    assert not await discard_song(bucket, name, needed)
    assert await objects(bucket) == [song_key(name)]
    assert await discard_song(bucket, name, unneeded)
    assert await objects(bucket) == []
    assert not await discard_song(bucket, name, unneeded)


async def test_a_job_that_comes_meanwhile_keeps_its_song(bucket: Bucket) -> None:
    name = name_of(song(1))
    await bucket.put_bytes(song_key(name), song(1))
    asked: list[bool] = []

    async def from_the_second_look_on() -> bool:
        asked.append(song_key(name) in await objects(bucket))
        return len(asked) > 1

    assert not await discard_song(bucket, name, from_the_second_look_on)
    assert asked == [True, False]
    assert await bucket.get_bytes(song_key(name)) == song(1)
