"""Jobs as answers show them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import Path

from octet.api.errors import not_found
from octet.api.intake import find_manifest
from octet.api.schemas import ErrorView, JobView, LinksView

if TYPE_CHECKING:
    from octet.api.intake import Accepted
    from octet.api.state import Service
    from octet.jobs.job import Job

_ID = re.compile(r"([0-9A-Fa-f]{32,128})(?:-([0-9a-f]{16}))?")

JobId = Annotated[
    str,
    Path(
        description="A song's name, and the recipe's key behind a hyphen if there is one.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]


def split_id(job_id: str) -> tuple[str, str]:
    """The song's name and the recipe's key of an id.

    Raises:
        RefusedError: 404, no id looks like this.
    """
    found = _ID.fullmatch(job_id)
    if found is None:
        raise not_found("such job or song")
    return found[1], found[2] or ""


async def find_job(service: Service, job_id: str) -> JobView:
    """A job as it is now: recorded, waiting without a record, or known by its result alone.

    Raises:
        RefusedError: 404, there is none.
    """
    song, recipe = split_id(job_id)
    job = await service.queue.get(job_id)
    if job is not None:
        return await view_job(service, job)
    waiting = await service.listing.find(job_id)
    if waiting is not None:
        position = await service.queue.position(job_id)
        return JobView(
            id=job_id,
            song=song,
            state="waiting",
            percent=0,
            position=position,
            priority=waiting.priority,
            recipe={},
            links=links_of(job_id),
        )
    manifest = await find_manifest(service, song, recipe)
    if manifest is None:
        raise not_found("job of this id")
    return _finished(job_id, song, manifest.outcome == "fallback")


async def view_accepted(service: Service, accepted: Accepted) -> JobView:
    """The job of a submission."""
    if accepted.job is None:
        return _finished(accepted.id, split_id(accepted.id)[0], fallback=False)
    return await view_job(service, accepted.job)


async def view_job(service: Service, job: Job) -> JobView:
    """A recorded job, with its place in the queue."""
    position = await service.queue.position(job.id) if job.state == "waiting" else None
    return plain_view(job, position)


def plain_view(job: Job, position: int | None = None) -> JobView:
    """A recorded job."""
    return JobView(
        id=job.id,
        song=job.song,
        state=job.state,
        outcome=job.outcome,
        percent=100.0 if job.state == "done" else job.percent,
        seconds_left=job.left if job.state == "running" else None,
        position=position,
        priority=job.priority,
        attempts=job.attempts,
        name=job.name,
        recipe=dict(job.recipe),
        created=_time(job.created),
        started=_time(job.started),
        finished=_time(job.finished),
        cancelling=job.cancelling,
        error=ErrorView(code=job.error.code, message=job.error.message) if job.error else None,
        links=links_of(job.id),
    )


def links_of(job_id: str) -> LinksView:
    """Addresses, without the host."""
    return LinksView(
        self=f"/v1/jobs/{job_id}",
        events=f"/v1/jobs/{job_id}/events",
        song=f"/v1/songs/{job_id}",
        archive=f"/v1/songs/{job_id}/archive",
    )


def _finished(job_id: str, song: str, fallback: bool) -> JobView:
    return JobView(
        id=job_id,
        song=song,
        state="done",
        outcome="fallback" if fallback else "complete",
        percent=100,
        recipe={},
        links=links_of(job_id),
    )


def _time(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
