"""A set of tracks, published as one: staged, copied into place, the manifest last.

A put of one object is atomic, a set of nine is not, and a late worker may wake up at any
line. So each attempt uploads to a place of its own, which no reader looks at, and `commit`

1. asks the fence whether the claim still holds;
2. stops if an equal or better result is published, and drops the stage;
3. deletes every other attempt's stage of this result: from here on a rival that slept
   through the end of its lease has nothing left to copy, whatever it believes;
4. deletes the manifest of the lesser result that this one replaces, if there is one;
5. copies its stage into place inside the store (where a rival's copies may be: all are
   overwritten), asking the fence before each;
6. puts the manifest on the condition that there is none. A rival's late manifest, put
   between 4 and 6, describes tracks that 5 has overwritten: it is replaced, on the condition
   that it is still the same;
7. drops the stage.

A crash before 6 leaves no manifest, so no result, and the next attempt begins again. A crash
after 6 leaves a stage, which `sweep` finds by its age. If the answer to 6 is lost, the bytes
of the manifest tell whether it arrived. What remains: a lesser result is gone between 4 and
6, and a reader who fetched its manifest just before may see the new tracks (each whole).
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from octet.errors import LeaseLostError, ObjectExistsError, ObjectMissingError, StorageError
from octet.results.keys import STAGING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from pathlib import Path

    from octet.results.keys import ResultKeys
    from octet.storage.bucket import Bucket

_AT_ONCE = 4
_MANIFEST_LIMIT = 4 * 1024 * 1024


class Published(StrEnum):
    """How a commit ended."""

    NEW = "new"
    REPLACED = "replaced"
    ALREADY = "already"


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
        self,
        bucket: Bucket,
        keys: ResultKeys,
        token: str,
        fence: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._bucket = bucket
        self._keys = keys
        self._token = token
        self._fence = fence
        self._staged: dict[str, str] = {}
        keys.staged(token, "original")  # refuses a token that is not safe in a key

    async def add(self, track: str, path: Path, *, content_type: str = "audio/mpeg") -> None:
        """Uploads a track to the staging area, where no reader looks.

        Raises:
            SettingError: for a track that is not safe in a key.
            FileNotFoundError: if there is no such file.
        """
        key, target = self._keys.staged(self._token, track), self._keys.track(track)
        await self._bucket.put_file(
            key, path, content_type=content_type, download_name=target.replace("/", "-")
        )
        self._staged[track] = key

    async def commit(self, manifest: bytes) -> Published:
        """Publishes what was added, the manifest last.

        Args:
            manifest: a JSON object with the field `outcome` (`complete` or `fallback`).

        Returns:
            NEW; REPLACED if a fallback stood there and this is complete; ALREADY if an
            equal or better result stands there, which is left alone.

        Raises:
            LeaseLostError: from the fence, or because a rival has taken over. What was
                staged stays; call `abandon`.
            StorageError: if the store fails; the same commit may be tried again.
        """
        rank = _rank(manifest)
        await self._still_mine()
        standing = await read_manifest(self._bucket, self._keys)
        if standing is not None and _rank(standing) >= rank:
            await self.abandon()
            return Published.ALREADY
        await self._disarm_rivals()
        if standing is not None:
            await self._still_mine()
            await self._bucket.delete(self._keys.manifest)
        await self._copy_all()
        await self._put_manifest(manifest)
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

    async def _still_mine(self) -> None:
        if self._fence is not None:
            await self._fence()

    async def _disarm_rivals(self) -> None:
        mine = f"{self._keys.stage(self._token)}/"
        async for entry in self._bucket.list(self._keys.stages):
            if not entry.key.startswith(mine):
                await self._bucket.delete(entry.key)

    async def _copy_all(self) -> None:
        gate, failed = asyncio.Semaphore(_AT_ONCE), asyncio.Event()

        async def copy(track: str, key: str) -> None:
            async with gate:
                if failed.is_set():
                    return
                try:
                    await self._still_mine()
                    await self._bucket.copy(key, self._keys.track(track))
                except BaseException:
                    failed.set()
                    raise

        # All copies have ended, one way or the other, before an error is told: none may land
        # in the middle of what comes next.
        ended = await asyncio.gather(
            *(copy(track, key) for track, key in self._staged.items()), return_exceptions=True
        )
        errors = [error for error in ended if error is not None]
        if any(isinstance(error, ObjectMissingError | LeaseLostError) for error in errors):
            raise LeaseLostError(
                f"another worker has taken over the publication of {self._keys.manifest}"
            )
        if errors:
            raise errors[0]

    async def _put_manifest(self, manifest: bytes) -> None:
        await self._still_mine()
        etag = None
        for _ in range(3):
            try:
                await self._bucket.put_bytes(
                    self._keys.manifest,
                    manifest,
                    content_type="application/json",
                    if_absent=etag is None,
                    if_match=etag,
                )
            except ObjectExistsError:
                etag = await self._standing_etag(manifest)
                if etag == "":
                    return
                await self._still_mine()
            else:
                return
        raise LeaseLostError(f"somebody else keeps publishing {self._keys.manifest}")

    async def _standing_etag(self, manifest: bytes) -> str | None:
        """The etag of the manifest that stands there; empty if it is this very one."""
        try:
            etag = (await self._bucket.head(self._keys.manifest)).etag
            same = await self._bucket.get_bytes(self._keys.manifest) == manifest
        except ObjectMissingError:
            return None
        return "" if same else etag


async def read_manifest(bucket: Bucket, keys: ResultKeys) -> bytes | None:
    """The manifest of a published result, or None where nothing is published."""
    try:
        return await bucket.get_bytes(keys.manifest, limit=_MANIFEST_LIMIT)
    except ObjectMissingError:
        return None


async def withdraw(bucket: Bucket, keys: ResultKeys) -> bool:
    """Deletes a published result, the manifest first, then the tracks it lists.

    Returns:
        False if nothing was published.
    """
    manifest = await read_manifest(bucket, keys)
    if manifest is None:
        return False
    await bucket.delete(keys.manifest)
    for track in _tracks(manifest):
        await bucket.delete(keys.track(track))
    return True


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
        if entry.modified < before:
            await bucket.delete(entry.key)
            deleted += 1
    return deleted


def _rank(manifest: bytes) -> int:
    """2 for a complete result, 1 for a fallback, 0 for what cannot be read."""
    try:
        outcome = json.loads(manifest)["outcome"]
    except (ValueError, KeyError, TypeError):
        return 0
    return {"complete": 2, "fallback": 1}.get(outcome, 0) if isinstance(outcome, str) else 0


def _tracks(manifest: bytes) -> list[str]:
    try:
        tracks = json.loads(manifest)["tracks"]
    except (ValueError, KeyError, TypeError):
        return []
    return list(tracks) if isinstance(tracks, dict) else []
