"""A set of tracks, published as one: staged, copied into place, the manifest last.

The names of a result, with H for the song's name and R for the recipe:

    default recipe    H-TRACK.mp3               H-manifest.json
    any other         H/R/TRACK.EXT             H/R/manifest.json
    staged            .staging/H/R/TOKEN/TRACK.EXT

A set is there once its manifest is there: readers ask for the manifest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from pathlib import Path

    from octet.storage.bucket import Bucket


@dataclass(frozen=True)
class ResultKeys:
    """Where the tracks and the manifest of one result lie.

    Args:
        name: the song's hash, or the name that its producer gave it.
        recipe: short identity of the settings; empty for the default recipe.
        extension: file extension of the tracks, without a dot.

    Raises:
        SettingError: for a name, recipe, extension or track that is not safe in a key.
    """

    name: str
    recipe: str = ""
    extension: str = "mp3"

    def track(self, track: str) -> str:
        """The key of a track."""
        raise NotImplementedError

    @property
    def manifest(self) -> str:
        """The key of the manifest."""
        raise NotImplementedError


class Published(StrEnum):
    """How a commit ended."""

    NEW = "new"
    REPLACED = "replaced"
    ALREADY = "already"


class Publication:
    """One attempt to publish one result. See the module for the names.

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
        raise NotImplementedError

    async def add(self, track: str, path: Path, *, content_type: str = "audio/mpeg") -> None:
        """Uploads a track to the staging area, where no reader looks."""
        raise NotImplementedError

    async def commit(self, manifest: bytes) -> Published:
        """Publishes what was added, the manifest last.

        Args:
            manifest: a JSON object with the field `outcome` (`complete` or `fallback`).

        Returns:
            NEW; REPLACED if a fallback stood there and this is complete; ALREADY if an
            equal or better result stands there, which is left alone.

        Raises:
            LeaseLostError: from the fence, or because a rival has withdrawn the stage.
        """
        raise NotImplementedError

    async def abandon(self) -> None:
        """Removes what was staged. Never raises for the store's sake."""
        raise NotImplementedError


async def read_manifest(bucket: Bucket, keys: ResultKeys) -> bytes | None:
    """The manifest of a published result, or None where nothing is published."""
    raise NotImplementedError


async def withdraw(bucket: Bucket, keys: ResultKeys) -> bool:
    """Deletes a published result, the manifest first. False if there was none."""
    raise NotImplementedError


async def sweep(bucket: Bucket, age: timedelta) -> int:
    """Deletes what was staged longer ago than `age` and never published.

    Returns:
        The number of objects deleted.
    """
    raise NotImplementedError
