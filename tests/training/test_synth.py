from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.settings import RATE
from training.synth import Patch, draw_kit, draw_patch, frequency, play, saw, strike


def test_concert_pitch():
    assert frequency(69) == pytest.approx(440)
    assert frequency(57) == pytest.approx(220)


def test_the_sawtooth_hardly_aliases():
    hertz = 3001.0
    step = hertz / RATE

    spectrum = np.abs(
        np.fft.rfft(saw(np.arange(RATE, dtype=np.float64) * step, step) * np.hanning(RATE))
    )

    wanted = np.zeros(len(spectrum), bool)
    for harmonic in range(1, 8):
        wanted[int(harmonic * hertz) - 4 : int(harmonic * hertz) + 5] = True
    assert spectrum[~wanted].max() < 0.05 * spectrum.max(), "a plain sawtooth has 0.12"


@pytest.mark.parametrize("wave", ["saw", "square", "pulse", "ring", "fm", "sine", "pluck"])
@pytest.mark.parametrize("pitch", [33, 57, 76])
def test_every_wave_sounds_at_its_pitch(wave, pitch):
    patch = Patch(wave, 1, 0, 4, 0, 0.005, 0.5, 0.8, 0.05, 1.0, 1, 0, 0)

    tone = play(patch, pitch, 1.0, 1.0, np.random.default_rng(1))

    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 4 * RATE))
    near = int(frequency(pitch) * 4)
    assert spectrum[int(near * 0.97) : int(near * 1.03) + 2].max() > 0.1 * spectrum.max()


def test_a_glide_begins_at_the_pitch_before():
    patch = Patch("sine", 1, 0, 8, 0, 0.005, 0.5, 0.9, 0.05, 1.0, 1, 0, 0, glide=0.2)

    tone = play(patch, 69, 1.5, 1.0, np.random.default_rng(1), before=57)

    def loudest(part):
        return np.argmax(np.abs(np.fft.rfft(part * np.hanning(len(part)), RATE)))

    assert loudest(tone[: RATE // 20]) < 300, "it begins at 220 Hz"
    assert loudest(tone[RATE : RATE * 3 // 2]) == pytest.approx(440, abs=5)


def test_a_struck_bass_falls_to_its_pitch():
    patch = Patch("sine", 1, 0, 8, 0, 0.001, 0.5, 0.9, 0.05, 1.0, 1, 0, 0, punch=24)

    tone = play(patch, 57, 1.0, 1.0, np.random.default_rng(1))

    crossings = np.flatnonzero(np.diff(np.signbit(tone[: RATE // 2])))
    assert crossings[1] - crossings[0] < RATE / 220 / 3, "it begins well above"
    assert crossings[-1] - crossings[-3] == pytest.approx(RATE / 220, abs=2)


def test_a_sub_oscillator_sounds_an_octave_below():
    plain = Patch("saw", 1, 0, 4, 0, 0.005, 0.5, 0.8, 0.05, 1.0, 1, 0, 0)

    def below(patch):
        tone = play(patch, 57, 1.0, 1.0, np.random.default_rng(1))
        spectrum = np.abs(np.fft.rfft(tone[:RATE] * np.hanning(RATE)))
        return spectrum[105:116].max() / spectrum.max()

    assert below(plain) < 0.01
    assert below(replace(plain, sub=0.8)) > 0.3


def test_every_other_struck_bass_stays_as_loud_as_it_began():
    rng = np.random.default_rng(3)

    sustained = [draw_patch(rng, "boom").sustain for _ in range(40)]

    assert 10 < sum(level >= 0.6 for level in sustained) < 30
    assert min(sustained) < 0.4


@pytest.mark.parametrize("role", ["bass", "boom", "pad", "lead", "chords", "arpeggio"])
def test_drawn_patches_stay_finite_and_end_in_silence(role):
    rng = np.random.default_rng(4)
    for _ in range(5):
        tone = play(draw_patch(rng, role), 50, 0.4, 0.8, rng)

        assert np.isfinite(tone).all()
        assert 0.01 < np.abs(tone).max() < 8
        assert abs(float(tone[-1])) < 1e-3


@pytest.mark.parametrize("piece", ["kick", "snare", "hat", "tom", "crash", "ride", "clap", "rim"])
def test_a_harder_stroke_is_louder(piece):
    kit = draw_kit(np.random.default_rng(6))

    soft, hard = (strike(kit, piece, v, np.random.default_rng(7)) for v in (0.3, 0.9))

    assert np.square(hard).sum() > 2 * np.square(soft).sum() > 0
