from __future__ import annotations

import numpy as np
import pytest

from training import effects, pedals
from training.settings import RATE

BEAT = 0.5


@pytest.fixture
def chord():
    time = np.arange(4 * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277, 330)) * 0.1
    return np.stack([tones, 0.7 * tones]).astype(np.float32)


def with_beat(pedal):
    return lambda audio, rng: pedal(audio, rng, BEAT)


PEDALS = [
    pedals.chorus,
    *map(with_beat, (pedals.tremolo, pedals.filter_sweep, pedals.pump, pedals.grains)),
    with_beat(pedals.board),
    with_beat(pedals.behind_voice),
]


@pytest.mark.parametrize("pedal", PEDALS)
def test_a_pedal_keeps_shape_type_and_silence(chord, pedal):
    for seed in range(4):
        out = pedal(chord, np.random.default_rng(seed))

        assert out.shape == chord.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert 0.02 < effects.loudness(out) / effects.loudness(chord) < 20
        assert not pedal(np.zeros_like(chord), np.random.default_rng(seed)).any()


@pytest.mark.parametrize("pedal", PEDALS)
def test_the_same_state_gives_the_same_sound(chord, pedal):
    one, other = (pedal(chord, np.random.default_rng(9)) for _ in "12")

    np.testing.assert_array_equal(one, other)


def test_a_chorus_differs_from_channel_to_channel(chord):
    out = pedals.chorus(chord, np.random.default_rng(2))

    assert np.abs(chord[0] * 0.7 - chord[1]).max() < 1e-6
    assert np.abs(out[0] * 0.7 - out[1]).max() > 0.01


def test_pumping_is_softest_on_the_beat(chord):
    out = pedals.pump(chord, np.random.default_rng(2), BEAT)
    step = int(BEAT * RATE)

    for beat in range(1, 7):
        on = effects.loudness(out[:, beat * step : beat * step + 1000])
        off = effects.loudness(out[:, (beat + 1) * step - 4000 : (beat + 1) * step])
        assert on < 0.75 * off


def test_a_clip_too_short_for_grains_stays_as_it_is():
    short = np.ones((2, 100), np.float32)

    np.testing.assert_array_equal(pedals.grains(short, np.random.default_rng(1), BEAT), short)
