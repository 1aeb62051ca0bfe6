"""Takes tracks to the staging area, a few at a time, while others are still encoded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from octet.worker import failpoints
from octet.worker.retry import outlast

if TYPE_CHECKING:
    from pathlib import Path

    from octet.results.publication import Publication

_AT_ONCE = 4
_TIDIES_WITHIN = 1.0
"""Seconds for what is under way when all is given up. What remains is swept one day."""


class Uploads:
    """The uploads of one publication.

    Args:
        publication: gets the tracks.

    Attributes:
        publication: the same.
    """

    def __init__(self, publication: Publication) -> None:
        self.publication = publication
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._given_up = False

    def add(self, track: str, path: Path, content_type: str) -> None:
        """Begins to upload a track, unless that has begun already.

        A store that does not answer, or refuses, is waited for.
        """
        if track not in self._tasks:
            self._tasks[track] = asyncio.create_task(self._upload(track, path, content_type))

    async def all_there(self) -> None:
        """Waits for all of them. Cancelling that does not touch what is being put."""
        done, _ = await asyncio.wait(self._tasks.values())
        for task in done:
            task.result()

    async def abandon(self) -> None:
        """Takes back what is not published; without effect afterwards."""
        self._given_up = True
        # What is being put is let through: stopped in the middle, it would still arrive.
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=_TIDIES_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        try:
            async with asyncio.timeout(_TIDIES_WITHIN):
                await self.publication.abandon()
        except TimeoutError:
            return

    async def _upload(self, track: str, path: Path, content_type: str) -> None:
        async def step() -> None:
            if not self._given_up:
                await self.publication.add(track, path, content_type=content_type)

        async with self._gate:
            failpoints.reached("upload")
            await outlast(step, refusals=True)
