"""Validation during training: fixed excerpts of songs that are never trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from training.batches import Batch, stacked
from training.loss import errors
from training.mixer import example_length
from training.settings import STEMS
from training.spectra import spectra_of

if TYPE_CHECKING:
    from training.audiofile import Audio
    from training.settings import Spectrum


class Estimator(Protocol):
    """What is validated: `training.network.Pocket`."""

    def factors(self, power: torch.Tensor) -> torch.Tensor:
        """(b, 2, bins, t) to (b, 4, 2, bins, t); see `Pocket.factors`."""


def excerpts(stems: dict[str, Audio], spectrum: Spectrum, frames: int, most: int) -> list[Batch]:
    """Up to `most` excerpts of a song, evenly spread, as batches of four.

    The mix is scaled by the whole song's deviation, as the program does.
    """
    count = example_length(spectrum.n_fft, spectrum.hop, frames)
    parts = np.stack([stems[stem] for stem in STEMS])
    deviation = parts.sum(axis=0).mean(axis=0).std() + 1e-6
    room = max(parts.shape[2] - count, 0)
    starts = np.unique(np.linspace(0, room, most).astype(int))
    found = []
    for start in starts:
        piece = parts[:, :, start : start + count] / deviation
        piece = np.pad(piece, ((0, 0), (0, 0), (0, count - piece.shape[2])))
        found.append(spectra_of(piece, piece.sum(axis=0), spectrum))
    return [stacked(found[i : i + 4]) for i in range(0, len(found), 4)]


@torch.no_grad()
def ratios(network: Estimator, batches: list[Batch]) -> dict[str, float]:
    """The SDR of every stem over all excerpts together, in dB, in the spectrogram.

    A stem that is silent throughout is left out.
    """
    error = torch.zeros(len(STEMS), dtype=torch.float64)
    signal = torch.zeros(len(STEMS), dtype=torch.float64)
    for power, cross, energy in batches:
        found = errors(network.factors(power), power, cross, energy)
        error += found.double().sum(dim=(0, 2, 3, 4))
        signal += energy.double().sum(dim=(0, 2, 3, 4))
    return {
        stem: round(float(10 * torch.log10(signal[i] / error[i])), 2)
        for i, stem in enumerate(STEMS)
        if signal[i] > 1e-3
    }
