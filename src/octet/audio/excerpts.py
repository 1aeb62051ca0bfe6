"""What a lossy encoder left of the sound: excerpts are kept, and found again in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octet.audio.decode import decode
from octet.audio.levels import decibels, energy_of

if TYPE_CHECKING:
    from pathlib import Path

_LENGTH = 4096
"""Samples of an excerpt."""
_MOST = 64
"""Excerpts that are kept: 2 MiB, and of an hour about one a minute."""


class Excerpts:
    """Excerpts of a sound that passes by in blocks, evenly spread over it, however long it is."""

    def __init__(self) -> None:
        self._kept: dict[int, np.ndarray] = {}
        self._stride = _LENGTH
        self._position = 0

    def add(self, block: np.ndarray) -> None:
        """Takes a block in, float32 of shape (2, n)."""
        end = self._position + block.shape[1]
        while self._position < end:
            begin = self._position - self._position % _LENGTH
            count = min(begin + _LENGTH, end) - self._position
            if begin % self._stride == 0:
                kept = self._kept.setdefault(begin, np.zeros((2, 0), np.float32))
                start = block.shape[1] - (end - self._position)
                piece = block[:, start : start + count]
                self._kept[begin] = np.concatenate((kept, piece), axis=1)
            self._position += count
            if len(self._kept) > _MOST:
                self._stride *= 2
                self._kept = {at: one for at, one in self._kept.items() if at % self._stride == 0}

    def residual_db(self, path: Path) -> float:
        """Energy of (file minus excerpts) over that of the excerpts, in dB, not below -200.

        Args:
            path: a file that decodes to the same number of samples at the same rate.
        """
        error = energy = 0.0
        position = 0
        for block in decode(path):
            for begin, excerpt in self._kept.items():
                first = max(begin, position)
                last = min(begin + excerpt.shape[1], position + block.shape[1])
                if first < last:
                    ours = excerpt[:, first - begin : last - begin]
                    theirs = block[:, first - position : last - position]
                    error += energy_of(theirs - ours)
                    energy += energy_of(ours)
            position += block.shape[1]
        return decibels(error / energy) if energy else decibels(0.0)
