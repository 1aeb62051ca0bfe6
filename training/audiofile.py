"""Files to blocks of samples, for training: whole files, at one rate, in stereo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
import numpy.typing as npt

from training.settings import RATE

if TYPE_CHECKING:
    from pathlib import Path

Audio = npt.NDArray[np.float32]
"""Samples, of shape (channels, samples), full scale ±1."""


def single(values: Any) -> Audio:
    """Numbers as float32, copied only where they are not."""
    return np.asarray(values, dtype=np.float32)


def read_audio(path: Path, *, stream: int = 0, rate: int = RATE) -> Audio:
    """Decodes one audio stream of a file.

    Args:
        path: any file that FFmpeg reads.
        stream: which of the file's audio streams.
        rate: the rate to bring it to.

    Returns:
        float32 of shape (2, samples), full scale ±1; mono is doubled.
    """
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
    blocks = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[stream]):
            blocks += [block.to_ndarray() for block in resampler.resample(frame)]
        blocks += [block.to_ndarray() for block in resampler.resample(None)]
    return np.concatenate(blocks, axis=1).astype(np.float32, copy=False)


def to_int16(audio: Audio) -> npt.NDArray[np.int16]:
    """Samples as 16-bit integers, scaled down first where they would clip."""
    peak = float(np.abs(audio).max(initial=0.0))
    return np.round(audio * (32767.0 / max(peak, 1.0))).astype(np.int16)
