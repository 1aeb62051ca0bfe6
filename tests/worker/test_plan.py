"""What a job asks for, and what clients may not ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from octet.errors import SettingError, UnknownModelError
from octet.jobs.job import Job, Recipe
from octet.settings import SeparationSettings, read_settings
from octet.worker.plan import check_model, make_plan

SONG = "ab" * 32


def job(recipe: Recipe | None = None, message: bytes = b"") -> Job:
    fields = {
        "id": SONG,
        "song": SONG,
        "state": "running",
        "recipe": json.dumps((recipe or Recipe()).to_dict()),
    }
    record = {name.encode(): value.encode() for name, value in fields.items()}
    return Job.from_record({**record, b"message": message})


def defaults(**changes: Any) -> SeparationSettings:
    return read_settings(SeparationSettings, **changes)


def test_the_default_recipe_has_the_service_s_settings_and_the_plain_names() -> None:
    plan = make_plan(job(), defaults(model="htdemucs"), ("pocket", "original"))

    assert plan.settings.model == "htdemucs"
    assert plan.keys.track("vocals") == f"{SONG}-vocals.mp3"
    assert plan.fallbacks == ("pocket", "original")
    assert plan.plain is None


def test_a_recipe_changes_what_it_names() -> None:
    recipe = Recipe(model="mdx_extra", format="flac", settings={"shifts": 2, "bits": 24})

    plan = make_plan(job(recipe), defaults(shifts=1), ("pocket",))

    found = plan.settings
    assert (found.model, found.format, found.shifts, found.bits) == ("mdx_extra", "flac", 2, 24)
    assert plan.keys.track("bass") == f"{SONG}/{recipe.key}/bass.flac"


def test_a_model_is_not_its_own_fallback() -> None:
    assert make_plan(job(), defaults(model="pocket"), ("pocket", "original")).fallbacks == (
        "original",
    )


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(settings={"scratch": "/etc"}),
        Recipe(settings={"max_seconds": 1e9}),
        Recipe(settings={"trust_checkpoint": True}),
        Recipe(settings={"model": "/tmp/x"}),
        Recipe(settings={"shifts": -1}),
        Recipe(settings={"overlap": "wide"}),
        Recipe(format="exe"),
    ],
)
def test_a_recipe_cannot_set_what_is_the_operator_s_or_nonsense(recipe: Recipe) -> None:
    with pytest.raises(SettingError):
        make_plan(job(recipe), defaults(), ())


@pytest.mark.parametrize("name", ["/etc/passwd", "../weights", "nobody's", ""])
def test_clients_cannot_name_a_path(name: str) -> None:
    with pytest.raises(UnknownModelError):
        check_model(name, defaults(), ("pocket",))


def test_known_models_and_the_operator_s_own_are_accepted() -> None:
    for name in ("pocket", "original", "mdx_extra_q", "/models/mine", "/models/spare"):
        check_model(name, defaults(model="/models/mine"), ("/models/spare",))


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        (b'{"hash": "x", "model": "htdemucs"}', True),
        (b'{"hash": "x", "model": "htdemucs", "octet": {}}', False),
        (b"{", False),
    ],
)
def test_only_a_foreign_choice_of_a_model_gets_the_plain_names_too(
    message: bytes, plain: bool
) -> None:
    plan = make_plan(job(Recipe(model="htdemucs"), message), defaults(), ())

    assert (plan.plain is not None) == plain
    assert plan.keys.recipe
