"""The options of a job against the rooms that the API cannot import."""

from __future__ import annotations

import pytest

from octet.api.options import check_model, make_recipe, read_options
from octet.errors import OctetError, SettingError, UnknownModelError
from octet.formats import FORMATS, Encoding
from octet.jobs.job import Recipe
from octet.settings import SeparationSettings, read_settings

DEFAULTS = read_settings(SeparationSettings)


@pytest.mark.parametrize("bits", [None, 16, 24, 32])
@pytest.mark.parametrize("bitrate", [None, 8, 12, 16, 32, 320, 321, 510, 512])
@pytest.mark.parametrize("name", FORMATS)
def test_what_an_encoder_takes_is_what_the_api_takes(
    name: str, bits: int | None, bitrate: int | None
) -> None:
    def fits(make: object) -> bool:
        assert callable(make)
        try:
            make()
        except SettingError:
            return False
        return True

    options = read_options({"format": name, "bits": bits, "bitrate": bitrate})
    assert fits(lambda: make_recipe(options, DEFAULTS)) == fits(
        lambda: Encoding(name, bits=bits, bitrate=bitrate)
    )


def test_a_recipe_says_only_what_differs() -> None:
    defaults = read_settings(SeparationSettings, model="htdemucs", format="flac", bits=24, shifts=2)
    same = read_options({"model": "htdemucs", "format": "flac", "bits": "24", "shifts": "2"})
    assert make_recipe(same, defaults) == Recipe()
    other = read_options({"model": "pocket", "overlap": 0.5})
    assert make_recipe(other, defaults) == Recipe(model="pocket", settings={"overlap": 0.5})


def test_the_order_of_tracks_makes_no_difference() -> None:
    one = make_recipe(read_options({"tracks": "drums,vocals,drums"}), DEFAULTS)
    two = make_recipe(read_options({"tracks": ["vocals", "drums"]}), DEFAULTS)
    assert one.key == two.key


def test_further_stems_go_with_the_model_that_has_them() -> None:
    six = read_options({"model": "htdemucs_6s", "tracks": "guitar"})
    assert make_recipe(six, DEFAULTS).tracks == ("guitar",)
    with pytest.raises(SettingError, match="guitar"):
        make_recipe(read_options({"tracks": "guitar"}), DEFAULTS)


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "pocket\n", "x" * 100, "Pocket"])
def test_models_are_names_of_the_registry(name: str) -> None:
    with pytest.raises(UnknownModelError):
        check_model(name, DEFAULTS)


def test_the_operators_own_model_may_be_a_folder() -> None:
    check_model("/models/mine", read_settings(SeparationSettings, model="/models/mine"))


@pytest.mark.parametrize("given", [{"tracks": 5}, {"name": ["a"]}, {"bits": "17"}, {"shifts": 0.5}])
def test_nonsense_is_told_by_its_place(given: dict[str, object]) -> None:
    with pytest.raises(OctetError) as caught:
        read_options(given)
    assert str(caught.value).startswith(next(iter(given)))
