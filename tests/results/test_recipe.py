"""Recipes: resolved, checked, and named, so that equal ones alone are equal."""

from __future__ import annotations

from typing import Any

import pytest

from octet.errors import ModelPolicyError, OctetError, SettingError, UnknownModelError
from octet.formats import FORMATS, Encoding
from octet.results.recipe import Offer, Recipe, tracks_in
from octet.separation.models.registry import REGISTRY
from octet.settings import SeparationSettings, read_settings
from octet.tracks import STEMS, TRACKS


def offer(**settings: Any) -> Offer:
    return Offer.of(read_settings(SeparationSettings, **settings), REGISTRY)


def test_who_asks_for_nothing_gets_the_default_and_the_plain_names() -> None:
    here = offer(model="htdemucs", format="flac", bits=24, shifts=2)

    recipe = here.resolve({})

    assert recipe == Recipe("htdemucs", "flac", bits=24, shifts=2, damaged="skip")
    assert here.key(recipe) == ""


def test_who_asks_for_what_is_the_default_gets_the_default() -> None:
    here = offer()

    spelt = here.resolve(
        {"model": "pocket", "format": "mp3", "bitrate": 320, "shifts": 0, "tracks": list(TRACKS)}
    )

    assert here.key(spelt) == ""
    assert spelt.fingerprint == here.default.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"model": "htdemucs"},
        {"format": "flac"},
        {"bitrate": 192},
        {"overlap": 0.5},
        {"shifts": 1},
        {"damaged": "refuse"},
        {"tracks": ["vocals"]},
        {"format": "flac", "bits": 24},
    ],
)
def test_whatever_shapes_the_result_gives_it_another_name(change: dict[str, Any]) -> None:
    here = offer()

    recipe = here.resolve(change)

    assert here.key(recipe) == recipe.fingerprint
    assert len(recipe.fingerprint) == 16
    assert recipe.fingerprint != here.default.fingerprint
    # and a service whose default it is takes it for its own
    assert Recipe(**{**recipe.to_dict(), "tracks": recipe.tracks}) == recipe


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"format": "flac"}),
        ({}, {"model": "htdemucs"}),
        ({}, {"bitrate": 192}),
        ({"format": "flac", "bits": 16}, {"format": "flac", "bits": 24}),
        ({}, {"overlap": 0.1}),
        ({}, {"shifts": 2}),
    ],
)
def test_two_defaults_are_two_recipes(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert offer(**before).default.fingerprint != offer(**after).default.fingerprint


def test_a_default_bit_rate_does_not_follow_into_a_format_without() -> None:
    here = offer(format="mp3", bitrate=192)

    assert here.resolve({"format": "wav"}).bitrate is None
    assert here.resolve({"format": "opus"}).bitrate == 192
    assert offer().resolve({"format": "opus"}).bitrate == FORMATS["opus"].bitrate
    assert offer(format="wav", bits=32).resolve({"format": "flac"}).bits is None


def test_the_order_of_tracks_makes_no_difference() -> None:
    here = offer()

    one = here.resolve({"tracks": ["drums", "vocals", "drums"]})
    two = here.resolve({"tracks": ["vocals", "drums"]})

    assert one == two


def test_further_stems_go_with_the_model_that_has_them() -> None:
    here = offer()

    assert here.resolve({"model": "htdemucs_6s", "tracks": ["guitar"]}).tracks == ("guitar",)
    # the eight tracks are not all of a model that gives ten
    assert here.resolve({"model": "htdemucs_6s", "tracks": list(TRACKS)}).tracks == TRACKS
    with pytest.raises(SettingError, match="guitar"):
        here.resolve({"tracks": ["guitar"]})


@pytest.mark.parametrize(
    "given",
    [
        {"scratch": "/etc"},
        {"max_seconds": 1e9},
        {"trust_checkpoint": True},
        {"shifts": -1},
        {"shifts": 21},
        {"overlap": 0.99999},
        {"shifts": 20, "overlap": 0.6},
        {"shifts": 1.5},
        {"shifts": True},
        {"overlap": "wide"},
        {"overlap": 1.0},
        {"overlap": float("nan")},
        {"overlap": 10**400},
        {"shifts": float("inf")},
        {"format": "exe"},
        {"format": ["mp3"]},
        {"bits": 7},
        {"format": "mp3", "bits": 24},
        {"format": "wav", "bitrate": 320},
        {"damaged": "mend"},
        {"damaged": True},
        {"tracks": ["kazoo"]},
        {"tracks": "vocals"},
        {"tracks": [3]},
        {"model": 3},
        {"model": "a\x1bb"},
        {"model": ""},
        {"model": "x" * 1000},
    ],
)
def test_nonsense_and_what_is_the_operators_is_refused(given: dict[str, Any]) -> None:
    here = offer()

    with pytest.raises(SettingError):
        here.resolve(given)
    # a message that asks for it gets a name of its own all the same, the same each time
    key, kept = here.complete(given)
    assert (key, kept) == here.complete(given)
    assert len(key) == 16


@pytest.mark.parametrize("name", ["/etc/passwd", "../weights", "nobody's", "Pocket"])
def test_a_model_is_a_name_of_the_list_and_never_a_path(name: str) -> None:
    with pytest.raises(UnknownModelError):
        offer().resolve({"model": name})
    # unless the operator has set it
    assert offer(model=name).resolve({"model": name}).model == name


def test_the_licence_counts_where_the_policy_says_so() -> None:
    here = offer(model_policy="commercial")

    assert here.resolve({"model": "pocket"})
    with pytest.raises(ModelPolicyError, match="scientific"):
        here.resolve({"model": "htdemucs"})


@pytest.mark.parametrize("bits", [None, 16, 24, 32])
@pytest.mark.parametrize("bitrate", [None, 8, 12, 16, 32, 320, 321, 510, 512])
@pytest.mark.parametrize("name", FORMATS)
def test_what_an_encoder_takes_is_what_a_recipe_takes(
    name: str, bits: int | None, bitrate: int | None
) -> None:
    def fits(make: Any) -> bool:
        try:
            make()
        except OctetError:
            return False
        return True

    given = {"format": name, "bits": bits, "bitrate": bitrate}
    assert fits(lambda: offer().resolve(given)) == fits(
        lambda: Encoding(name, bits=bits, bitrate=bitrate)
    )


def test_a_recipe_includes_one_of_the_same_settings_with_fewer_tracks() -> None:
    here = offer()
    whole, part = here.resolve({}), here.resolve({"tracks": ["vocals", "drums"]})

    assert whole.includes(part)
    assert part.includes(here.resolve({"tracks": ["drums"]}))
    assert not part.includes(whole)
    assert not whole.includes(here.resolve({"format": "flac", "tracks": ["drums"]}))


def test_a_default_that_makes_no_sense_is_told_at_the_start() -> None:
    with pytest.raises(SettingError, match="24 bits"):
        offer(format="mp3", bits=24)


def test_a_stem_file_is_one_track_and_lossy_unless_bits_are_asked_for() -> None:
    # given a service with a bit rate, or bits, of its own
    for here in (offer(bitrate=192), offer(format="flac", bits=24)):
        # when a stem file is asked for, then it is AAC, and with bits ALAC without a bit rate
        lossy = here.resolve({"format": "stem"})
        lossless = here.resolve({"format": "stem", "bits": 16})
        assert (lossy.bits, lossy.bitrate in (192, 256)) == (None, True)
        assert (lossless.bits, lossless.bitrate) == (16, None)
        # and its one track is all that there is
        assert here.resolve({"format": "stem", "tracks": ["stem"]}) == lossy
        with pytest.raises(SettingError, match="no track 'vocals'"):
            here.resolve({"format": "stem", "tracks": ["vocals"]})
    with pytest.raises(SettingError, match="no track 'stem'"):
        offer().resolve({"tracks": ["stem"]})
    assert tracks_in("stem", STEMS) == ("stem",)
    assert tracks_in("mp3", STEMS) == TRACKS


def test_a_service_keeps_a_format_of_eight_files() -> None:
    with pytest.raises(SettingError, match="OCTET_FORMAT") as refused:
        offer(format="stem")

    assert "eight files" in refused.value.hint


def test_the_song_without_a_stem_is_made_only_where_it_is_named():
    # given an offer, and recipes with and without such a track
    offer = Offer(Recipe("pocket", bitrate=320), REGISTRY)
    two = offer.resolve({"tracks": ["no_drums", "drums"]})
    assert two.tracks == ("drums", "no_drums")
    # then a result of all tracks is none of it, and the other way round
    assert not offer.default.includes(two)
    assert not two.includes(offer.default)
    assert two.includes(offer.resolve({"tracks": ["no_drums"]}))
    with pytest.raises(SettingError, match="there is no track 'no_guitar'"):
        offer.resolve({"tracks": ["no_guitar"]})
    with pytest.raises(SettingError, match="Perhaps instrumental"):
        offer.resolve({"tracks": ["karaoke"]})
