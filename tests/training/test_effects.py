from __future__ import annotations

import numpy as np
import pytest

from training import effects
from training.settings import RATE


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return effects.low_pass(rng.normal(0, 0.1, (2, RATE)).astype(np.float32), 6000, 4)


@pytest.mark.parametrize(
    "effect",
    [
        lambda x: effects.equalise(x, np.random.default_rng(1), 4.0),
        lambda x: effects.reverberate(x, np.random.default_rng(1), 0.5, 0.3),
        lambda x: effects.compress(x, 0.05, 4.0),
        lambda x: effects.soft_clip(x, 2.0),
        lambda x: effects.through_codec(x, "mp3", 128000),
        lambda x: effects.through_codec(x, "aac", 96000),
    ],
)
def test_effects_keep_shape_type_and_time(noise, effect):
    out = effect(noise)

    assert out.shape == noise.shape
    assert out.dtype == np.float32
    lags = np.fft.irfft(np.fft.rfft(out[0], 2 * RATE) * np.conj(np.fft.rfft(noise[0], 2 * RATE)))
    assert int(np.argmax(lags)) == 0, "what comes back is late or early"


def test_twice_the_speed_is_half_the_length_and_an_octave_higher():
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)[None]

    fast = effects.change_speed(tone, 2.0)

    assert fast.shape[1] == pytest.approx(RATE / 2, abs=2)
    peak = np.argmax(np.abs(np.fft.rfft(fast[0], RATE)))
    assert peak == pytest.approx(880, abs=2)


def test_the_compressor_leaves_what_is_soft_and_lowers_what_is_loud():
    soft = np.full((2, RATE), 0.01, np.float32)
    loud = np.full((2, RATE), 0.8, np.float32)

    np.testing.assert_allclose(effects.compress(soft, 0.1, 4.0), soft)
    assert effects.compress(loud, 0.1, 4.0)[0, RATE // 2] == pytest.approx(
        0.1 * 8 ** (1 / 4), rel=0.01
    )


def test_a_resonant_filter_has_its_peak_at_the_cutoff_and_leaves_what_is_below():
    click = np.zeros((1, RATE), np.float32)
    click[0, 0] = 1

    gains = np.abs(np.fft.rfft(effects.swept(click, np.full(RATE, 1000.0), 4.0)[0]))

    assert gains[1000] == pytest.approx(4.0, rel=0.02)
    assert gains[50] == pytest.approx(1.0, rel=0.02)
    assert gains[8000] < 0.02


def test_a_sweep_lets_through_what_lies_below_its_cutoff_now():
    tone = np.sin(2 * np.pi * 3000 * np.arange(RATE) / RATE).astype(np.float32)[None]

    out = effects.swept(tone, np.geomspace(200.0, 12000.0, RATE), 0.71)

    def level(part):
        return float(np.sqrt(np.square(part).mean()))

    assert level(out[0, : RATE // 4]) < 0.05
    assert level(out[0, -RATE // 8 :]) == pytest.approx(level(tone), rel=0.1)


def test_loudness_is_that_of_what_sounds():
    half = np.zeros((2, 2 * RATE), np.float32)
    half[:, :RATE] = 0.25

    assert effects.loudness(half) == pytest.approx(0.25, rel=0.05)
