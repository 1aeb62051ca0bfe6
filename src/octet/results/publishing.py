"""The publication of one separation: its tracks uploaded while others are still encoded."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import Literal, Protocol

    from octet.results.manifest import Manifest
    from octet.results.publication import Publication, Published

    T = TypeVar("T")
    Step = Literal["upload", "manifest"]

    class Persist(Protocol):
        """Repeats a step while the store is away, as long as that makes sense."""

        async def __call__(self, step: Callable[[], Awaitable[T]], /) -> T: ...  # noqa: D102


_AT_ONCE = 4
_TIDIES_WITHIN = 1.0
"""Seconds for what is under way when all is given up. What remains is swept one day."""


class Publishing:
    """Uploads tracks as they come, a few at a time, and publishes all of them in the end.

    Args:
        publication: gets the tracks.
        persist: repeats each step that the store does not let through.
        on_step: told before each track is staged ("upload") and when all is published
            ("manifest"); for tests that end the process there.
    """

    def __init__(
        self,
        publication: Publication,
        persist: Persist,
        on_step: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        self._publication = publication
        self._persist = persist
        self._on_step = on_step
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._uploads: dict[str, asyncio.Task[None]] = {}
        self._abandoned = False

    def add(self, track: str, path: Path, content_type: str) -> None:
        """Begins to upload a track, unless that has begun already."""
        if track not in self._uploads:
            self._uploads[track] = asyncio.create_task(self._upload(track, path, content_type))

    async def publish(
        self, manifest: Manifest, folder: Path, content_type: str
    ) -> tuple[Published, Manifest]:
        """Uploads what is not there yet, then publishes all of it with the manifest.

        Args:
            manifest: its tracks' keys are the names of the files in the folder.
            folder: where they lie.
            content_type: of the tracks.

        Returns:
            How it ended, and the manifest with the seconds of the uploads.

        Raises:
            LeaseLostError: the job is another's; nothing was published by this call.
            CancelledError: the job was cancelled; the same.
            StorageError: the store refuses, and `persist` has given up.
        """
        began = time.monotonic()
        # The original first: it lies there already when the others are still encoded.
        for track in sorted(manifest.tracks, key=lambda name: name != "original"):
            self.add(track, folder / manifest.tracks[track].key, content_type)
        done, _ = await asyncio.wait(self._uploads.values())
        for task in done:
            task.result()
        whole = manifest.timed({"upload": round(time.monotonic() - began, 3)})
        published = await self._persist(lambda: self._publication.commit(whole))
        self._on_step("manifest")
        return published, whole

    async def abandon(self) -> None:
        """Takes back what is not published; without effect afterwards."""
        self._abandoned = True
        # What is being put is let through: stopped in the middle, it would still arrive.
        if self._uploads:
            _, late = await asyncio.wait(self._uploads.values(), timeout=_TIDIES_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._uploads.values(), return_exceptions=True)
        try:
            async with asyncio.timeout(_TIDIES_WITHIN):
                await self._publication.abandon()
        except TimeoutError:
            return

    async def _upload(self, track: str, path: Path, content_type: str) -> None:
        async def step() -> None:
            if not self._abandoned:
                await self._publication.add(track, path, content_type=content_type)

        async with self._gate:
            self._on_step("upload")
            await self._persist(step)
