from __future__ import annotations

import json

import numpy as np
import pytest

from training.evaluate import ORDER, Energies, MixInMemory, evaluate, evaluate_song, table
from training.settings import RATE, STEMS


class Shares:
    """A source that gives every stem a fixed share of the mix, in blocks."""

    sources = STEMS

    def __init__(self, **shares):
        self.shares = [shares.get(stem, 0.0) for stem in STEMS]

    def stems(self, song):
        for start in range(0, song.samples, 70_000):
            block = song.read(start, min(70_000, song.samples - start))
            yield np.stack([block * np.float32(share) for share in self.shares])


@pytest.fixture
def stems():
    """Three seconds in which the voice has a tenth of the band's amplitude."""
    rng = np.random.default_rng(0)
    tone = rng.normal(0, 0.1, (2, 3 * RATE)).astype(np.float32)
    silence = np.zeros_like(tone)
    return {"drums": tone, "vocals": 0.1 * tone, "bass": silence, "other": silence}


def test_ratios_of_a_separator_whose_errors_are_known(stems):
    scores = evaluate_song(Shares(drums=0.5, vocals=0.0), stems)

    # Of the mix, 1.1, the drums are 1.0 and the estimate 0.55.
    assert scores["song"]["drums"] == pytest.approx(-20 * np.log10(0.45), abs=0.01)
    assert scores["frames"]["drums"] == pytest.approx(-20 * np.log10(0.45), abs=0.01)
    assert scores["song"]["vocals"] == pytest.approx(0.0, abs=0.01)
    assert scores["mix_song"]["drums"] == pytest.approx(20, abs=0.01)
    assert scores["mix_song"]["vocals"] == pytest.approx(-20, abs=0.01)


def test_silent_references_have_no_figure(stems):
    scores = evaluate_song(Shares(drums=1.0), stems)

    assert set(scores["song"]) == {"drums", "vocals"}


def test_medians_are_over_the_seconds_that_sound():
    sums = Energies.of(3 * RATE)
    reference = np.full((2, 3 * RATE), 0.5, np.float32)
    reference[:, 2 * RATE :] = 1e-4
    estimate = reference * np.repeat([0.9, 0.5, 0.0], RATE).astype(np.float32)

    sums.add(0, reference, estimate, reference)

    expected = np.median([20, 20 * np.log10(2)])
    scores = sums.scores()
    assert scores is not None
    assert scores["frames"] == pytest.approx(expected, abs=0.01)


def test_the_mix_in_memory_is_read_like_a_recording():
    mix = MixInMemory(np.ones((2, 100), np.float32))

    assert mix.samples == 100
    np.testing.assert_array_equal(mix.read(-5, 10)[0], [0] * 5 + [1] * 5)
    np.testing.assert_array_equal(mix.read(95, 10)[0], [1] * 5 + [0] * 5)


def test_the_bundled_model_is_evaluated_as_the_program_separates(stems):
    report = evaluate({"tones": lambda: stems}, excerpt=(0.5, 2.0))

    assert report["model"] == "pocket"
    assert set(report["songs"]["tones"]["song"]) == {"drums", "vocals"}
    assert json.loads(json.dumps(report)) == report
    lines = table(report).splitlines()
    assert len(lines) == 5
    assert all(name in lines[0] for name in ORDER)
