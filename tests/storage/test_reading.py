"""Reading an object: in ranges, over connections that break, into a file."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from octet.errors import (
    SettingError,
    StorageError,
    StorageUnavailableError,
)
from octet.storage.open import open_buckets
from tests.storage.conftest import MIB, at, files, noise
from tests.storage.proxy import line_to

if TYPE_CHECKING:
    from pathlib import Path

    from octet.settings import ServiceSettings
    from octet.storage.bucket import Bucket
    from tests.ceph import Ceph

pytestmark = pytest.mark.anyio


async def read(bucket: Bucket, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in bucket.stream("key", start, end)])


async def test_ranges_are_cut_at_the_end(bucket: Bucket) -> None:
    data = noise(1000)
    await bucket.put_bytes("key", data)
    chance = random.Random(1)
    spans = [(0, 1000), (0, 1), (999, 1000), (5, 5), (990, 2000), (1000, 1001), (5000, 6000)]
    spans += [tuple(sorted(chance.choices(range(1200), k=2))) for _ in range(20)]  # type: ignore[misc]  # pairs

    for start, end in spans:
        assert await read(bucket, start, end) == data[start:end]
        assert b"".join([c async for c in bucket.stream("key", start)]) == data[start:]


async def test_a_range_that_makes_no_sense_is_refused(bucket: Bucket) -> None:
    await bucket.put_bytes("key", b"1")
    for start, end in [(-1, 1), (2, 1)]:
        with pytest.raises(SettingError):
            await read(bucket, start, end)


async def test_a_download_appears_whole(bucket: Bucket, tmp_path: Path) -> None:
    data = noise(5 * MIB)
    await bucket.put_bytes("key", data)
    (tmp_path / "song").write_bytes(b"old")

    head = await bucket.download("key", tmp_path / "song")

    assert (tmp_path / "song").read_bytes() == data
    assert head.size == len(data)
    assert files(tmp_path) == ["song"]


async def test_a_download_keeps_to_its_limit(bucket: Bucket, tmp_path: Path) -> None:
    await bucket.put_bytes("key", b"12345")

    with pytest.raises(StorageError, match="5 bytes, more than the 4 allowed"):
        await bucket.download("key", tmp_path / "song", limit=4)
    with pytest.raises(StorageError, match="5 bytes, more than the 4 allowed"):
        await bucket.get_bytes("key", limit=4)
    await bucket.download("key", tmp_path / "song", limit=5)


async def test_a_broken_download_goes_on_where_it_broke(
    ceph: Ceph, reached: ServiceSettings, tmp_path: Path
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
    ceph: Ceph, reached: ServiceSettings, tmp_path: Path
) -> None:
    await open_buckets(reached).output.put_bytes("key", random.Random(2).randbytes(4 * MIB))
    async with line_to(ceph.port) as line:
        bucket = at(reached, line.port, retries=2)
        line.cuts = [2000] * 100
        with pytest.raises(StorageUnavailableError):
            await bucket.download("key", tmp_path / "song")
        assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a moment in a test


async def test_a_download_never_mixes_two_versions(ceph: Ceph, reached: ServiceSettings) -> None:
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
