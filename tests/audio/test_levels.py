from __future__ import annotations

import numpy as np
import pytest

from octet.audio.levels import Meter, Statistics
from tests.audio.waves import sound


def figures(block: np.ndarray, piece: int) -> Statistics:
    taken = Statistics()
    for start in range(0, block.shape[1], piece):
        taken.add(block[:, start : start + piece])
    return taken


@pytest.mark.parametrize("absurd", [1e16, 1e30, -3.4e38])
def test_one_absurd_sample_leaves_all_figures_numbers(absurd):
    block = sound(5000)
    block[:, 2500] = absurd

    meter, taken = Meter(), figures(block, 1000)
    meter.add(block)

    assert meter.energy == pytest.approx(2 * absurd**2, rel=1e-6)
    assert meter.peak_db == pytest.approx(20 * np.log10(abs(absurd)), abs=0.1)
    assert meter.rms_db == pytest.approx(meter.peak_db - 10 * np.log10(5000), abs=0.1)
    assert taken.deviation == pytest.approx(abs(absurd) / np.sqrt(5000), rel=1e-3)
    assert np.isfinite([taken.mean, taken.peak]).all()


@pytest.mark.parametrize("piece", [1, 977, 100_000])
def test_blocks_give_the_figures_of_the_whole(piece):
    block = sound(5000) + np.float32(0.3)

    taken = figures(block, piece)

    mono = block.mean(axis=0).astype(np.float64)
    assert taken.samples == 5000
    assert taken.mean == pytest.approx(mono.mean(), rel=1e-12)
    assert taken.deviation == pytest.approx(mono.std(ddof=1), rel=1e-12)
    assert taken.peak == np.abs(block).max()


def test_the_figures_are_those_by_which_demucs_normalises():
    torch = pytest.importorskip("torch", reason="compares with PyTorch's arithmetic")
    block = sound(200_000)

    taken = figures(block, 4096)

    mono = torch.from_numpy(block).mean(0)
    assert taken.mean == pytest.approx(mono.mean().item(), abs=1e-7)
    assert taken.deviation == pytest.approx(mono.std().item(), rel=1e-5)


def test_a_small_sound_on_a_large_offset_keeps_its_deviation():
    block = np.tile(np.array([1000.0, 1000.5], np.float32), 50_000)[None].repeat(2, axis=0)

    taken = figures(block, 1000)

    assert taken.deviation == pytest.approx(0.25, rel=1e-4)


def test_one_sample_has_no_deviation():
    taken = figures(np.array([[-0.5], [0.25]], np.float32), 1)

    assert (taken.mean, taken.deviation, taken.peak) == (-0.125, 0.0, 0.5)
