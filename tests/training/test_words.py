from __future__ import annotations

import numpy as np

from training import effects
from training.composer import Note
from training.settings import RATE
from training.words import brightened, groups, nonsense


def note(start, length=0.5):
    return Note(start, length, 60, 1.0)


def test_a_rest_begins_a_new_breath():
    found = groups([note(0), note(0.5), note(1.4)])

    assert [len(group) for group in found] == [2, 1]


def test_a_breath_lasts_six_seconds_at_most():
    found = groups([note(0.5 * i) for i in range(20)])

    assert all(group[-1].start - group[0].start <= 6 for group in found)
    assert sum(len(group) for group in found) == 20


def test_no_notes_no_breath():
    assert groups([]) == []


def test_nonsense_is_as_long_as_asked_and_seldom_the_same_twice():
    rng = np.random.default_rng(3)

    lines = {nonsense(rng, words=6) for _ in range(20)}

    assert len(lines) == 20
    assert all(len(line.split()) == 6 and line.replace(" ", "").isalpha() for line in lines)


def test_a_voice_without_treble_is_given_some():
    rng = np.random.default_rng(3)
    voice = effects.low_pass(rng.normal(0, 0.1, (1, RATE)).astype(np.float32), 7000, 8)[0]

    def treble(sound):
        return effects.loudness(effects.high_pass(sound[None], 11000, 8))

    assert treble(brightened(voice, rng)) > 5 * treble(voice)
    assert abs(brightened(voice, rng) - voice).max() < abs(voice).max()
