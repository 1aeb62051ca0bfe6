from __future__ import annotations

import numpy as np
import pytest
import torch

from training.loss import errors
from training.settings import RATE, Spectrum
from training.spectra import bins_of, deviation_of, remixed, spectra_of, transform

SPECTRUM = Spectrum()


@pytest.fixture(scope="module")
def example():
    rng = np.random.default_rng(0)
    stems = rng.normal(0, 0.5, (4, 2, 4096 + 5 * 1024)).astype(np.float32)
    return stems, stems.sum(axis=0)


def test_the_transform_is_torch_s(example):
    _, mix = example

    ours = transform(mix, SPECTRUM)

    theirs = torch.stft(
        torch.from_numpy(mix), 4096, 1024, window=torch.hann_window(4096), center=False,
        normalized=True, return_complex=True,
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs[:, :1536].transpose(1, 2).numpy(), atol=2e-5)


def test_the_sums_give_the_error_that_complex_bins_give(example):
    stems, mix = example
    spectra = spectra_of(stems, mix, SPECTRUM)
    factors = np.random.default_rng(1).uniform(0, 1, spectra.cross.shape).astype(np.float32)

    found = errors(
        *(torch.from_numpy(part)[None] for part in (factors, *spectra)),
    )[0].numpy()

    parts, whole = bins_of(stems, mix, SPECTRUM)
    spread = np.concatenate(
        [factors[:, :, :512], np.repeat(factors[:, :, 512:], 4, axis=2)], axis=2
    )
    exact = np.abs(parts - np.swapaxes(spread, 2, 3) * whole) ** 2
    np.testing.assert_allclose(found.sum(axis=2), exact.sum(axis=3), rtol=1e-3)


def test_the_deviation_is_read_from_the_bins():
    noise = np.random.default_rng(2).normal(0, 0.7, (1, 2, RATE)).astype(np.float32)
    slow = np.cumsum(noise, axis=2)
    slow = (slow - slow.mean()) / np.abs(slow).max()

    _, whole = bins_of(np.zeros_like(slow), slow[0], SPECTRUM)

    assert deviation_of(whole, SPECTRUM) == pytest.approx(slow[0].mean(axis=0).std(), rel=0.25)


def test_remixed_examples_are_mixes_of_the_stems_drawn(example):
    stems, mix = example
    drawn = np.stack([bins_of(stems * gain, mix * gain, SPECTRUM)[0] for gain in (1.0, 2.0)])

    found = remixed(drawn, np.random.default_rng(3), SPECTRUM)

    assert len(found) == 2
    for spectra in found:
        # The stems sum to the mix, so their cross terms sum to its power.
        np.testing.assert_allclose(spectra.cross.sum(axis=0), spectra.power, rtol=1e-3, atol=1e-3)
