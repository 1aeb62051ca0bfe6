"""The eight tracks and how they come from the stems."""

import os
from pathlib import Path

import numpy as np
import pytest

from octet.formats import FORMATS
from octet.tracks import (
    IN_STEM_FILE,
    STEM_FILE,
    STEMS,
    TRACKS,
    close_the_sum,
    download_name,
    file_name,
    mix_down,
    on_request,
    song_name,
    tracks_of,
    unknown_track,
)


def estimates(seed: int = 1, shape: tuple[int, int] = (2, 1000)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = ("drums", "bass", "other", "vocals")
    return {name: rng.standard_normal(shape).astype(np.float32) * 0.2 for name in names}


def test_there_are_eight_tracks_of_the_contract():
    assert set(TRACKS) == {
        *("vocals", "drums", "bass", "other"),
        *("original", "full", "instrumental", "acapella"),
    }
    assert TRACKS[:4] == STEMS


def test_the_stems_sum_to_the_mix_whatever_the_model_says():
    # given a mix, and estimates that have nothing to do with it
    mix = np.random.default_rng(2).standard_normal((2, 1000)).astype(np.float32)
    # when the sum is closed
    stems = close_the_sum(mix, estimates())
    # then the four stems give the mix, to the precision of float32
    total = sum(stems[name] for name in STEMS)
    assert np.max(np.abs(total - mix)) < 1e-6
    # and the model's own vocals, drums and bass are untouched
    for name in ("vocals", "drums", "bass"):
        assert np.array_equal(stems[name], estimates()[name])


def test_further_sources_stay_part_of_other():
    # given a model that also estimates a guitar
    mix = np.ones((2, 10), np.float32)
    with_guitar = {**estimates(shape=(2, 10)), "guitar": np.full((2, 10), 0.5, np.float32)}
    # when the sum is closed, then the guitar is handed on, and other is as it is without it
    stems = close_the_sum(mix, with_guitar)
    del with_guitar["guitar"]
    assert np.array_equal(stems["other"], close_the_sum(mix, with_guitar)["other"])
    assert stems["guitar"][0, 0] == 0.5


def test_further_sources_and_the_rest_sum_to_the_mix():
    # given a model of six stems, whose estimates have nothing to do with the mix
    mix = np.random.default_rng(2).standard_normal((2, 1000)).astype(np.float32)
    six = {**estimates(), "guitar": estimates(4)["bass"], "piano": estimates(5)["bass"]}
    # when the sum is closed, then these and the rest give the mix
    stems = close_the_sum(mix, six)
    names = ("vocals", "drums", "bass", "guitar", "piano", "rest")
    assert np.max(np.abs(sum(stems[name] for name in names) - mix)) < 1e-5
    # and so there is one more track; a model of four stems has none
    assert tracks_of(six) == (*TRACKS, "guitar", "piano", "rest")
    assert tracks_of(estimates()) == TRACKS
    assert "rest" not in close_the_sum(mix, estimates())


def test_the_sums():
    stems = estimates()
    tracks = mix_down(stems)
    assert np.allclose(tracks["instrumental"], stems["drums"] + stems["bass"] + stems["other"])
    assert np.allclose(tracks["full"], tracks["instrumental"] + tracks["acapella"])
    assert tracks["acapella"] is stems["vocals"]


def test_a_songs_name_is_text():
    assert song_name(Path("in") / "Größe 練習.mp3") == "Größe 練習.mp3"
    assert song_name(Path(os.fsdecode(b"caf\xe9.mp3"))) == "caf\N{REPLACEMENT CHARACTER}.mp3"


def test_a_stem_file_has_the_songs_name_and_a_double_ending():
    assert file_name("vocals", "mp3", "Lied") == "vocals.mp3"
    assert download_name("vocals", "mp3", "Lied") == "Lied-vocals.mp3"
    assert file_name("stem", "mp4", "Lied") == download_name("stem", "mp4", "Lied")
    assert file_name("stem", "mp4", "Lied") == "Lied.stem.mp4"
    # and it is the track of the one format that holds several sounds
    assert [one.name for one in FORMATS.values() if one.streams > 1] == [STEM_FILE]
    assert FORMATS[STEM_FILE].streams == len(IN_STEM_FILE)
    assert {*IN_STEM_FILE} == {*STEMS, "original"}


def test_the_song_without_a_stem_is_there_on_request():
    six = tracks_of(("drums", "bass", "other", "vocals", "guitar"))
    without = ("no_vocals", "no_drums", "no_bass", "no_other")
    assert on_request(TRACKS) == without
    assert on_request(six) == (*without, "no_guitar")
    assert on_request((STEM_FILE,)) == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("karaoke", "instrumental"),
        ("Vocals", "vocals"),
        ("vocal", "vocals"),
        ("a cappella", "acapella"),
        ("drumms", "drums"),
        ("no_vocal", "instrumental"),
        ("no_drum", "no_drums"),
    ],
)
def test_a_near_miss_gets_a_hint(name, meant):
    assert unknown_track(name, TRACKS).hint.startswith(f"Perhaps {meant}: there are vocals, drums")


def test_what_is_far_off_gets_none():
    assert unknown_track("banjo", TRACKS).hint.startswith("There are vocals")
    assert unknown_track("karaoke", (STEM_FILE,)).hint == "There are stem"
