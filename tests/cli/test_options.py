"""Options that commands share: what they say about a recipe, and where they contradict."""

from __future__ import annotations

import inspect

import pytest

from octet.cli.options import (
    RecipeOptions,
    complete_models,
    complete_tracks,
    seconds,
    track_names,
    with_options,
)
from octet.cli.separate import separate
from octet.cli.submit import submit
from octet.errors import SettingError
from octet.results.recipe import FIELDS


def test_what_is_not_given_is_not_said():
    assert RecipeOptions().given() == {}


def test_every_field_of_a_recipe_can_be_said():
    said = RecipeOptions(
        model="a+b", audio_format="stem", tracks="vocals, bass", bits=24, bitrate=128,
        overlap=0.5, shifts=2, damaged="refuse",
    ).given()  # fmt: skip
    assert {*said} == {*FIELDS}
    assert said["tracks"] == ["vocals", "bass"]


@pytest.mark.parametrize(
    ("options", "means"),
    [
        ({"mp3": True}, {"format": "mp3"}),
        ({"flac": True, "int24": True}, {"format": "flac", "bits": 24}),
        ({"int24": True}, {"format": "wav", "bits": 24}),
        ({"float32": True}, {"format": "wav", "bits": 32}),
        ({"audio_format": "wav", "float32": True}, {"format": "wav", "bits": 32}),
        ({"two_stems": "drums"}, {"tracks": ["drums", "no_drums"]}),
    ],
)
def test_demucs_names_mean_octets(options, means):
    assert RecipeOptions(**options).given() == means


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mp3": True, "flac": True}, "one format is made at a time, not flac and mp3"),
        ({"audio_format": "ogg", "wav": True}, "not ogg and wav"),
        ({"int24": True, "float32": True}, "one number of bits"),
        ({"two_stems": "drums", "tracks": "bass"}, "--two-stems makes two tracks"),
        ({"tracks": " , "}, "--tracks names no track"),
    ],
)
def test_contradictions_are_said(options, says):
    with pytest.raises(SettingError, match=says):
        RecipeOptions(**options).given()


@pytest.mark.parametrize(
    ("text", "time"), [("90", 90), ("1:30", 90), ("1:02:03.5", 3723.5), (" 0:00.25", 0.25)]
)
def test_times_in_a_song(text, time):
    assert seconds("--start", text) == time


@pytest.mark.parametrize("text", ["", "1:", "-3", "1e3", "nan", "1:2:3:4", "9" * 40])
def test_what_is_no_time(text):
    with pytest.raises(SettingError, match="is no time"):
        seconds("--end", text)


def test_separate_and_submit_take_the_same_options_of_a_recipe():
    # given both commands, when their options are looked at
    both = [inspect.signature(command).parameters for command in (separate, submit)]
    for name in RecipeOptions.__dataclass_fields__:
        one, other = (parameters[name] for parameters in both)
        # then each of the recipe's is there, once defined
        assert one.annotation is other.annotation


def test_a_command_gets_the_recipe_that_was_said():
    calls = []

    @with_options
    def command(song: str, *, recipe: RecipeOptions, last: int = 3) -> None:
        calls.append((song, recipe, last))

    command(song="a", model="x")
    assert calls == [("a", RecipeOptions(model="x"), 3)]


def test_names_are_completed():
    assert "pocket" in complete_models("po")
    assert complete_tracks("vocals,in") == ["vocals,instrumental"]
    assert track_names("a,b , c") == ["a", "b", "c"]
