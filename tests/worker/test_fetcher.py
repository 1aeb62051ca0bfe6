"""Songs are fetched once, the next one ahead, and never one too large or an outdated one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from octet.errors import LimitError, ObjectMissingError, SettingError
from octet.jobs.message import complete_alone
from octet.worker.fetcher import Fetcher, next_places

if TYPE_CHECKING:
    from pathlib import Path

    from octet.worker.fetcher import Places
    from tests.worker.service import Service

pytestmark = pytest.mark.anyio

HOME = "demucs-bucket"


def count(folder: Path) -> int:
    """How many whole files there are."""
    return sum(file.suffix != ".part" for file in folder.iterdir())


async def prefetched(fetcher: Fetcher, folder: Path, places: Places) -> None:
    async def places_of_next() -> Places:
        return places

    before = count(folder)
    fetcher.prefetch(places_of_next)
    async with asyncio.timeout(10):
        while count(folder) == before:  # noqa: ASYNC110 - it lies on the disk
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


async def test_the_first_place_that_has_the_song_counts(service: Service, tmp_path: Path) -> None:
    await service.buckets.queue.put_bytes("b", b"song")
    fetcher = Fetcher(service.buckets, tmp_path, 100)

    song = await fetcher.fetch([(HOME, "a"), (HOME, "b")])

    assert (song.path.read_bytes(), song.head.key) == (b"song", "b")


async def test_what_is_missing_too_large_or_misnamed_is_told(
    service: Service, tmp_path: Path
) -> None:
    await service.buckets.queue.put_bytes("large", b"x" * 101)
    fetcher = Fetcher(service.buckets, tmp_path, 100)

    with pytest.raises(ObjectMissingError, match="demucs-bucket/a nor demucs-bucket/b"):
        await fetcher.fetch([(HOME, "a"), (HOME, "b")])
    with pytest.raises(LimitError, match="101 bytes"):
        await fetcher.fetch([(HOME, "large")])
    with pytest.raises(SettingError):
        await fetcher.fetch([("No Bucket", "a")])


async def test_a_song_fetched_ahead_is_not_fetched_again(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    await service.buckets.queue.put_bytes("a", b"song")
    fetcher = Fetcher(service.buckets, folder, 100)
    await prefetched(fetcher, folder, [(HOME, "a")])
    [ahead] = folder.iterdir()

    song = await fetcher.fetch([(HOME, "a")])

    assert song.path == ahead
    assert list(folder.iterdir()) == [ahead]


async def test_what_was_fetched_ahead_in_vain_is_dropped(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    for key in ("a", "b"):
        await service.buckets.queue.put_bytes(key, key.encode())
    fetcher = Fetcher(service.buckets, folder, 100)
    await prefetched(fetcher, folder, [(HOME, "a")])

    song = await fetcher.fetch([(HOME, "b")])

    assert song.path.read_bytes() == b"b"
    assert list(folder.iterdir()) == [song.path]


async def test_an_object_replaced_meanwhile_is_fetched_anew(
    service: Service, tmp_path: Path
) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    await service.buckets.queue.put_bytes("a", b"old")
    fetcher = Fetcher(service.buckets, folder, 100)
    await prefetched(fetcher, folder, [(HOME, "a")])
    await service.buckets.queue.put_bytes("a", b"new")

    song = await fetcher.fetch([(HOME, "a")])

    assert song.path.read_bytes() == b"new"


async def test_what_was_fetched_ahead_can_be_discarded(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "songs"
    folder.mkdir()
    await service.buckets.queue.put_bytes("a", b"song")
    fetcher = Fetcher(service.buckets, folder, 100)
    await prefetched(fetcher, folder, [(HOME, "a")])

    await fetcher.discard()

    assert list(folder.iterdir()) == []
    assert (await fetcher.fetch([(HOME, "a")])).path.read_bytes() == b"song"


async def test_the_next_song_is_that_of_the_message_that_a_worker_would_take(
    service: Service,
) -> None:
    assert await next_places(service.client, complete_alone, HOME) is None

    await service.push_raw("not a job")
    assert await next_places(service.client, complete_alone, HOME) is None
    await service.client.delete("toWorker")

    first, _ = await service.songs(2)
    places = await next_places(service.client, complete_alone, HOME)
    assert places == [(HOME, f"queue/{first}.mp3")]
    assert await service.queue.depth() == 2
