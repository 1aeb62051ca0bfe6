"""The shapes of /v1's answers."""

from __future__ import annotations

from datetime import datetime  # pydantic reads the annotations
from typing import Any, Literal

from pydantic import BaseModel, Field

from octet.jobs.job import Outcome, Priority, State  # as above


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
    song: str
    archive: str


class JobView(BaseModel):
    """A job."""

    id: str = Field(description="The song's name, with the recipe's key if it has one.")
    song: str = Field(description="SHA-256 of the song's bytes.")
    state: State
    outcome: Outcome | None = Field(default=None, description="Of a job that is done.")
    percent: float = Field(ge=0, le=100)
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
    counts: dict[State, int] = Field(description="Recorded jobs in each state.")
    workers: int = Field(description="Workers that are alive.")


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
