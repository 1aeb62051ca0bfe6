"""Batches of examples, made by a process beside the one that trains.

Batches come in groups: the later ones mix the stems of the first anew, which costs little.
Batch n depends on the seed, on n and on the pool alone, so a run that is taken up again sees
what it would have seen.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from training.mixer import Mixer, example_length
from training.pool import Pool
from training.spectra import Spectra, bins_of, remixed, sums_of

if TYPE_CHECKING:
    from pathlib import Path

    from training.settings import Recipe

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Power, cross and energy as in Spectra, with a leading batch dimension."""


class Batches(Dataset[Batch]):
    """Batch n of the run; the pool is listed anew now and then, as it may still grow."""

    def __init__(self, recipe: Recipe, pool: Path, *, first: int = 0) -> None:
        self.recipe = recipe
        self.folder = pool
        self.first = first
        self.mixer: Mixer | None = None
        self.group = -1
        self.drawn = np.zeros(0, np.complex64)

    def __len__(self) -> int:
        return self.recipe.training.steps - self.first

    def __getitem__(self, index: int) -> Batch:
        training = self.recipe.training
        group, again = divmod(self.first + index, training.mixes)
        examples = self._draw(group) if group != self.group else []
        if again:
            rng = np.random.default_rng([training.seed, group, again])
            examples = remixed(self.drawn, rng, self.recipe.spectrum)
        return stacked(examples)

    def _draw(self, group: int) -> list[Spectra]:
        """Draws the stems of a group of batches, and makes the first one."""
        training, spectrum = self.recipe.training, self.recipe.spectrum
        if self.mixer is None or group % 25 == 0:
            count = example_length(spectrum.n_fft, spectrum.hop, training.frames)
            self.mixer = Mixer(Pool.listed(self.folder), self.recipe.mixing, count)
        found = []
        for item in range(training.batch):
            rng = np.random.default_rng([training.seed, group, item])
            found.append(bins_of(*self.mixer.example(rng), spectrum))
        self.group, self.drawn = group, np.stack([parts for parts, _ in found])
        return [sums_of(parts, whole, spectrum) for parts, whole in found]


def stacked(examples: list[Spectra]) -> Batch:
    """Examples as one batch of tensors."""
    power, cross, energy = (
        torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True)
    )
    return power, cross, energy


def loader(recipe: Recipe, pool: Path, first: int, *, workers: int = 1) -> DataLoader[Batch]:
    """The batches from step `first` on, in order, made by one patient process."""
    return DataLoader(
        Batches(recipe, pool, first=first),
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        prefetch_factor=6 if workers else None,
        worker_init_fn=_be_patient if workers else None,
    )


def _be_patient(_: int) -> None:
    os.nice(5)
    torch.set_num_threads(1)
