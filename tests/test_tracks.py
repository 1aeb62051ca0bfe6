"""The eight tracks and how they come from the stems."""

import numpy as np

from octet.tracks import STEMS, TRACKS, close_the_sum, mix_down


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


def test_the_sums():
    stems = estimates()
    tracks = mix_down(stems)
    assert np.allclose(tracks["instrumental"], stems["drums"] + stems["bass"] + stems["other"])
    assert np.allclose(tracks["full"], tracks["instrumental"] + tracks["acapella"])
    assert tracks["acapella"] is stems["vocals"]
