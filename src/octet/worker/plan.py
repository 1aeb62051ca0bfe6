"""What a job asks for, in terms of this worker: settings, models to fall back on, names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octet.errors import SettingError, UnknownModelError
from octet.jobs.job import Recipe
from octet.results.keys import ResultKeys
from octet.separation.models.registry import REGISTRY
from octet.settings import SeparationSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octet.jobs.job import Job

ORIGINAL = "original"
"""The last resort of a fallback (octet.separation.models.original): no model at all."""

_OPEN = ("bits", "bitrate", "overlap", "shifts")
"""The settings that a recipe may change. Paths and limits are not a client's business."""


@dataclass(frozen=True)
class Plan:
    """How a job is to be done.

    Attributes:
        settings: of the separation that is asked for; `settings.model` may be unknown.
        fallbacks: names of models to try when it fails for good, in order.
        keys: where the result goes.
        plain: where it goes as well unless something lies there: the plain names, which
            producers that do not know Octet's recipes look at. None for Octet's own jobs.
    """

    settings: SeparationSettings
    fallbacks: tuple[str, ...]
    keys: ResultKeys
    plain: ResultKeys | None

    def with_model(self, name: str) -> SeparationSettings:
        """The settings with another model."""
        return self.settings.model_copy(update={"model": name})


def make_plan(job: Job, defaults: SeparationSettings, fallbacks: Sequence[str]) -> Plan:
    """Reads a job.

    Raises:
        SettingError: its recipe makes no sense.
    """
    settings = _settings(job.recipe, defaults)
    return Plan(
        settings=settings,
        fallbacks=tuple(name for name in fallbacks if name != settings.model),
        keys=ResultKeys(job.song, job.recipe.key, settings.format),
        plain=ResultKeys(job.song, "", settings.format) if _is_foreign_choice(job) else None,
    )


def check_model(name: str, defaults: SeparationSettings, fallbacks: Sequence[str]) -> None:
    """Holds a model's name, as a client wrote it, against those that clients may name.

    A name is never opened as a path, unless the operator set it.

    Raises:
        UnknownModelError: it is none of them.
    """
    if name not in (defaults.model, ORIGINAL, *fallbacks, *REGISTRY):
        raise UnknownModelError(
            f"there is no model {name[:80]!r} here", f"There are {', '.join(REGISTRY)}"
        )


def _settings(recipe: Recipe, defaults: SeparationSettings) -> SeparationSettings:
    given: dict[str, Any] = dict(recipe.settings)
    for name in given:
        if name not in _OPEN:
            raise SettingError(
                f"a recipe cannot set {name[:80]!r}", f"It can set {', '.join(_OPEN)}"
            )
    given |= {"model": recipe.model, "format": recipe.format}
    given = {name: value for name, value in given.items() if value is not None}
    return read_settings(SeparationSettings, **{**defaults.model_dump(), **given})


def _is_foreign_choice(job: Job) -> bool:
    """Whether another producer pushed the job, and chose a model."""
    if job.recipe.model is None or job.recipe != Recipe(model=job.recipe.model):
        return False
    try:
        message = json.loads(job.message)
    except ValueError:
        return False
    return isinstance(message, dict) and "octet" not in message
