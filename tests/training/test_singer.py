from __future__ import annotations

import numpy as np
import pytest

from training.settings import RATE
from training.singer import HISSED, VOICED, VOWELS, Syllable, Voice, draw_syllable, sing
from training.synth import frequency


def pitch_of(audio):
    """The strongest period between 80 and 800 Hz, as a frequency."""
    spectrum = np.abs(np.fft.rfft(audio, 2 * len(audio))) ** 2
    correlation = np.fft.irfft(spectrum)
    low, high = RATE // 800, RATE // 80
    return RATE / (low + int(np.argmax(correlation[low:high])))


@pytest.mark.parametrize("pitch", [52, 64, 71])
def test_a_note_is_sung_at_its_pitch(pitch):
    steady = Voice(vibrato=0.0)

    audio = sing(steady, [Syllable(0.1, 1.0, pitch, 1.0, "la")], 1.3, np.random.default_rng(0))

    middle = audio[int(0.5 * RATE) : int(0.9 * RATE)]
    assert pitch_of(middle) == pytest.approx(frequency(pitch), rel=0.03)


def test_there_is_silence_before_and_after_the_note():
    audio = sing(Voice(), [Syllable(0.5, 0.4, 60, 1.0, "no")], 1.5, np.random.default_rng(0))

    loud = np.abs(audio).max()
    assert np.abs(audio[: int(0.4 * RATE)]).max() < 1e-3 * loud
    assert np.abs(audio[int(1.1 * RATE) :]).max() < 1e-3 * loud


def test_vowels_differ_by_their_formants():
    def centroid(vowel):
        audio = sing(Voice(), [Syllable(0, 0.8, 48, 1, vowel)], 0.8, np.random.default_rng(0))
        power = np.abs(np.fft.rfft(audio)) ** 2
        return float((power * np.arange(len(power))).sum() / power.sum())

    assert centroid("u") < centroid("o") < centroid("a")


def test_every_syllable_that_is_drawn_can_be_sung():
    rng = np.random.default_rng(2)
    syllables = {draw_syllable(rng) for _ in range(200)}

    for syllable in syllables:
        assert syllable[-1] in VOWELS
        assert len(syllable) == 1 or syllable[0] in {**VOICED, **HISSED}
