"""The training loop: resumable, logged as JSON lines."""

from __future__ import annotations

import copy
import json
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from training.batches import Batch, loader
from training.loss import separation_loss
from training.muon import Muon, is_matrix
from training.network import Pocket
from training.snapshots import Snapshots
from training.validate import ratios

if TYPE_CHECKING:
    from pathlib import Path

    from training.settings import Recipe, Training


class Run:
    """One training run in a folder: `checkpoint.pt`, `log.jsonl`, `snapshots`.

    Args:
        recipe: all settings.
        folder: where the run lives; an existing checkpoint is taken up.
        start: a network whose weights a run without a checkpoint begins with, in place of
            random ones.
    """

    def __init__(self, recipe: Recipe, folder: Path, start: Pocket | None = None) -> None:
        self.recipe = recipe
        self.folder = folder
        torch.manual_seed(recipe.training.seed)
        self.network = Pocket(recipe.spectrum, recipe.network)
        if start is not None:
            self.network.load_state_dict(start.state_dict())
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimisers = optimisers(self.network, recipe.training)
        self.step = 0
        self.seconds = 0.0
        self.snapshots = Snapshots(folder / "snapshots")
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._resume()

    @property
    def checkpoint(self) -> Path:
        """The file that holds all that a later run needs."""
        return self.folder / "checkpoint.pt"

    def train(self, pool: Path, sets: dict[str, list[Batch]], *, workers: int = 1) -> None:
        """Trains up to the last step.

        Args:
            pool: the folder of clips.
            sets: what to validate on, by name.
            workers: processes that make batches; 0 makes them here.
        """
        settings = self.recipe.training
        torch.set_num_threads(settings.threads)
        torch.set_flush_denormal(True)
        start = time.monotonic() - self.seconds
        for batch in loader(self.recipe, pool, self.step, workers=workers):
            loss, found = self._learn(batch)
            self.seconds = time.monotonic() - start
            self.log(loss=round(loss, 5), stems=[round(v, 2) for v in found.tolist()])
            if self.step % settings.validate_every == 0 or self.step == settings.steps:
                results = {name: ratios(self.average, batches) for name, batches in sets.items()}
                self.log(validation=results)
            if self.step % settings.snapshot_every == 0 or self.step == settings.steps:
                self.snapshots.keep(self.step, self.average)
            if self.step % settings.checkpoint_every == 0 or self.step == settings.steps:
                self.save()

    def result(self, first: int | None = None, last: int | None = None) -> Pocket:
        """The mean of the weights from one step to another; unless given, those where it is now.

        Raises:
            ValueError: no weights were kept between them.
        """
        if first is None or last is None:
            return self.average
        return self.snapshots.mean(self.average, first, last)

    def log(self, **values: Any) -> None:
        """Adds a line to the log."""
        line = {"step": self.step, "seconds": round(self.seconds, 1), **values}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Writes the checkpoint; it appears whole, by rename."""
        partial = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "step": self.step,
                "seconds": self.seconds,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "random": torch.get_rng_state(),
            },
            partial,
        )
        partial.rename(self.checkpoint)

    def _learn(self, batch: Batch) -> tuple[float, torch.Tensor]:
        settings = self.recipe.training
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            factors = self.network.factors(batch[0])
        loss, found = separation_loss(factors.float(), *batch, settings.amplitude_weight)
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = settings.rate * schedule(self.step, settings)
            optimiser.step()
        self.step += 1
        keep = min(settings.average, self.step / (self.step + 10))
        with torch.no_grad():
            theirs = self.network.state_dict()
            for name, ours in self.average.state_dict().items():
                if ours.is_floating_point():
                    ours.lerp_(theirs[name], 1 - keep)
        return float(loss.detach()), found

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, theirs in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(theirs)
        torch.set_rng_state(state["random"])


def optimisers(network: nn.Module, settings: Training) -> list[torch.optim.Optimizer]:
    """Muon for the matrices and convolutions, AdamW for biases and norms."""
    matrices = [p for p in network.parameters() if is_matrix(p)]
    others = [p for p in network.parameters() if not is_matrix(p)]
    return [
        Muon(matrices, lr=settings.rate, weight_decay=settings.weight_decay),
        torch.optim.AdamW(others, lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def schedule(step: int, settings: Training) -> float:
    """The share of the full learning rate: up over `warmup`, level, down over `decay`."""
    left = (settings.steps - step) / max(settings.decay * settings.steps, 1.0)
    return float(max(0.0, min((step + 1) / settings.warmup, 1.0, left)))
