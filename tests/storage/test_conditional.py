"""Puts on a condition, by rivals and over connections that break."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from octet.errors import (
    ObjectExistsError,
    StorageError,
)
from tests.storage.conftest import at, keys
from tests.storage.proxy import line_to

if TYPE_CHECKING:
    from octet.settings import ServiceSettings
    from octet.storage.bucket import Bucket
    from tests.ceph import Ceph

pytestmark = pytest.mark.anyio


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


async def test_a_put_whose_answer_is_lost_is_not_a_rivals(
    ceph: Ceph, reached: ServiceSettings
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


async def test_bytes_and_etag_are_of_one_version(bucket: Bucket) -> None:
    await bucket.put_bytes("manifest", b"0" * 20_000)
    changes = 40

    async def write() -> None:
        for turn in range(1, changes):
            await bucket.put_bytes("manifest", b"%d" % turn * 20_000)

    async def read() -> dict[str, bytes]:
        seen: dict[str, bytes] = {}
        while not writing.done():
            try:
                data, etag = await bucket.read("manifest")
            except StorageError:  # replaced on the way
                continue
            assert seen.setdefault(etag, data) == data
        return seen

    writing = asyncio.create_task(write())
    readers = await asyncio.gather(*(read() for _ in range(4)))
    await writing

    data, etag = await bucket.read("manifest")
    assert data == b"%d" % (changes - 1) * 20_000
    assert etag == (await bucket.head("manifest")).etag
    every: dict[str, bytes] = {}
    for seen in readers:
        for version, content in seen.items():
            assert every.setdefault(version, content) == content
    assert len(every) > 1


async def test_edits_by_several_lose_nothing(bucket: Bucket) -> None:
    await bucket.put_bytes("manifest", b"")

    async def add(letter: bytes) -> None:
        while True:
            data, etag = await bucket.read("manifest")
            try:
                await bucket.put_bytes("manifest", data + letter, if_match=etag)
            except ObjectExistsError:
                continue
            return

    await asyncio.gather(*(add(b"%c" % letter) for letter in b"abcdef"))

    assert sorted(await bucket.get_bytes("manifest")) == sorted(b"abcdef")
