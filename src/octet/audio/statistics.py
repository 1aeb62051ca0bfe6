"""Mean, deviation and peak of a song, taken block by block."""

from __future__ import annotations

import math

import numpy as np


class Statistics:
    """Figures of all blocks added so far.

    Mean and deviation are those of the mono mix, as Demucs normalises by them. They are
    gathered in float64 by the pairwise update of Chan, Golub and LeVeque (1979), which stays
    exact however long the song is.

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
        mono = block.mean(axis=0).astype(np.float64)
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
