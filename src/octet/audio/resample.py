"""Sample rates: from one to another as a stream, aligned and of exact length."""

from __future__ import annotations

import numpy as np
import soxr

QUALITY = "VHQ"
"""28 bits of precision: conversion stays far below what 24-bit files can hold."""


class Resampler:
    """Converts blocks from one rate to another through soxr.

    The output begins where the input begins, and is `resampled_length` samples long in all.

    Args:
        rate_in: samples a second of the input.
        rate_out: samples a second of the output.
        channels: of both.
    """

    def __init__(self, rate_in: int, rate_out: int, channels: int = 2) -> None:
        self._rates = (rate_in, rate_out)
        self._channels = channels
        self._taken = self._given = 0
        self._stream = soxr.ResampleStream(
            rate_in, rate_out, channels, dtype="float32", quality=QUALITY
        )

    def process(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """Takes a block in, and gives what is ready.

        Args:
            block: float32 of shape (channels, n), n may be 0.
            last: whether no other block follows; then all that is left comes out.

        Returns:
            float32 of shape (channels, m), m may be 0.
        """
        self._taken += block.shape[1]
        frames = np.ascontiguousarray(block.T, dtype=np.float32)
        ready = self._stream.resample_chunk(frames, last=last).reshape(-1, self._channels)
        if last:
            ready = self._fitted(ready, resampled_length(self._taken, *self._rates) - self._given)
        self._given += ready.shape[0]
        return np.ascontiguousarray(ready.T)

    @staticmethod
    def _fitted(ready: np.ndarray, count: int) -> np.ndarray:
        # soxr rounds the length its own way: a sample more, or one less, than ours.
        missing = count - ready.shape[0]
        return np.pad(ready, ((0, missing), (0, 0))) if missing > 0 else ready[:count]


def resampled_length(samples: int, rate_in: int, rate_out: int) -> int:
    """Length of `samples` at another rate: samples * rate_out / rate_in, halves rounded up."""
    return (2 * samples * rate_out + rate_in) // (2 * rate_in)
