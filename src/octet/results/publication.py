"""A set of tracks, published as one: staged, moved into place, the manifest last.

A put of one object is atomic, a set of nine is not, and a late worker may wake up at any
line. So each attempt uploads to a stage of its own, which no reader looks at, and `commit`

1. asks the fence whether the claim still holds;
2. moves a set into place that somebody began to publish and could not finish;
3. stops if an equal or better result of the same recipe is published, and drops the stage;
4. deletes every other attempt's stage of this result: from here on a rival that slept
   through the end of its lease has nothing left to copy, whatever it believes.

Where nothing is published, the stage is copied into place, the fence asked before each track,
and the manifest put on the condition that there is none: before that there is no result.

Where a result stands (a fallback, or one of another recipe: the plain names belong to the
service's current default), readers must see the old set or the new one. The switch is one
conditional put: of the new manifest, whose tracks' keys are still those of the stage, and which
lists what it replaces. Only then are the tracks copied over the old ones, the rest of the old
set deleted, and the manifest put again with the keys of the place. A crash on the way leaves a
manifest by which anybody can finish that (`settle`); its stage is not swept.

A reader who follows the manifest's keys may hold an old manifest while tracks are copied: who
finds the manifest unchanged after it has opened a track has the track of that manifest, since
no track is touched while the manifest of its set stands (`find_track`).

A crash after the last manifest leaves a stage, which `sweep` finds by its age. If the answer to
a conditional put is lost, the bytes of the manifest tell whether it arrived.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from octet.errors import LeaseLostError, ObjectExistsError, ObjectMissingError, StorageError
from octet.results.keys import STAGING, ResultKeys
from octet.results.manifest import LONGEST, Manifest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import timedelta
    from pathlib import Path

    from octet.storage.bucket import Bucket
    from octet.storage.headers import ObjectHead

    Fence = Callable[[], Awaitable[None]]

_AT_ONCE = 4
_TRIES = 5


class Published(StrEnum):
    """How a commit ended."""

    NEW = "new"
    REPLACED = "replaced"
    ALREADY = "already"


@dataclass(frozen=True)
class Stored:
    """A manifest as it lies in the bucket; `manifest` is None where it cannot be read."""

    manifest: Manifest | None
    etag: str


class Publication:
    """One attempt to publish one result.

    Args:
        bucket: the output bucket.
        keys: where the result goes.
        token: the claim's own token (unique to the attempt).
        fence: raises LeaseLostError once the claim is lost; awaited before every step that
            others can see. None: there are no rivals.
    """

    def __init__(
        self, bucket: Bucket, keys: ResultKeys, token: str, fence: Fence | None = None
    ) -> None:
        self._bucket = bucket
        self._keys = keys
        self._token = token
        self._fence = fence or _no_fence
        self._staged: dict[str, str] = {}
        keys.staged(token, "original")  # refuses a token that is not safe in a key

    async def add(self, track: str, path: Path, *, content_type: str = "audio/mpeg") -> None:
        """Uploads a track to the staging area, where no reader looks.

        Raises:
            SettingError: for a track that is not safe in a key.
            FileNotFoundError: if there is no such file.
        """
        key = self._keys.staged(self._token, track)
        await self._bucket.put_file(
            key, path, content_type=content_type, download_name=self._keys.download_name(track)
        )
        self._staged[track] = key

    async def commit(self, manifest: Manifest) -> Published:
        """Publishes what was added, the manifest last.

        Args:
            manifest: of the result; the tracks' keys are set here.

        Returns:
            NEW; REPLACED if another result stood there; ALREADY if an equal or better result
            of the same recipe stands there, which is left alone.

        Raises:
            LeaseLostError: from the fence, or because a rival has taken over. What was
                staged stays; call `abandon`.
            StorageError: if the store fails; the same commit may be tried again.
        """
        await self._fence()
        standing = await settled(self._bucket, self._keys, self._fence)
        if standing is not None and _is_as_good(standing.manifest, manifest):
            await self.abandon()
            return Published.ALREADY
        await self._disarm_rivals()
        if standing is None:
            await _copy_all(self._bucket, self._placed(), self._fence)
            await self._put_first(_with_keys(manifest, self._keys.track))
        else:
            await self._replace(standing, manifest)
        await self.abandon()
        return Published.NEW if standing is None else Published.REPLACED

    async def abandon(self) -> None:
        """Removes what was staged. What the store does not delete now, `sweep` deletes."""
        for track, key in list(self._staged.items()):
            try:
                await self._bucket.delete(key)
            except StorageError:
                continue
            del self._staged[track]

    def _placed(self) -> dict[str, str]:
        """From each staged object to where it shall lie."""
        return {key: self._keys.track(track) for track, key in self._staged.items()}

    async def _disarm_rivals(self) -> None:
        mine = f"{self._keys.stage(self._token)}/"
        async for entry in self._bucket.list(self._keys.stages):
            if not entry.key.startswith(mine):
                await self._bucket.delete(entry.key)

    async def _put_first(self, manifest: Manifest) -> None:
        """The manifest where there is none; a late rival's, of tracks that were overwritten by
        now, is replaced.
        """
        etag = None
        for _ in range(_TRIES):
            await self._fence()
            if await _put(self._bucket, self._keys, manifest, etag):
                return
            found = await _stored(self._bucket, self._keys)
            etag = found.etag if found else None
        raise LeaseLostError(f"somebody else keeps publishing {self._keys.manifest}")

    async def _replace(self, standing: Stored, manifest: Manifest) -> None:
        before = standing.manifest
        moving = replace(
            _with_keys(manifest, lambda track: self._keys.staged(self._token, track)),
            replaces=tuple(entry.key for entry in before.tracks.values()) if before else (),
        )
        await self._fence()
        if not await _put(self._bucket, self._keys, moving, standing.etag):
            raise LeaseLostError(f"somebody else has published {self._keys.manifest}")
        await settled(self._bucket, self._keys, self._fence)


async def read(bucket: Bucket, keys: ResultKeys) -> Manifest | None:
    """The manifest of a published result; None where nothing is published, or nothing readable."""
    found = await _stored(bucket, keys)
    return found.manifest if found else None


async def find_track(
    bucket: Bucket, keys: ResultKeys, track: str
) -> tuple[Manifest, ObjectHead] | None:
    """A track's object, certainly of the set whose manifest comes with it; None if there is none.

    Raises:
        ObjectMissingError: the manifest lists the track, and its object is gone.
    """
    for _ in range(_TRIES):
        found = await _stored(bucket, keys)
        if found is None or found.manifest is None or track not in found.manifest.tracks:
            return None
        missing = None
        try:
            head = await bucket.head(found.manifest.tracks[track].key)
        except ObjectMissingError as error:
            missing = error
        if await _etag(bucket, keys) == found.etag:
            if missing is not None:
                raise missing
            return found.manifest, head
    raise StorageError(f"{keys.manifest} keeps changing", "Try again")


async def remove_track(bucket: Bucket, keys: ResultKeys, track: str) -> bool:
    """Deletes a track; the manifest lists it no more, and goes with the last one.

    Safe beside others who do the same, and beside a publication.

    Returns:
        False if the result has no such track.
    """
    for _ in range(_TRIES):
        try:
            found = await settled(bucket, keys)
        except LeaseLostError:  # somebody else was quicker: look again
            continue
        if found is None or found.manifest is None or track not in found.manifest.tracks:
            return False
        left = found.manifest.without(track)
        if not left.tracks:
            await bucket.delete(keys.manifest)
        elif not await _put(bucket, keys, left, found.etag):
            continue
        await bucket.delete(found.manifest.tracks[track].key)
        return True
    raise StorageError(f"{keys.manifest} keeps changing", "Try again")


async def withdraw(bucket: Bucket, keys: ResultKeys) -> bool:
    """Deletes a published result, the manifest first, then the tracks it lists.

    Returns:
        False if nothing was published.
    """
    found = await _stored(bucket, keys)
    if found is None:
        return False
    await bucket.delete(keys.manifest)
    if found.manifest is not None:
        tracks = (entry.key for entry in found.manifest.tracks.values())
        # Of a set that was moving, copies may lie in its place already.
        placed = map(_placed_keys(keys, found.manifest).track, found.manifest.tracks)
        for key in {*tracks, *placed, *found.manifest.replaces}:
            await bucket.delete(key)
    return True


async def settled(bucket: Bucket, keys: ResultKeys, fence: Fence | None = None) -> Stored | None:
    """The published manifest, its tracks in their place: a move that was begun is finished.

    Raises:
        LeaseLostError: from the fence, or because somebody else has finished it meanwhile and
            published another result.
    """
    found = await _stored(bucket, keys)
    if found is None or found.manifest is None or not _is_moving(found.manifest):
        return found
    fence, manifest = fence or _no_fence, found.manifest
    placed = _placed_keys(keys, manifest)
    moves = {entry.key: placed.track(track) for track, entry in manifest.tracks.items()}
    await _copy_all(bucket, moves, fence)
    for key in {*manifest.replaces} - {*moves.values()}:
        await fence()
        await bucket.delete(key)
    await fence()
    final = replace(_with_keys(manifest, placed.track), replaces=())
    if not await _put(bucket, keys, final, found.etag):
        raise LeaseLostError(f"somebody else has published {keys.manifest}")
    for key in moves:
        await bucket.delete(key)
    return await _stored(bucket, keys)


async def sweep(bucket: Bucket, age: timedelta) -> int:
    """Deletes what was staged longer ago than `age` and never published.

    `age` must exceed the longest job, from its first upload on, and the difference between
    this machine's clock and the store's. Parts of an upload that a killed process left
    unfinished cannot be seen here: give S3 buckets the lifecycle rule
    AbortIncompleteMultipartUpload.

    Returns:
        The number of objects deleted.
    """
    before, deleted = datetime.now(UTC) - age, 0
    async for entry in bucket.list(STAGING):
        if entry.modified < before and not await _is_needed(bucket, entry.key):
            await bucket.delete(entry.key)
            deleted += 1
    return deleted


async def _is_needed(bucket: Bucket, key: str) -> bool:
    """Whether a manifest still points to a staged object: its set has not moved into place."""
    keys = ResultKeys.of_staged(key)
    manifest = await read(bucket, keys) if keys else None
    return manifest is not None and any(key == entry.key for entry in manifest.tracks.values())


def _placed_keys(keys: ResultKeys, manifest: Manifest) -> ResultKeys:
    """The keys with the extension that the manifest's tracks really have."""
    return ResultKeys(keys.name, keys.recipe, manifest.extension)


def _with_keys(manifest: Manifest, key: Callable[[str], str]) -> Manifest:
    tracks = {track: replace(entry, key=key(track)) for track, entry in manifest.tracks.items()}
    return replace(manifest, tracks=tracks)


def _is_moving(manifest: Manifest) -> bool:
    return any(entry.key.startswith(f"{STAGING}/") for entry in manifest.tracks.values())


def _is_as_good(standing: Manifest | None, new: Manifest) -> bool:
    if standing is None or standing.rank < new.rank or not standing.is_of(new.recipe):
        return False
    return {*new.tracks} <= {*standing.tracks}


async def _copy_all(bucket: Bucket, moves: dict[str, str], fence: Fence) -> None:
    gate, failed = asyncio.Semaphore(_AT_ONCE), asyncio.Event()

    async def copy(source: str, target: str) -> None:
        async with gate:
            if failed.is_set():
                return
            try:
                await fence()
                await bucket.copy(source, target)
            except BaseException:
                failed.set()
                raise

    # All copies have ended, one way or the other, before an error is told: none may land
    # in the middle of what comes next.
    ended = await asyncio.gather(
        *(copy(source, target) for source, target in moves.items()), return_exceptions=True
    )
    _raise_first(error for error in ended if error is not None)


def _raise_first(errors: Iterable[BaseException]) -> None:
    found = list(errors)
    if any(isinstance(error, ObjectMissingError | LeaseLostError) for error in found):
        raise LeaseLostError("another worker has taken over this publication")
    if found:
        raise found[0]


async def _put(bucket: Bucket, keys: ResultKeys, manifest: Manifest, etag: str | None) -> bool:
    """Puts the manifest if there is none (etag None), or if it still is the one with this etag.

    True also if this very manifest stands there: an earlier put whose answer was lost.
    """
    document = manifest.to_json().encode()
    try:
        await bucket.put_bytes(
            keys.manifest,
            document,
            content_type="application/json",
            if_absent=etag is None,
            if_match=etag,
        )
    except ObjectExistsError:
        try:
            return await bucket.get_bytes(keys.manifest, limit=LONGEST) == document
        except ObjectMissingError:
            return False
    return True


async def _stored(bucket: Bucket, keys: ResultKeys) -> Stored | None:
    try:
        document, etag = await bucket.read(keys.manifest, limit=LONGEST)
    except ObjectMissingError:
        return None
    return Stored(Manifest.from_json(document), etag)


async def _etag(bucket: Bucket, keys: ResultKeys) -> str | None:
    try:
        return (await bucket.head(keys.manifest)).etag
    except ObjectMissingError:
        return None


async def _no_fence() -> None:
    return
