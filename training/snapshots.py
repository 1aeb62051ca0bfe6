"""The weights along a run, and their mean."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from training.network import Pocket


class Snapshots:
    """Weights of a network at some steps of its training, one file each.

    What is best on songs that the network does not know is often not the last, but earlier
    weights, or the mean of several (Izmailov et al. 2018, "Averaging Weights Leads to Wider
    Optima and Better Generalization").

    Args:
        folder: where they lie; made when the first is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def steps(self) -> list[int]:
        """The steps that there are, in order."""
        return sorted(int(path.stem) for path in self.folder.glob("*.pt"))

    def keep(self, step: int, network: Pocket) -> None:
        """Adds one, or replaces it; it appears whole, by rename."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "snapshot.part"
        torch.save(network.state_dict(), partial)
        partial.rename(self.folder / f"{step:06d}.pt")

    def mean(self, network: Pocket, first: int, last: int) -> Pocket:
        """A copy of the network with the mean of the weights from one step to another.

        Args:
            network: of the snapshots' shape; its own weights do not count.
            first: the first step that counts.
            last: the last one.

        Raises:
            ValueError: there is no snapshot between them.
        """
        steps = [step for step in self.steps() if first <= step <= last]
        if not steps:
            raise ValueError(f"no snapshot between steps {first} and {last} in {self.folder}")
        total = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
        for step in steps:
            weights = torch.load(self.folder / f"{step:06d}.pt", weights_only=True)
            for name, value in total.items():
                value.add_(weights[name] / len(steps))
        copied = copy.deepcopy(network)
        copied.load_state_dict(total)
        return copied
