"""A set is published whole or not at all, whoever dies or oversleeps, at whatever line."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from octet.errors import LeaseLostError, ObjectMissingError, StorageUnavailableError
from octet.results.keys import STAGING, ResultKeys
from octet.results.publication import (
    Publication,
    Published,
    find_track,
    read,
    remove_track,
    settled,
    sweep,
    withdraw,
)
from octet.results.recipe import Recipe
from octet.settings import ServiceSettings, read_settings
from octet.storage.open import open_buckets
from tests.results import made
from tests.results.made import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from octet.results.manifest import Manifest
    from octet.storage.bucket import Bucket

pytestmark = pytest.mark.anyio

TRACKS = ("vocals", "drums", "original")
FLAC = Recipe("pocket", "flac")
HTDEMUCS = Recipe("htdemucs", bitrate=320)
KEYS = ResultKeys("ab12" * 16)


class Watched:
    """A bucket that calls somebody before and after each step that changes it."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.steps = 0
        self.hook: Callable[[str, int], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.bucket, name)
        if name not in ("put_file", "put_bytes", "copy", "delete"):
            return method

        async def watched(*given: Any, **named: Any) -> Any:
            self.steps += 1
            step = self.steps
            if self.hook is not None:
                await self.hook("before", step)
            result = await method(*given, **named)
            if self.hook is not None:
                await self.hook("after", step)
            return result

        return watched


class Lease:
    """A claim that can be lost."""

    lost = False

    async def fence(self) -> None:
        if self.lost:
            raise LeaseLostError("the claim is lost")


def manifest(who: str, outcome: str = "complete", recipe: Recipe = DEFAULT) -> Manifest:
    tracks = {one: made.track(f"{one}.{recipe.format}", sound(who, one)) for one in TRACKS}
    return made.manifest(
        recipe, tracks, name=who, reason="it broke" if outcome == "fallback" else None
    )


def sound(who: str, track: str) -> bytes:
    return f"{track} by {who}".encode() * 10


async def publish(
    bucket: Any,
    folder: Path,
    who: str,
    outcome: str = "complete",
    keys: ResultKeys = KEYS,
    fence: Callable[[], Awaitable[None]] | None = None,
    recipe: Recipe = DEFAULT,
) -> Published:
    keys = ResultKeys(keys.name, keys.recipe, recipe.format)
    publication = Publication(bucket, keys, f"token-{who}", fence)
    for track in TRACKS:
        path = folder / f"{who}-{track}"
        await asyncio.to_thread(path.write_bytes, sound(who, track))
        await publication.add(track, path)
    return await publication.commit(manifest(who, outcome, recipe))


async def published(bucket: Bucket, keys: ResultKeys = KEYS) -> str | None:
    """Who published the set that readers see; fails if it is not whole."""
    found = await read(bucket, keys)
    if found is None:
        return None
    for name, entry in found.tracks.items():
        data = await bucket.get_bytes(entry.key)
        assert hashlib.sha256(data).hexdigest() == entry.sha256, f"{name} is not of this set"
    return found.song.name


async def names(bucket: Bucket, folder: str = "") -> list[str]:
    return sorted([entry.key async for entry in bucket.list(folder)])


async def test_a_set_is_published_under_the_contracts_names(bucket: Bucket, tmp_path: Path) -> None:
    assert await published(bucket) is None

    assert await publish(bucket, tmp_path, "me") is Published.NEW

    assert await published(bucket) == "me"
    song = "ab12" * 16
    expected = [f"{song}-{name}" for name in ("drums.mp3", "original.mp3", "vocals.mp3")]
    assert await names(bucket) == sorted([*expected, f"{song}-manifest.json"])
    head = await bucket.head(f"{song}-vocals.mp3")
    assert head.content_type == "audio/mpeg"
    assert (await bucket.head(f"{song}-manifest.json")).content_type == "application/json"


async def test_another_recipe_lies_beside_the_default(bucket: Bucket, tmp_path: Path) -> None:
    other = ResultKeys(KEYS.name, "r1-flac", "flac")
    await publish(bucket, tmp_path, "me")
    await publish(bucket, tmp_path, "you", keys=other, recipe=FLAC)

    assert await published(bucket) == "me"
    assert await published(bucket, other) == "you"
    assert await names(bucket, KEYS.name) == [
        f"{KEYS.name}/r1-flac/{name}"
        for name in ("drums.flac", "manifest.json", "original.flac", "vocals.flac")
    ]


async def test_nothing_is_seen_before_the_commit(bucket: Bucket, tmp_path: Path) -> None:
    publication = Publication(bucket, KEYS, "token")
    (tmp_path / "vocals").write_bytes(b"1")
    await publication.add("vocals", tmp_path / "vocals")

    assert await names(bucket) == [f".staging/{KEYS.name}/@default/token/vocals.mp3"]
    await publication.abandon()
    assert await names(bucket) == []


@pytest.mark.parametrize(
    ("first", "second", "result", "stands"),
    [
        ("complete", "complete", Published.ALREADY, "one"),
        ("complete", "fallback", Published.ALREADY, "one"),
        ("fallback", "fallback", Published.ALREADY, "one"),
        ("fallback", "complete", Published.REPLACED, "two"),
    ],
)
async def test_the_better_result_stands(
    bucket: Bucket, tmp_path: Path, first: str, second: str, result: Published, stands: str
) -> None:
    await publish(bucket, tmp_path, "one", first)

    assert await publish(bucket, tmp_path, "two", second) is result

    assert await published(bucket) == stands
    assert await names(bucket, STAGING) == []


async def test_a_damaged_manifest_is_replaced(bucket: Bucket, tmp_path: Path) -> None:
    for damaged in (b"", b"[]", b'{"outcome": 3}', b"\xff"):
        await bucket.put_bytes(KEYS.manifest, damaged)
        assert await publish(bucket, tmp_path, "me") is Published.REPLACED
        assert await published(bucket) == "me"


class CrashError(Exception):
    """The process dies here."""


@pytest.mark.parametrize("standing", [None, "fallback", "another recipe"])
async def test_a_crash_at_any_step_publishes_no_half_and_the_next_attempt_all(
    bucket: Bucket, tmp_path: Path, standing: str | None
) -> None:
    async def attempt(step: int, moment: str) -> bool:
        """False once there are no more steps."""
        watched = Watched(bucket)

        async def die(when: str, at: int) -> None:
            if (when, at) == (moment, step):
                raise CrashError

        watched.hook = die
        try:
            await publish(watched, tmp_path, "one")
        except CrashError:
            return True
        return False

    crashes = 0
    for moment in ("before", "after"):
        step = 1
        while True:
            if standing == "fallback":
                await publish(bucket, tmp_path, "zero", standing)
            elif standing:
                await publish(bucket, tmp_path, "zero", recipe=FLAC)
            if not await attempt(step, moment):
                break
            found = await published(bucket)
            assert found in ((None, "one") if standing is None else ("zero", "one"))
            again = await publish(bucket, tmp_path, "two")
            assert await published(bucket) == ("one" if again is Published.ALREADY else "two")
            await withdraw(bucket, KEYS)
            await sweep(bucket, timedelta(0))
            assert await names(bucket) == []
            step, crashes = step + 1, crashes + 1
        await withdraw(bucket, KEYS)
    assert crashes >= 2 * (3 + 3 + 1 + 3)


async def test_a_worker_that_oversleeps_at_any_step_changes_nothing(
    bucket: Bucket, tmp_path: Path
) -> None:
    """The late one sleeps right before a step, after its fence said that all was well."""
    steps = 0
    while True:
        steps += 1
        late, lease = Watched(bucket), Lease()
        asleep, wake = asyncio.Event(), asyncio.Event()

        async def sleep(
            when: str,
            at: int,
            step: int = steps,
            asleep: asyncio.Event = asleep,
            wake: asyncio.Event = wake,
        ) -> None:
            if when == "before" and at == step:
                asleep.set()
                await wake.wait()

        late.hook = sleep
        task = asyncio.create_task(publish(late, tmp_path, "late", fence=lease.fence))
        sleeping = asyncio.create_task(asleep.wait())
        await asyncio.wait({task, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        if task.done():
            break
        lease.lost = True
        result = await publish(bucket, tmp_path, "rival")
        expected = "late" if result is Published.ALREADY else "rival"
        assert await published(bucket) == expected
        wake.set()
        await asyncio.gather(task, return_exceptions=True)
        assert isinstance(task.exception(), LeaseLostError | None)
        assert await published(bucket) == expected
        await withdraw(bucket, KEYS)
        await sweep(bucket, timedelta(0))
    assert steps >= 10


async def test_a_late_manifest_in_the_middle_of_a_rivals_commit_is_replaced(
    bucket: Bucket, tmp_path: Path
) -> None:
    rival = Watched(bucket)

    async def meanwhile(when: str, at: int) -> None:
        if (when, at) == ("after", 6):  # all tracks are in place, the manifest is not
            document = manifest("late").to_json().encode()
            await bucket.put_bytes(KEYS.manifest, document, if_absent=True)

    rival.hook = meanwhile
    assert await publish(rival, tmp_path, "rival") is Published.NEW
    assert await published(bucket) == "rival"


async def test_workers_side_by_side_publish_one_set(bucket: Bucket, tmp_path: Path) -> None:
    """Without a fence, as if all leases held: still one manifest, and a whole set."""
    for round_ in range(3):
        lease = Lease()
        keys = ResultKeys(f"song{round_}")
        results = await asyncio.gather(
            *(
                publish(bucket, tmp_path, f"{round_}{who}", keys=keys, fence=lease.fence)
                for who in "ab"
            ),
            return_exceptions=True,
        )
        ended = [result for result in results if isinstance(result, Published)]
        lost = [result for result in results if isinstance(result, LeaseLostError)]
        assert len(ended) + len(lost) == 2
        if await read(bucket, keys) is None:
            assert len(lost) == 2
            assert await publish(bucket, tmp_path, "again", keys=keys) is Published.NEW


async def test_the_fence_is_asked_before_every_visible_step(bucket: Bucket, tmp_path: Path) -> None:
    asked = allowed = 0

    async def fence() -> None:
        nonlocal asked
        asked += 1
        if asked > allowed:
            raise LeaseLostError("the claim is lost")

    while allowed < 1 + len(TRACKS) + 1:
        with pytest.raises(LeaseLostError):
            await publish(bucket, tmp_path, "me", fence=fence)
        assert await published(bucket) is None
        assert len(await names(bucket, STAGING)) == len(TRACKS)
        asked, allowed = 0, allowed + 1
    assert await publish(bucket, tmp_path, "me", fence=fence) is Published.NEW


async def test_a_commit_may_be_tried_again_after_the_store_failed(
    bucket: Bucket, tmp_path: Path
) -> None:
    watched = Watched(bucket)
    publication = Publication(watched, KEYS, "token")  # type: ignore[arg-type]  # it delegates
    for track in TRACKS:
        await asyncio.to_thread((tmp_path / track).write_bytes, sound("me", track))
        await publication.add(track, tmp_path / track)

    async def fail(when: str, at: int) -> None:
        if (when, at) == ("before", 5):
            raise StorageUnavailableError("the store sleeps")

    watched.hook = fail
    with pytest.raises(StorageUnavailableError):
        await publication.commit(manifest("me"))
    watched.hook = None

    assert await publication.commit(manifest("me")) is Published.NEW
    assert await published(bucket) == "me"


async def test_a_withdrawn_set_is_gone(bucket: Bucket, tmp_path: Path) -> None:
    await publish(bucket, tmp_path, "me")

    assert await withdraw(bucket, KEYS) is True
    assert await withdraw(bucket, KEYS) is False
    assert await names(bucket) == []


async def test_only_old_stages_are_swept(bucket: Bucket, tmp_path: Path) -> None:
    await publish(bucket, tmp_path, "me")
    await bucket.put_bytes(".staging/x/@default/token/vocals.mp3", b"1")

    assert await sweep(bucket, timedelta(hours=1)) == 0
    await asyncio.sleep(0.01)
    assert await sweep(bucket, timedelta(seconds=-5)) == 1
    assert await published(bucket) == "me"
    assert await names(bucket, STAGING) == []


@pytest.fixture
async def quick(tmp_path: Path, anyio_backend: str) -> Bucket:
    bucket = open_buckets(
        read_settings(ServiceSettings, storage=f"file://{tmp_path / 'quick'}")
    ).output
    await bucket.ensure()
    return bucket


async def test_no_reader_ever_sees_a_half_while_sets_are_replaced(
    quick: Bucket, tmp_path: Path
) -> None:
    stop, seen = asyncio.Event(), set()

    async def look() -> None:
        while not stop.is_set():
            found = await find_track(quick, KEYS, "vocals")
            if found is not None:
                manifest, head = found
                data = await quick.get_bytes(head.key)
                # what was opened is of the manifest, unless it has been replaced since
                if await read(quick, KEYS) == manifest:
                    assert data == sound(manifest.song.name, "vocals")
                seen.add(manifest.song.name)
            await asyncio.sleep(0)

    reader = asyncio.create_task(look())
    for turn in range(10):
        await publish(quick, tmp_path, f"f{turn}", "fallback")
        await publish(quick, tmp_path, f"c{turn}")
        await withdraw(quick, KEYS)
    stop.set()
    await reader
    assert len(seen) > 5


async def test_the_change_of_a_default_is_one_publication(bucket: Bucket, tmp_path: Path) -> None:
    # given a set of the old default, as MP3, and two readers who look again and again
    await publish(bucket, tmp_path, "old")
    stop, seen = asyncio.Event(), [set[str](), set[str]()]

    async def look(who: set[str]) -> None:
        while not stop.is_set():
            found = await find_track(bucket, KEYS, "drums")
            assert found is not None, "there is always a set"
            manifest, head = found
            assert head.size == manifest.tracks["drums"].bytes
            try:
                data = await bucket.get_bytes(head.key)
            except ObjectMissingError:
                continue
            if await read(bucket, KEYS) == manifest:
                assert data == sound(manifest.song.name, "drums")
            who.add(manifest.song.name)

    readers = [asyncio.create_task(look(who)) for who in seen]
    while not all(seen):  # noqa: ASYNC110 - both have read the old one
        await asyncio.sleep(0.01)

    # when sets of other defaults take its place
    assert await publish(bucket, tmp_path, "flac", recipe=FLAC) is Published.REPLACED
    assert await publish(bucket, tmp_path, "new", recipe=HTDEMUCS) is Published.REPLACED
    await asyncio.sleep(0.2)
    stop.set()
    await asyncio.gather(*readers)

    # then each reader has seen whole sets alone, and nothing of the old ones is left
    assert all("old" in who and "new" in who for who in seen)
    song = KEYS.name
    expected = [f"{song}-{name}" for name in ("drums.mp3", "original.mp3", "vocals.mp3")]
    assert await names(bucket) == sorted([*expected, f"{song}-manifest.json"])
    found = await read(bucket, KEYS)
    assert found is not None
    assert not found.replaces


async def test_a_set_on_its_way_is_not_swept_and_anybody_moves_it_in(
    bucket: Bucket, tmp_path: Path
) -> None:
    # given a worker that died after the switch, before its tracks had moved
    await publish(bucket, tmp_path, "old")
    watched = Watched(bucket)

    async def die(when: str, at: int) -> None:
        if (when, at) == ("after", 4):  # three tracks are staged, the manifest is the new one
            raise CrashError

    watched.hook = die
    with pytest.raises(CrashError):
        await publish(watched, tmp_path, "new", recipe=FLAC)
    assert await published(bucket) == "new"

    assert await sweep(bucket, timedelta(seconds=-5)) == 0
    assert await published(bucket) == "new"

    await settled(bucket, KEYS)
    assert await published(bucket) == "new"
    assert await names(bucket, STAGING) == []
    assert f"{KEYS.name}-vocals.mp3" not in await names(bucket)
    assert await withdraw(bucket, KEYS)
    assert await names(bucket) == []


async def test_a_set_on_its_way_is_withdrawn_whole(bucket: Bucket, tmp_path: Path) -> None:
    await publish(bucket, tmp_path, "old")
    watched = Watched(bucket)

    async def die(when: str, at: int) -> None:
        if (when, at) == ("after", 5):
            raise CrashError

    watched.hook = die
    with pytest.raises(CrashError):
        await publish(watched, tmp_path, "new", recipe=FLAC)

    assert await withdraw(bucket, KEYS)
    assert await names(bucket) == []


async def test_two_who_remove_tracks_do_not_lose_each_others_change(
    bucket: Bucket, tmp_path: Path
) -> None:
    await publish(bucket, tmp_path, "me")

    removed = await asyncio.gather(
        *(remove_track(bucket, KEYS, name) for name in ("vocals", "drums", "vocals"))
    )

    found = await read(bucket, KEYS)
    assert found is not None
    assert list(found.tracks) == ["original"]
    assert sorted(removed) in ([False, True, True], [True, True, True])
    assert await remove_track(bucket, KEYS, "original")
    assert await names(bucket) == []
