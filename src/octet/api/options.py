"""What a client may ask for beside its song, checked and brought into one form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from octet.api.errors import InvalidRequestError
from octet.formats import FormatName
from octet.jobs.job import Callback
from octet.results.recipe import FIELDS, MOST_SHIFTS

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        default=None, max_length=32, description="Only these tracks; all eight if left out."
    )
    bits: Literal[16, 24, 32] | None = Field(
        default=None, description="Bits a sample of flac and wav."
    )
    bitrate: int | None = Field(
        default=None, ge=8, le=512, description="Kilobits a second of mp3, ogg, opus and m4a."
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
        default=None, description="Address that is told of the end by a signed event."
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
        """What is asked for of a recipe."""
        return self.model_dump(include={*FIELDS}, exclude_none=True)

    def callbacks(self) -> tuple[Callback, ...]:
        """Whom to tell."""
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


def _check_address(value: str) -> None:
    try:
        parts = urlsplit(value)
        fine = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("it is no http(s) address")
