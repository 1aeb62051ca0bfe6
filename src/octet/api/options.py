"""What a client may ask for beside its song, checked and brought into one form."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from octet.api.errors import InvalidRequestError
from octet.errors import SettingError, UnknownModelError
from octet.formats import Encoding, FormatName
from octet.jobs.job import Callback, Recipe
from octet.separation.models.registry import REGISTRY, check_policy
from octet.tracks import TRACKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octet.settings import SeparationSettings

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
        default=None, ge=8, le=512, description="Kilobits a second of mp3, opus and m4a."
    )
    overlap: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="Share by which segments overlap; the model's own if unset.",
    )
    shifts: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="Averaged passes at random offsets: better and slower.",
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


def make_recipe(options: JobOptions, defaults: SeparationSettings) -> Recipe:
    """What shapes the result, without what is the service's default anyway.

    Raises:
        UnknownModelError, ModelPolicyError: a model that cannot be asked for.
        SettingError: settings that do not go together.
    """
    model = options.model if options.model != defaults.model else None
    if model is not None:
        check_model(model, defaults)
    name = options.format or defaults.format
    Encoding(name, bits=options.bits, bitrate=options.bitrate)  # it checks them
    if options.overlap is not None and not math.isfinite(options.overlap):
        raise SettingError("the overlap is not a number")
    given = {
        "bits": options.bits,
        "bitrate": options.bitrate,
        "overlap": options.overlap,
        "shifts": options.shifts,
    }
    return Recipe(
        model=model,
        format=name if name != defaults.format else None,
        tracks=_tracks(options, defaults),
        settings={
            key: value
            for key, value in given.items()
            if value is not None and value != getattr(defaults, key)
        },
    )


def check_model(name: str, defaults: SeparationSettings) -> None:
    """Holds a model's name against those that a client may ask for. It is never opened.

    Raises:
        UnknownModelError: there is none of this name.
        ModelPolicyError: its licence does not fit this service.
    """
    if name == defaults.model:
        return
    entry = REGISTRY.get(name)
    if entry is None:
        raise UnknownModelError(
            f"there is no model {name[:40]!a}", f"There are {', '.join(REGISTRY)}"
        )
    check_policy(defaults.model_policy, name, entry.licence, entry.commercial)


def clean_name(name: str) -> str:
    """A name that a client gave, on one line, without folders and control characters."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(sign for sign in base if sign.isprintable()).strip()[:200]


def _tracks(options: JobOptions, defaults: SeparationSettings) -> tuple[str, ...]:
    asked = dict.fromkeys(options.tracks or ())
    entry = REGISTRY.get(options.model or defaults.model)
    known = dict.fromkeys((*TRACKS, *(entry.sources if entry else ())))
    for name in asked:
        if name not in known:
            raise SettingError(f"there is no track {name[:40]!a}", f"There are {', '.join(known)}")
    everything = set(asked) == set(TRACKS) and set(known) == set(TRACKS)
    return () if everything else tuple(name for name in known if name in asked)


def _check_address(value: str) -> None:
    try:
        parts = urlsplit(value)
        fine = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("it is no http(s) address")
