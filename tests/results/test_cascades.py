"""Names of cascades: read and checked without loading anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from octet.errors import ModelPolicyError, OctetError, SettingError, UnknownModelError
from octet.results.cascades import known, parts, stricter
from octet.results.recipe import Offer, Recipe
from octet.separation.models.registry import REGISTRY
from octet.settings import SeparationSettings, read_settings

VOICES = replace(
    REGISTRY["pocket"], name="voices", licence="MIT", sources=("vocals", "accompaniment")
)
MODELS = {**REGISTRY, "voices": VOICES}


def test_a_name_joins_one_model_or_two() -> None:
    assert parts("pocket") == ("pocket",)
    assert parts("voices+pocket") == ("voices", "pocket")


@pytest.mark.parametrize("name", ["+", "pocket+", "+pocket", "a+b+c"])
def test_nothing_else_is_a_cascade(name: str) -> None:
    with pytest.raises(UnknownModelError):
        parts(name)


def test_a_cascade_gives_vocals_and_what_the_second_model_gives() -> None:
    joined = known(MODELS, "voices+htdemucs_6s")

    assert joined.name == "voices+htdemucs_6s"
    assert joined.sources == ("vocals", "drums", "bass", "other", "guitar", "piano")
    # its licence is the one that allows less
    assert (joined.licence, joined.commercial) == (REGISTRY["htdemucs_6s"].licence, False)


def test_the_part_that_is_unknown_is_named() -> None:
    with pytest.raises(UnknownModelError, match="'nobody'"):
        known(MODELS, "voices+nobody")


def test_a_second_model_without_drums_is_refused_with_what_is_missing() -> None:
    with pytest.raises(SettingError, match="voices gives no drums"):
        known(MODELS, "pocket+voices")


def test_of_two_licences_the_one_that_allows_less_counts() -> None:
    free = REGISTRY["pocket"]
    alike = replace(free, licence="CC-BY-SA-4.0")

    assert stricter((free, VOICES)) == stricter((VOICES, free)) == "MIT"
    assert stricter((VOICES, alike)) == "CC-BY-SA-4.0"
    # where neither allows less than the other, both stand
    assert stricter((VOICES, replace(free, licence="ISC"))) == "MIT; ISC"


def test_an_offer_takes_a_cascade_of_its_models_and_nothing_else() -> None:
    here = Offer(Recipe("pocket"), MODELS)

    assert here.resolve({"model": "voices+pocket"}).model == "voices+pocket"
    for name in ("voices+/etc", "pocket+voices", "a+b+c"):
        with pytest.raises(OctetError):
            here.resolve({"model": name})


def test_the_policy_holds_for_each_part() -> None:
    here = Offer(Recipe("pocket"), MODELS, "commercial")

    assert here.resolve({"model": "voices+pocket"})
    with pytest.raises(ModelPolicyError, match="htdemucs"):
        here.resolve({"model": "voices+htdemucs"})


def test_a_model_of_vocals_alone_makes_no_eight_tracks() -> None:
    here = Offer(Recipe("pocket"), MODELS)

    with pytest.raises(SettingError, match="voices alone gives no drums") as refused:
        here.resolve({"model": "voices"})
    assert "voices+pocket" in (refused.value.hint or "")
    # and it is no default either
    with pytest.raises(SettingError, match="voices alone"):
        Offer.of(read_settings(SeparationSettings, model="voices"), MODELS)


def test_it_is_listed_in_a_cascade() -> None:
    models = {name: MODELS[name] for name in ("pocket", "voices", "htdemucs")}

    def listed(default: str) -> list[str]:
        return [model.name for model in Offer(Recipe(default), models).listed()]

    assert listed("pocket") == ["pocket", "htdemucs", "voices+pocket"]
    # as is the default, once
    assert listed("voices+pocket") == listed("pocket")
    assert listed("voices+htdemucs") == [*listed("pocket"), "voices+htdemucs"]
