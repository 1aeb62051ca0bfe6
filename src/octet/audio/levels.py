"""How loud a signal is that passes by in blocks: its mean, deviation, RMS and peak."""

from __future__ import annotations

import math

import numpy as np

FLOOR_DB = -200.0
"""What stands for silence: float32 cannot tell much below this from nothing."""


class Meter:
    """Measures RMS and peak of blocks of float32 samples of shape (channels, n)."""

    def __init__(self) -> None:
        self.energy = 0.0
        self.count = 0
        self.peak = 0.0

    def add(self, block: np.ndarray) -> None:
        """Takes the next block in."""
        if block.size:
            self.energy += energy_of(block)
            self.count += block.size
            self.peak = max(self.peak, float(block.max()), -float(block.min()))

    @property
    def rms_db(self) -> float:
        """Root mean square, in dB relative to full scale, at least -200."""
        return decibels(self.energy / self.count) if self.count else FLOOR_DB

    @property
    def peak_db(self) -> float:
        """Largest magnitude, in dB relative to full scale, at least -200."""
        return decibels(self.peak**2)


def energy_of(block: np.ndarray) -> float:
    """The sum of the squares of finite float32 samples, always a number."""
    flat = block.reshape(-1)
    # A block's float32 product is exact enough, and needs no copy. Samples from 1e16 times full
    # scale on are beyond its range.
    with np.errstate(over="ignore"):
        energy = float(np.dot(flat, flat))
    return energy if math.isfinite(energy) else float(np.square(flat, dtype=np.float64).sum())


def decibels(power: float) -> float:
    """10 log10 of a ratio of powers, not below -200, rounded to hundredths."""
    if power <= 0.0:
        return FLOOR_DB
    return round(max(10.0 * math.log10(power), FLOOR_DB), 2)


class Statistics:
    """Mean, deviation and peak of all blocks added so far.

    Mean and deviation are those of the mono mix, by which Demucs normalises. They are kept in
    float64 by the pairwise update of Chan, Golub and LeVeque (1979), which stays exact however
    long the song is.

    Attributes:
        samples: how many there were.
        mean: of (left + right) / 2.
        peak: largest absolute sample of any channel.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.mean = 0.0
        self.peak = 0.0
        self._squares = 0.0  # sum of squared distances from the mean

    def add(self, block: np.ndarray) -> None:
        """Takes a block in, float32 of shape (channels, n)."""
        count = block.shape[1]
        if count == 0:
            return
        # Divided first: the sum of absurd samples would be beyond float32.
        mono = (block / np.float32(block.shape[0])).sum(axis=0).astype(np.float64)
        mean = float(mono.mean())
        squares = float(np.square(mono - mean).sum())
        total = self.samples + count
        step = mean - self.mean
        self._squares += squares + step * step * self.samples * count / total
        self.mean += step * count / total
        self.samples = total
        self.peak = max(self.peak, float(block.max()), -float(block.min()))

    @property
    def deviation(self) -> float:
        """Standard deviation of the mono mix, with n - 1; 0 below two samples."""
        return math.sqrt(self._squares / (self.samples - 1)) if self.samples > 1 else 0.0
