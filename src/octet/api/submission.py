"""A submission: the options of a job, checked, and the job's way onto the queue."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from octet.api.errors import InvalidRequestError
from octet.api.uploads import discard_song
from octet.errors import KeyReusedError
from octet.formats import FormatName
from octet.intake.imports import find_answer
from octet.jobs.job import Callback, JobRequest
from octet.results.recipe import FIELDS, MOST_SHIFTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octet.api.state import Service
    from octet.intake.songs import Song
    from octet.jobs.job import Job
    from octet.results.manifest import Manifest
    from octet.results.recipe import Recipe

logger = logging.getLogger("octet.api")

Address = Annotated[str, Field(min_length=8, max_length=2048, pattern=r"^https?://\S+$")]


class LabCallback(BaseModel):
    """The lab's callback: `data` is POSTed to `url` as JSON when files were published."""

    model_config = ConfigDict(extra="forbid")

    url: Address
    data: Any = None


class JobOptions(BaseModel):
    """How a song is to be separated. What is left out is as the service is set up."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(default=None, max_length=200, description="A name of GET /v1/models.")
    format: FormatName | None = Field(default=None, description="File format of the tracks.")
    tracks: list[str] | None = Field(
        default=None,
        max_length=32,
        description="Only these tracks; all eight if left out. `no_vocals` is the song without that"
        " stem. The format stem has one, `stem`.",
    )
    bits: Literal[16, 24, 32] | None = Field(
        default=None, description="Bits a sample of flac and wav; they make a stem file lossless."
    )
    bitrate: int | None = Field(
        default=None,
        ge=8,
        le=512,
        description="Kilobits a second of mp3, ogg, opus, m4a, and each sound of a stem file.",
    )
    overlap: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="Share by which segments overlap; the model's own if unset.",
    )
    shifts: int | None = Field(
        default=None,
        ge=0,
        le=MOST_SHIFTS,
        description="Averaged passes at random offsets: better and slower.",
    )
    damaged: Literal["refuse", "skip"] | None = Field(
        default=None,
        description="What becomes of a song that is damaged in a place: `skip` puts silence there.",
    )
    priority: Literal["high", "normal", "low"] = Field(
        default="normal", description="Before or after the others."
    )
    webhook: Address | None = Field(
        default=None, description="Address to which a signed event of the job's end is POSTed."
    )
    callback: LabCallback | None = Field(
        default=None, description="Data that is POSTed to an address when files were published."
    )
    name: str | None = Field(default=None, max_length=200, description="What the song is called.")

    @field_validator("tracks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("bits", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value in ("16", "24", "32") else value

    @field_validator("callback", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        """Forms and queries carry it as JSON text."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("it is no JSON object") from None

    @field_validator("webhook")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            _check_address(value)
        return value

    @field_validator("name")
    @classmethod
    def _on_one_line(cls, value: str | None) -> str | None:
        return None if value is None else clean_name(value)

    @property
    def given(self) -> dict[str, Any]:
        """What the options say about the recipe."""
        return self.model_dump(include={*FIELDS}, exclude_none=True)

    def callbacks(self) -> tuple[Callback, ...]:
        """The callbacks and events that the job's end makes."""
        hooks = []
        if self.callback is not None:
            hooks.append(Callback(self.callback.url, self.callback.data))
        if self.webhook is not None:
            hooks.append(Callback(self.webhook, kind="event"))
        return tuple(hooks)


def read_options(given: Mapping[str, Any]) -> JobOptions:
    """The options in the fields of a form, a query or a JSON document.

    Raises:
        InvalidRequestError: they make no sense.
    """
    try:
        return JobOptions.model_validate(
            {name: value for name, value in given.items() if value not in ("", None)}
        )
    except ValidationError as error:
        raise InvalidRequestError(
            [
                {"place": ".".join(map(str, one["loc"])), "message": one["msg"]}
                for one in error.errors(include_url=False, include_context=False)
            ]
        ) from None


def clean_name(name: str) -> str:
    """A name that a client gave, on one line, without folders and control characters."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(sign for sign in base if sign.isprintable()).strip()[:200]


@dataclass(frozen=True)
class Accepted:
    """What became of a submission.

    Attributes:
        id: the job's.
        job: its record; None when only its result is left.
        manifest: of the published result, when nothing has to be computed.
        created: whether this submission put the job on the queue.
    """

    id: str
    job: Job | None
    manifest: Manifest | None
    created: bool


def job_request(
    service: Service,
    song: Song,
    recipe: Recipe,
    callbacks: tuple[Callback, ...],
    **more: Any,
) -> JobRequest:
    """The request for a song that lies in the queue bucket; `more` is as JobRequest has it."""
    return JobRequest(
        song=song.sha256,
        recipe=recipe.to_dict(),
        key=service.offer.key(recipe),
        bucket=service.settings.queue_bucket,
        object=song.key,
        callbacks=callbacks,
        **more,
    )


async def submit(
    service: Service,
    song: Song,
    request: JobRequest,
    *,
    idempotency_key: str | None = None,
    digest: str = "",
) -> Accepted:
    """Puts a job on the queue, and its song where workers look for it, unless its result is there.

    A published result that is what is asked for answers at once, and the callbacks are made. A
    fallback, a result of another recipe (the default has changed), or one of which tracks were
    removed, is computed again.

    Raises:
        KeyReusedError: one Idempotency-Key for two requests.
        QueueError, StorageError: queue or store fail.
    """
    job, manifest = await find_answer(service.queue, service.buckets, service.offer, request)
    if job is None and manifest is not None:
        await _announce(service, request)
        logger.info("job %s: its result is there already", request.job_id)
        return Accepted(request.job_id, None, manifest, created=False)
    await song.place(service.buckets.queue)  # first: a worker may be waiting for the job
    try:
        submission = await service.queue.submit(
            request,
            again=job is not None and job.state == "done" and manifest is None,
            idempotency_key=idempotency_key,
            digest=digest,
        )
    except KeyReusedError:
        if song.temporary:
            await discard_song(service, song.sha256)
        raise
    if not submission.job.ended:
        await song.place(service.buckets.queue)  # again: somebody may have deleted it meanwhile
    if submission.job.state == "done" and not submission.created:
        await _announce(service, request)
    word = "waits" if submission.created else f"is known, {submission.job.state}"
    logger.info("job %s %s", request.job_id, word)
    return Accepted(request.job_id, submission.job, manifest, submission.created)


def _check_address(value: str) -> None:
    try:
        parts = urlsplit(value)
        fine = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("it is no http(s) address")


async def _announce(service: Service, request: JobRequest) -> None:
    """Makes the callbacks of a request whose result was there before it."""
    for callback in request.callbacks:
        body = _event(request) if callback.kind == "event" else callback.body
        await service.outbox.add(callback.url, body, kind=callback.kind)


def _event(request: JobRequest) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = {
        "id": request.job_id,
        "song": request.song,
        "state": "done",
        "outcome": "complete",
        "error": None,
    }
    return json.dumps({"type": "job.done", "timestamp": now, "data": data})
