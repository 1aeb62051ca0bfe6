"""Whether this worker is fit for jobs: its model loads, its disk has room, the store lets it in.

Which errors may be the machine's fault is known by their type; whether they are, an examination
tells. While it finds something, the worker claims nothing: what a sick worker fails at, it
fails at fastest, and it would take every job from those that are well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
import uuid
from secrets import SystemRandom
from typing import TYPE_CHECKING

from octet.errors import (
    ComputationError,
    DeviceError,
    ModelError,
    ObjectMissingError,
    OctetError,
    OutputError,
    StorageError,
    UnfitError,
)
from octet.results.keys import STAGING

if TYPE_CHECKING:
    from pathlib import Path

    from octet.settings import SeparationSettings
    from octet.storage.open import Buckets
    from octet.worker.child import Child

log = logging.getLogger(__name__)

_MIB = 1024**2
_ROOM = 256 * _MIB
"""Bytes that a song of six minutes and its tracks take: 8 a sample for it, 8 for it at the
model's rate, and eight files of 320 kbit/s."""
_SHARE_OF_DISK = 0.25
"""Of a disk so small that this is less, it has to be free instead."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0

_COINCIDENCES = 10
"""So often in a row may the worker fall ill over one and the same job before the job is taken
for the cause: one that breaks its device must not do so for ever."""


class Health:
    """What is wrong with this worker, if anything.

    Args:
        child: where the model is loaded.
        buckets: of the service.
        folder: the worker's scratch folder.
        defaults: the separation of jobs that ask for nothing else.

    Attributes:
        loaded: whether the default model has been loaded since the start.
        sickness: what is wrong, one line; empty while nothing is known to be.
        changed: set whenever `sickness` has changed, for those who tell of it.
    """

    def __init__(
        self, child: Child, buckets: Buckets, folder: Path, defaults: SeparationSettings
    ) -> None:
        self._child = child
        self._buckets = buckets
        self._folder = folder
        self._defaults = defaults
        self._pause = _FIRST_PAUSE
        self._since = time.monotonic()
        self._last_job, self._times = "", 0
        self.loaded = False
        self.sickness = ""
        self.changed = asyncio.Event()

    @property
    def fit(self) -> bool:
        """Whether the worker may claim jobs."""
        return self.loaded and not self.sickness

    async def recover(self) -> None:
        """Examines the worker again and again, until nothing is wrong any more.

        The pauses grow, and go on growing over several sicknesses until a job has gone well.
        """
        while True:
            if self.sickness:
                await asyncio.sleep(self._pause * SystemRandom().uniform(0.8, 1.0))
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            found = self._lack_of_room() or await self._trouble_with_store()
            found = found or await self._trouble_with_model()
            if not found:
                break
            self._fall_ill(found)
        self.loaded = True
        if self.sickness:
            log.warning("fit for work again, after %.0f s", time.monotonic() - self._since)
            self.sickness = ""
            self.changed.set()

    async def examine(
        self, error: OctetError, *, job: str = "", model: str = "", held: int = 0
    ) -> None:
        """Finds out whether the machine is at fault for a job's failure.

        Args:
            error: what the job failed of.
            job: its id.
            model: that was used.
            held: bytes of the scratch disk that the job still takes.

        Raises:
            UnfitError: it is, and would be for any other job.
        """
        if isinstance(error, OutputError):
            found = self._lack_of_room(held)
        elif isinstance(error, ObjectMissingError):
            found = ""
        elif isinstance(error, StorageError):
            found = await self._trouble_with_store()
        elif isinstance(error, DeviceError | ComputationError):
            # A process that has lost its device does not get it back.
            await self._child.stop()
            found = await self._trouble_with_model()
        elif isinstance(error, ModelError) and model == self._defaults.model:
            found = await self._trouble_with_model()
        else:
            found = ""
        if found and not self._is_coincidence_no_more(job):
            self._fall_ill(found)
            raise UnfitError(found)

    def went_well(self) -> None:
        """Notes that a job has come to its end here."""
        self._pause = _FIRST_PAUSE
        self._last_job, self._times = "", 0

    def _is_coincidence_no_more(self, job: str) -> bool:
        self._times = self._times + 1 if job == self._last_job else 1
        self._last_job = job
        return self._times > _COINCIDENCES

    def _fall_ill(self, found: str) -> None:
        if not self.sickness:
            self._since = time.monotonic()
        if self.sickness != found:
            log.error("unfit, takes no jobs and looks again in %.0f s: %s", self._pause, found)
            self.sickness = found
            self.changed.set()

    def _lack_of_room(self, held: int = 0) -> str:
        try:
            disk = shutil.disk_usage(self._folder)
        except OSError as error:
            return f"the scratch folder cannot be used: {error.strerror} (OCTET_SCRATCH)"
        free, needed = disk.free + held, min(_ROOM, int(disk.total * _SHARE_OF_DISK))
        if free >= needed:
            return ""
        return (
            f"the scratch disk is full: {free // _MIB} MiB are free, {needed // _MIB} needed"
            " (OCTET_SCRATCH)"
        )

    async def _trouble_with_model(self) -> str:
        try:
            await self._child.load(self._defaults.model_dump(mode="json"))
        except OctetError as error:
            return f"the model {self._defaults.model} cannot be loaded: {error.message}"
        return ""

    async def _trouble_with_store(self) -> str:
        """Reads and writes a little, as any job would."""
        key = f"{STAGING}/probe/{uuid.uuid4().hex}"
        try:
            await self._buckets.ensure()
            with contextlib.suppress(ObjectMissingError):
                await self._buckets.queue.head("queue/none")
            await self._buckets.output.put_bytes(key, b"octet")
            await self._buckets.output.delete(key)
        except StorageError as error:
            return f"the store is of no use: {error.message}"
        return ""
