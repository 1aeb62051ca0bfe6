"""How long jobs took lately."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from octet.api.intake import find_manifest

if TYPE_CHECKING:
    from octet.api.state import Service
    from octet.jobs.job import Job

_BASIS = 10
_FRESH = 30.0


class Rate:
    """How long recent jobs took: for a second of song, for a byte of it, and on average."""

    def __init__(self, samples: list[tuple[float, float, int]]) -> None:
        self.jobs = len(samples)
        taken = sum(sample[0] for sample in samples)
        self.per_second = taken / sum(sample[1] for sample in samples)
        self.per_byte = taken / sum(sample[2] for sample in samples)
        self.mean = taken / self.jobs
        self.made = time.monotonic()


async def recent_rate(service: Service) -> Rate | None:
    """From the latest jobs that are done, read once in a while."""
    rate = service.rate
    if rate is not None and time.monotonic() - rate.made < _FRESH:
        return rate
    page = await service.queue.jobs(state="done", limit=_BASIS)
    samples = [await _sample(service, job) for job in page.jobs]
    known = [sample for sample in samples if sample is not None]
    service.rate = Rate(known) if known else None
    return service.rate


async def _sample(service: Service, job: Job) -> tuple[float, float, int] | None:
    """Seconds taken, seconds of song and bytes of song of a job."""
    if job.started is None or job.finished is None:
        return None
    manifest = await find_manifest(service, job.song, job.key)
    if manifest is None or manifest.song.duration <= 0 or manifest.song.bytes <= 0:
        return None
    return job.finished - job.started, manifest.song.duration, manifest.song.bytes
