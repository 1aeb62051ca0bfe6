"""Tracks are uploaded while others are encoded, and published as one in the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from octet.errors import LeaseLostError, ObjectMissingError, StorageUnavailableError
from octet.results.keys import STAGING, ResultKeys
from octet.results.publication import Publication, Published, read
from octet.results.publishing import Publishing
from tests.results import made

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from octet.storage.bucket import Bucket

T = TypeVar("T")

pytestmark = pytest.mark.anyio

KEYS = ResultKeys("ab12" * 16)
TRACKS = ("original", "vocals", "drums")


class Patient:
    """Repeats what fails, and counts how often."""

    def __init__(self) -> None:
        self.failures = 0

    async def __call__(self, step: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await step()
            except StorageUnavailableError:
                self.failures += 1
                await asyncio.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made_here = tmp_path / "tracks"
    made_here.mkdir()
    for name in TRACKS:
        (made_here / f"{name}.mp3").write_bytes(f"sound of {name}".encode())
    return made_here


def manifest() -> Any:
    files = {name: made.track(f"{name}.mp3", f"sound of {name}".encode()) for name in TRACKS}
    return made.manifest(tracks=files)


async def staged(bucket: Bucket) -> set[str]:
    return {entry.key.rpartition("/")[2] async for entry in bucket.list(STAGING)}


async def test_what_is_whole_early_is_uploaded_early_and_once(bucket: Bucket, folder: Path) -> None:
    steps: list[str] = []
    publishing = Publishing(Publication(bucket, KEYS, "token"), Patient(), steps.append)

    publishing.add("drums", folder / "drums.mp3", "audio/mpeg")
    publishing.add("drums", folder / "drums.mp3", "audio/mpeg")
    while "drums.mp3" not in await staged(bucket):  # noqa: ASYNC110 - it lies on a server
        await asyncio.sleep(0.01)
    assert await read(bucket, KEYS) is None
    published, whole = await publishing.publish(manifest(), folder, "audio/mpeg")

    assert published is Published.NEW
    assert steps == ["upload"] * 3 + ["manifest"]
    assert "upload" in whole.timings
    found = await read(bucket, KEYS)
    assert found is not None
    assert {*found.tracks} == {*TRACKS}
    for name, entry in found.tracks.items():
        assert await bucket.get_bytes(entry.key) == f"sound of {name}".encode()
    assert await staged(bucket) == set()


async def test_a_store_that_is_away_is_waited_for(bucket: Bucket, folder: Path) -> None:
    class Flaky(Publication):
        puts = commits = 0

        async def add(self, track: str, path: Path, **more: Any) -> None:
            self.puts += 1
            if self.puts % 2:
                raise StorageUnavailableError("the store sleeps")
            await super().add(track, path, **more)

        async def commit(self, manifest: Any) -> Published:
            self.commits += 1
            if self.commits < 3:
                raise StorageUnavailableError("the store sleeps")
            return await super().commit(manifest)

    patient = Patient()
    publishing = Publishing(Flaky(bucket, KEYS, "token"), patient)

    published, _ = await publishing.publish(manifest(), folder, "audio/mpeg")

    assert published is Published.NEW
    assert patient.failures >= 2 + len(TRACKS)


async def test_what_is_abandoned_leaves_nothing(bucket: Bucket, folder: Path) -> None:
    publishing = Publishing(Publication(bucket, KEYS, "token"), Patient())
    for name in TRACKS:
        publishing.add(name, folder / f"{name}.mp3", "audio/mpeg")

    await publishing.abandon()

    assert await staged(bucket) == set()
    with pytest.raises(ObjectMissingError):
        await bucket.head(KEYS.manifest)


async def test_a_lost_lease_publishes_nothing_and_is_told(bucket: Bucket, folder: Path) -> None:
    async def fence() -> None:
        raise LeaseLostError("the claim is lost")

    publishing = Publishing(Publication(bucket, KEYS, "token", fence), Patient())

    with pytest.raises(LeaseLostError):
        await publishing.publish(manifest(), folder, "audio/mpeg")
    await publishing.abandon()

    assert await read(bucket, KEYS) is None
    assert await staged(bucket) == set()


async def test_abandoning_what_is_published_changes_nothing(bucket: Bucket, folder: Path) -> None:
    publishing = Publishing(Publication(bucket, KEYS, "token"), Patient())
    await publishing.publish(manifest(), folder, "audio/mpeg")

    await publishing.abandon()

    found = await read(bucket, KEYS)
    assert found is not None
    assert len(found.tracks) == len(TRACKS)
