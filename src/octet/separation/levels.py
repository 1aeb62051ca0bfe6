"""Levels of a signal that passes by in blocks."""

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
            flat = block.reshape(-1)
            # float64 by chunks would copy; a block's float32 dot product is exact enough,
            # the sum over blocks is kept in float64.
            self.energy += float(np.dot(flat, flat))
            self.count += flat.size
            self.peak = max(self.peak, float(flat.max()), -float(flat.min()))

    @property
    def rms_db(self) -> float:
        """Root mean square, in dB relative to full scale, at least -200."""
        return decibels(self.energy / self.count) if self.count else FLOOR_DB

    @property
    def peak_db(self) -> float:
        """Largest magnitude, in dB relative to full scale, at least -200."""
        return decibels(self.peak**2)


def decibels(power: float) -> float:
    """10 log10 of a ratio of powers, not below -200, rounded to hundredths."""
    if power <= 0.0:
        return FLOOR_DB
    return round(max(10.0 * math.log10(power), FLOOR_DB), 2)
