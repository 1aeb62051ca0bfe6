"""How long a song will take, going by the jobs that finished lately."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from octet.results import publication
from octet.results.keys import ResultKeys

if TYPE_CHECKING:
    from octet.jobs.job import Job
    from octet.jobs.queue import JobQueue
    from octet.storage.bucket import Bucket

_BASIS = 10
_FRESH = 30.0


class Rate:
    """What recent jobs took, in seconds: for a second of song, for a byte of it, on average.

    Args:
        samples: of each job the seconds that it took, and the seconds and bytes of its song.
    """

    def __init__(self, samples: list[tuple[float, float, int]]) -> None:
        self.jobs = len(samples)
        taken = sum(sample[0] for sample in samples)
        self.per_second = taken / sum(sample[1] for sample in samples)
        self.per_byte = taken / sum(sample[2] for sample in samples)
        self.mean = taken / self.jobs


class Estimator:
    """Knows the rate of recent jobs, and reads it anew every 30 s at most.

    Args:
        queue: where the jobs are recorded.
        output: the bucket of their results.
    """

    def __init__(self, queue: JobQueue, output: Bucket) -> None:
        self._queue = queue
        self._output = output
        self._rate: Rate | None = None
        self._read = -_FRESH

    async def rate(self) -> Rate | None:
        """Of the latest jobs that are done; None where there are none.

        Raises:
            QueueError, StorageError: queue or store fail.
        """
        if time.monotonic() - self._read >= _FRESH:
            page = await self._queue.jobs(state="done", limit=_BASIS)
            samples = [await self._sample(job) for job in page.jobs]
            known = [sample for sample in samples if sample is not None]
            self._rate = Rate(known) if known else None
            if known:
                self._read = time.monotonic()
        return self._rate

    async def _sample(self, job: Job) -> tuple[float, float, int] | None:
        if job.started is None or job.finished is None:
            return None
        manifest = await publication.read(self._output, ResultKeys(job.song, job.key))
        if manifest is None or manifest.song.duration <= 0 or manifest.song.bytes <= 0:
            return None
        taken = job.finished - job.started
        if taken < 0.9 * manifest.timings.get("total", 0.0):
            return None  # the job was answered by a result that was there already
        return taken, manifest.song.duration, manifest.song.bytes
