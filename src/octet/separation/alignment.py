"""Stems back on the song's own time grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octet.audio.resample import Resampler

if TYPE_CHECKING:
    from collections.abc import Iterator


def align(
    blocks: Iterator[np.ndarray], rate: int, song_rate: int, samples: int
) -> Iterator[np.ndarray]:
    """Brings a model's blocks to the song's rate and exact length.

    Args:
        blocks: float32 of shape (sources, channels, n) at `rate`.
        rate: what the model works at, in Hz.
        song_rate: the song's own, in Hz.
        samples: the song's length at its own rate.

    Yields:
        Blocks of the same kind at `song_rate`, `samples` in all. Two conversions round the
        length twice: what is missing at the end (a sample at most) is silence.
    """
    position = 0
    shape: tuple[int, ...] = ()
    for block in blocks if rate == song_rate else _resampled(blocks, rate, song_rate):
        shape = block.shape
        part = block[..., : samples - position]
        if part.shape[-1]:
            yield part
        position += part.shape[-1]
    if position < samples and shape:
        yield np.zeros((*shape[:-1], samples - position), np.float32)


def _resampled(blocks: Iterator[np.ndarray], rate: int, song_rate: int) -> Iterator[np.ndarray]:
    resampler: Resampler | None = None
    sources = channels = 0
    for block in blocks:
        if resampler is None:
            sources, channels, _ = block.shape
            resampler = Resampler(rate, song_rate, channels=sources * channels)
        yield resampler.process(block.reshape(sources * channels, -1)).reshape(
            sources, channels, -1
        )
    if resampler is not None:
        silence = np.zeros((sources * channels, 0), np.float32)
        yield resampler.process(silence, last=True).reshape(sources, channels, -1)
