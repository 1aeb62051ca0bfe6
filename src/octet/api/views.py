"""The shapes of /v1's answers, and jobs as they show them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from octet.api.errors import not_found
from octet.api.proxy import address
from octet.jobs.job import Outcome, Priority, State  # pydantic reads the annotations

if TYPE_CHECKING:
    from octet.api.state import Service
    from octet.jobs.job import Job


AnyState = State | Literal["fetching"]
"""`fetching` is an import, whose song is not there yet."""


class ProblemView(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["urn:octet:error:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(description="The kind of error, for programs.", examples=["not-found"])
    detail: str = Field(examples=["there is no job of this id"])
    hint: str | None = Field(default=None, description="What to do about it.")
    errors: list[dict[str, str]] | None = Field(
        default=None, description="Each mistake of the request."
    )


class ReasonView(BaseModel):
    """An answer of the lab's API."""

    reason: str


class ErrorView(BaseModel):
    """Why a job failed, or why its result is a fallback."""

    code: str
    message: str


class LinksView(BaseModel):
    """Where to go from here."""

    self: str
    events: str
    song: str | None = Field(description="Null while the song is not there yet.")
    archive: str | None


class JobView(BaseModel):
    """A job."""

    id: str = Field(
        description="The song's name, with the recipe's key if it has one; of an import "
        "`import-` and 32 digits."
    )
    job: str | None = Field(
        default=None, description="Of an import: the id of the song's job, once there is one."
    )
    song: str | None = Field(
        description="SHA-256 of the song's bytes; null of an import whose song is not there yet."
    )
    state: AnyState
    outcome: Outcome | None = Field(default=None, description="Of a job that is done.")
    percent: float = Field(ge=0, le=100)
    bytes: int | None = Field(default=None, description="Fetched so far, while `fetching`.")
    size: int | None = Field(
        default=None, description="Bytes to fetch in all, if the song's server has said it."
    )
    seconds_left: float | None = Field(default=None, description="For the computation, if known.")
    position: int | None = Field(default=None, description="Jobs that will be taken before it.")
    priority: Priority = "normal"
    attempts: int = 0
    name: str = Field(default="", description="What the client called the song.")
    recipe: dict[str, Any] = Field(description="The settings that shape the result, in full.")
    created: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    cancelling: bool = False
    error: ErrorView | None = None
    links: LinksView


class JobPage(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobView]
    next: str | None = Field(default=None, description="The parameter `after` of the next page.")


class WaitingView(BaseModel):
    """A song that waits."""

    id: str
    song: str
    priority: Priority


class QueueView(BaseModel):
    """The queue."""

    depth: int = Field(description="All that wait.")
    waiting: list[WaitingView] = Field(description="The first of them, in their order.")
    running: list[JobView]
    fetching: int = Field(description="Imports whose songs are not there yet.")
    counts: dict[State, int] = Field(description="Recorded jobs in each state.")
    workers: int = Field(description="Workers that are alive.")
    sick: dict[str, str] = Field(
        default_factory=dict, description="Workers that take no jobs now, and why."
    )


class ModelView(BaseModel):
    """A model that a job may ask for."""

    name: str
    description: str
    licence: str
    commercial: bool = Field(description="Whether the licence allows commercial use.")
    stems: list[str]
    default: bool


class ModelList(BaseModel):
    """The models."""

    models: list[ModelView]


class EstimateRequest(BaseModel):
    """A song that has not been sent yet: its length, or its size, or both."""

    seconds: float | None = Field(default=None, gt=0, le=1e6, description="The song's length.")
    bytes: int | None = Field(default=None, gt=0, le=2**50, description="The file's size.")


class EstimateView(BaseModel):
    """How long a song will take, going by what finished lately."""

    seconds: float | None = Field(description="From its start to its end; null if unknown.")
    wait: float | None = Field(description="Before its start; null if unknown.")
    basis: int = Field(description="How many finished jobs this goes by.")


class DeadLetterView(BaseModel):
    """A job that was given up, or a message that could not be read."""

    id: str
    job: str | None = Field(description="The job's id; null for an unreadable message.")
    code: str
    reason: str
    time: datetime
    message: str = Field(description="The first 4096 characters of what was on the queue.")


class DeadLetterPage(BaseModel):
    """Dead letters, the newest first."""

    letters: list[DeadLetterView]
    count: int = Field(description="How many there are in all.")


class HealthView(BaseModel):
    """Whether jobs are accepted."""

    status: Literal["ok", "unavailable"]
    reason: str | None = None
    warnings: list[str] = Field(
        default=[], description="What works now, and is not as it should be."
    )


_ID = re.compile(r"([0-9A-Fa-f]{32,128})(?:-([0-9a-f]{16}))?")

JobId = Annotated[
    str,
    Path(
        description="A song's name, and the recipe's key behind a hyphen if there is one; or an "
        "import's id.",
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
    waiting = await service.reader.find(job_id)
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
    manifest = await service.find_manifest(song, recipe)
    if manifest is None:
        raise not_found("job of this id")
    return finished_view(job_id, fallback=manifest.outcome == "fallback")


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
    """Addresses as the client reaches them, without the host."""
    job, song = address(f"/v1/jobs/{job_id}"), address(f"/v1/songs/{job_id}")
    return LinksView(
        self=job,
        events=f"{job}/events",
        song=song,
        archive=f"{song}/archive",
    )


def finished_view(job_id: str, *, fallback: bool = False) -> JobView:
    """A job of which only the result is left."""
    return JobView(
        id=job_id,
        song=split_id(job_id)[0],
        state="done",
        outcome="fallback" if fallback else "complete",
        percent=100,
        recipe={},
        links=links_of(job_id),
    )


def _time(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
