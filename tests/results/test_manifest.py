"""Manifests: written, read again, and asked whether they are what somebody wants."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from octet.results.manifest import Manifest
from octet.results.recipe import Recipe
from tests.results.made import DEFAULT, manifest


def test_what_is_written_is_read_again() -> None:
    made = manifest()

    assert Manifest.from_json(made.to_json()) == made
    parts = json.loads(made.to_json())
    assert parts["version"] == 2
    assert parts["fingerprint"] == DEFAULT.fingerprint
    assert parts["settings"] == {**DEFAULT.to_dict(), "seed": None}
    assert "replaces" not in parts


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        (DEFAULT, True),
        (replace(DEFAULT, tracks=("vocals",)), True),
        (replace(DEFAULT, model="htdemucs"), False),
        (replace(DEFAULT, format="flac", bitrate=None), False),
        (replace(DEFAULT, bitrate=192), False),
        (replace(DEFAULT, bits=16), False),
        (replace(DEFAULT, overlap=0.5), False),
        (replace(DEFAULT, shifts=1), False),
        (replace(DEFAULT, tracks=("guitar",)), False),
    ],
)
def test_a_result_answers_its_own_recipe_alone(asked: Recipe, answers: bool) -> None:
    assert manifest().answers(asked) is answers


def test_what_becomes_of_damage_matters_to_damaged_songs_alone() -> None:
    skip, refuse = replace(DEFAULT, damaged="skip"), replace(DEFAULT, damaged="refuse")

    for made in (manifest(skip), manifest(refuse)):
        assert made.answers(skip)
        assert made.answers(refuse)
    silenced = manifest(skip, silenced=0.5)
    assert silenced.answers(skip)
    assert not silenced.answers(refuse)


def test_a_fallback_answers_nobody_and_says_why() -> None:
    made = manifest(reason="htdemucs failed (it broke); this was made by pocket")

    assert not made.answers(DEFAULT)
    assert made.is_of(DEFAULT)
    assert (made.outcome, made.rank) == ("fallback", 1)
    assert "it broke" in str(made.reason)


def test_a_result_whose_track_was_removed_answers_those_who_do_not_want_it() -> None:
    made = manifest().without("drums")

    assert "drums" not in made.tracks
    assert not made.answers(DEFAULT)
    assert made.answers(replace(DEFAULT, tracks=("vocals", "bass")))


def test_a_manifest_of_version_1_is_read() -> None:
    # given one as the first version wrote it: without a fingerprint, the model among the settings
    parts = json.loads(manifest().to_json())
    del parts["fingerprint"]
    parts |= {"version": 1}
    parts["settings"] = {
        "model": "pocket",
        "format": "mp3",
        "bits": None,
        "bitrate": 320,
        "overlap": None,
        "shifts": 0,
        "seed": None,
    }

    found = Manifest.from_json(json.dumps(parts))

    assert found is not None
    assert found.answers(DEFAULT)
    assert found.fingerprint == DEFAULT.fingerprint


def test_a_manifest_of_version_1_without_a_bit_rate_had_the_formats_own() -> None:
    parts = json.loads(manifest().to_json())
    parts["settings"] |= {"bitrate": None}

    found = Manifest.from_json(json.dumps(parts))

    assert found is not None
    assert found.answers(DEFAULT)


def _spoilt(**changes: Any) -> bytes:
    return json.dumps({**json.loads(manifest().to_json()), **changes}).encode()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"outcome": "complete"}',
        _spoilt(version=3),
        _spoilt(outcome="perfect"),
        _spoilt(tracks=[]),
        _spoilt(settings={"shifts": 0, "kazoo": 1, "tracks": 5}),
        _spoilt(null_db=float("nan")),
    ],
)
def test_what_is_no_manifest_is_none(document: bytes) -> None:
    assert Manifest.from_json(document) is None


def test_it_is_json_in_utf8_whatever_the_song_is_called() -> None:
    made = manifest(name="caf\udce9.wav", tags={"title": "stray \udcff byte, 日本"})

    parts = json.loads(made.to_json().encode("utf-8"))

    assert parts["song"]["name"] == "caf?.wav"
    assert parts["song"]["tags"]["title"] == "stray ? byte, 日本"


def test_a_figure_that_is_no_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        replace(manifest(), null_db=float("nan")).to_json()


def test_a_stem_file_answers_alone() -> None:
    # given a result whose one file holds all stems
    stem = Recipe("pocket", format="stem", bitrate=256)
    made = manifest(stem)
    # then it is whole with that, and its file has the ending that readers of media know
    assert (list(made.tracks), made.extension) == (["stem"], "mp4")
    assert made.answers(stem)
    assert not made.without("stem").answers(stem)
    assert not made.answers(DEFAULT)
