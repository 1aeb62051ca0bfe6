from __future__ import annotations

import numpy as np
import pytest
import soxr

from octet.audio.resample import Resampler, resampled_length
from tests.audio.waves import sound

RATES = [(44100, 48000), (48000, 44100), (96000, 44100), (8000, 44100), (44100, 22050)]


def resampled(block: np.ndarray, rates: tuple[int, int], piece: int) -> np.ndarray:
    resampler = Resampler(*rates, channels=block.shape[0])
    pieces = [
        resampler.process(block[:, start : start + piece])
        for start in range(0, block.shape[1], piece)
    ]
    pieces.append(resampler.process(block[:, :0], last=True))
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("samples", [0, 1, 2, 575, 1152, 44100, 50021])
def test_the_length_is_the_exact_one(rates, samples):
    out = resampled(sound(samples), rates, 4096)

    assert out.shape == (2, resampled_length(samples, *rates))
    assert out.dtype == np.float32


@pytest.mark.parametrize("rates", RATES)
def test_a_tone_stays_where_it_is(rates):
    rate_in, rate_out = rates
    tone = np.sin(2 * np.pi * 500 * np.arange(rate_in) / rate_in)[None].astype(np.float32)

    out = resampled(tone, rates, 5000)

    expected = np.sin(2 * np.pi * 500 * np.arange(rate_out) / rate_out)
    middle = slice(rate_out // 10, -rate_out // 10)
    assert np.abs(out[0, middle] - expected[middle]).max() < 1e-5


def test_blocks_of_any_size_give_what_the_whole_gives():
    block = sound(30_000, channels=3)

    out = resampled(block, (44100, 48000), 777)

    expected = soxr.resample(block.T, 44100, 48000, quality="VHQ").T
    assert np.abs(out - expected[:, : out.shape[1]]).max() < 1e-6
