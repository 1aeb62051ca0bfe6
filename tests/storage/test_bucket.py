"""What every store must do alike."""

from __future__ import annotations

import asyncio
import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.errors import ObjectExistsError, ObjectMissingError, SettingError, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from octet.storage.bucket import Bucket
    from octet.storage.open import Buckets

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()]


async def keys(bucket: Bucket, folder: str = "") -> list[str]:
    return sorted([entry.key async for entry in bucket.list(folder)])


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
    await bucket.put_bytes("key", b"one", content_type="text/plain", metadata={"a": "1"})
    first = await bucket.head("key")
    await bucket.put_bytes("key", b"three")
    second = await bucket.head("key")

    assert await bucket.get_bytes("key") == b"three"
    assert first.etag != second.etag
    assert (second.content_type, dict(second.metadata)) == ("application/octet-stream", {})


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


async def test_ranges_are_cut_at_the_end(bucket: Bucket) -> None:
    data = noise(1000)
    await bucket.put_bytes("key", data)
    chance = random.Random(1)
    spans = [(0, 1000), (0, 1), (999, 1000), (5, 5), (990, 2000), (1000, 1001), (5000, 6000)]
    spans += [tuple(sorted(chance.choices(range(1200), k=2))) for _ in range(20)]  # type: ignore[misc]  # pairs

    for start, end in spans:
        assert await bucket.get_range("key", start, end) == data[start:end]
        assert b"".join([c async for c in bucket.stream("key", start)]) == data[start:]


async def test_a_range_that_makes_no_sense_is_refused(bucket: Bucket) -> None:
    await bucket.put_bytes("key", b"1")
    for start, end in [(-1, 1), (2, 1)]:
        with pytest.raises(SettingError):
            await bucket.get_range("key", start, end)


async def test_the_head_tells_all(bucket: Bucket) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    metadata = {"Title": "Ça va? 日本 100%", "length": " 12 "}

    await bucket.put_bytes("key.mp3", b"123", content_type="audio/x-test", metadata=metadata)

    head = await bucket.head("key.mp3")
    assert (head.key, head.size, head.content_type) == ("key.mp3", 3, "audio/x-test")
    assert head.metadata == {"title": "Ça va? 日本 100%", "length": " 12 "}
    assert head.etag
    assert before <= head.modified <= datetime.now(UTC) + timedelta(seconds=2)


async def test_what_is_missing_is_missing_everywhere(bucket: Bucket, tmp_path: Path) -> None:
    async def drain() -> None:
        async for _ in bucket.stream("none"):
            pass

    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: bucket.head("none"),
        lambda: bucket.get_bytes("none"),
        lambda: bucket.get_range("none", 0, 1),
        lambda: bucket.get_range("none", 1, 1),
        drain,
        lambda: bucket.download("none", tmp_path / "none"),
        lambda: bucket.copy("none", "other"),
    ]
    for attempt in attempts:
        with pytest.raises(ObjectMissingError) as caught:
            await attempt()
        assert "'none'" in caught.value.message
    assert not any("none" in name for name in files(tmp_path))
    await bucket.delete("none")


async def test_one_of_many_conditional_puts_wins(bucket: Bucket) -> None:
    async def put(writer: int) -> bool:
        try:
            await bucket.put_bytes("manifest", b"%d" % writer, if_absent=True)
        except ObjectExistsError:
            return False
        return True

    won = await asyncio.gather(*(put(writer) for writer in range(12)))

    assert sum(won) == 1
    assert await bucket.get_bytes("manifest") == b"%d" % won.index(True)


async def test_one_of_many_conditional_replacements_wins(bucket: Bucket) -> None:
    await bucket.put_bytes("manifest", b"old")
    etag = (await bucket.head("manifest")).etag

    async def put(writer: int) -> bool:
        try:
            await bucket.put_bytes("manifest", b"%d" % writer, if_match=etag)
        except ObjectExistsError:
            return False
        return True

    won = await asyncio.gather(*(put(writer) for writer in range(8)))

    assert sum(won) == 1
    assert await bucket.get_bytes("manifest") == b"%d" % won.index(True)


async def test_a_replacement_of_what_is_gone_is_refused(bucket: Bucket) -> None:
    await bucket.put_bytes("manifest", b"old")
    etag = (await bucket.head("manifest")).etag
    await bucket.delete("manifest")

    with pytest.raises(ObjectExistsError):
        await bucket.put_bytes("manifest", b"new", if_match=etag)
    assert await keys(bucket) == []


async def test_a_copy_has_bytes_type_and_metadata(bucket: Bucket) -> None:
    data = noise(9 * MIB)
    await bucket.put_bytes("a/source", data, content_type="audio/ogg", metadata={"who": "me"})
    await bucket.put_bytes("b/target", b"old")

    for _ in range(2):
        await bucket.copy("a/source", "b/target")
        await bucket.copy("a/source", "c/d/new")

    for key in ("a/source", "b/target", "c/d/new"):
        head = await bucket.head(key)
        assert (head.content_type, dict(head.metadata)) == ("audio/ogg", {"who": "me"})
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


async def test_a_download_shows_its_progress_and_appears_whole(
    bucket: Bucket, tmp_path: Path
) -> None:
    data = noise(5 * MIB)
    await bucket.put_bytes("key", data)
    (tmp_path / "song").write_bytes(b"old")
    steps: list[tuple[int, int]] = []

    head = await bucket.download(
        "key", tmp_path / "song", on_progress=lambda done, size: steps.append((done, size))
    )

    assert (tmp_path / "song").read_bytes() == data
    assert head.size == len(data)
    assert steps == sorted(steps)
    assert steps[-1] == (len(data), len(data))
    assert files(tmp_path) == ["song"]


async def test_a_download_keeps_to_its_limit(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.put_bytes("key", b"12345")

    with pytest.raises(StorageError, match="5 bytes, more than the 4 allowed"):
        await bucket.download("key", tmp_path / "song", limit=4)
    with pytest.raises(StorageError, match="5 bytes, more than the 4 allowed"):
        await bucket.get_bytes("key", limit=4)
    await bucket.download("key", tmp_path / "song", limit=5)


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
        lambda: bucket.get_range(key, 0, 1),
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


async def test_metadata_cannot_pose_as_a_header(bucket: Bucket) -> None:
    for name in ("content-type", "Cache-Control", "two words", "line\r\nfeed", "ü"):
        with pytest.raises(SettingError):
            await bucket.put_bytes("key", b"", metadata={name: "value"})
    await bucket.put_bytes("key", b"", metadata={"fine": "line\r\nX-Other: 1"})
    assert (await bucket.head("key")).metadata == {"fine": "line\r\nX-Other: 1"}


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

        upload = await bucket.presign("up/load", timedelta(minutes=1), method="PUT")
        assert upload is not None
        assert (await client.put(upload, content=b"by a client")).status_code == 200
    assert await bucket.get_bytes("up/load") == b"by a client"


async def test_buckets_are_created_once_and_kept_apart(buckets: Buckets) -> None:
    await buckets.queue.put_bytes("key", b"in")
    await buckets.output.put_bytes("key", b"out")
    await buckets.ensure()

    assert await buckets.queue.get_bytes("key") == b"in"
    assert await buckets.named(buckets.output.name).get_bytes("key") == b"out"
    other = buckets.named("another-bucket")
    await other.ensure()
    assert await keys(other) == []
