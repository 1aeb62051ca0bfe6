"""Muon: steps whose matrices are made orthogonal (Jordan et al. 2024, "Muon: An optimizer for
hidden layers in neural networks"), with Adam's step length (Liu et al. 2025, "Muon is Scalable
for LLM Training"). `torch.optim.Muon` takes plain matrices alone; most of this network's
are convolutions, or one matrix a band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the polynomial that moves singular values to about one, by Jordan."""

ITERATIONS = 5

LENGTH = 0.2
"""The root of the mean square of a step at a rate of 1; Adam's is about that, by Liu."""


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal.

    Args:
        parameters: matrices (rows, columns), convolutions, each taken as one matrix of as
            many rows as its first dimension, or stacks of matrices (count, rows, columns).
        lr: the rate, of Adam's size.
        weight_decay: decoupled, as AdamW's.
        momentum: of the gradients' average, looked ahead by a step (Nesterov).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # no closure here
        """One step along the gradients that the parameters hold."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None  # noqa: S101 (asked before)
        state = self.state[parameter]
        if not state:
            state["average"] = torch.zeros_like(parameter)
        average = state["average"].lerp_(gradient, 1 - group["momentum"])
        matrices = _as_matrices(torch.lerp(gradient, average, group["momentum"]))
        length = LENGTH * max(matrices.shape[-2:]) ** 0.5
        step = orthogonal(matrices).reshape(parameter.shape)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(step, alpha=-group["lr"] * length)


def orthogonal(matrices: Tensor) -> Tensor:
    """Each matrix with its singular values moved to about one (0.7 to 1.2).

    A Newton-Schulz iteration; a matrix of zeros stays one. It runs on the small square
    X X^T instead of X itself, which needs under half the work where X is wide.

    Args:
        matrices: (..., rows, columns).
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-12)
    a, b, c = COEFFICIENTS
    unit = torch.eye(x.shape[-2])
    gram, product = x @ x.mT, unit
    for _ in range(ITERATIONS):
        factor = a * unit + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    done: Tensor = product @ x
    return done.mT if tall else done


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon is for it: matrices, stacks of them and convolutions, not rows of numbers."""
    return parameter.dim() > 1 and min(_as_matrices(parameter).shape[-2:]) > 1


def _as_matrices(parameter: Tensor) -> Tensor:
    """Convolutions as one matrix, a row for each of their first dimension; others as they are."""
    return parameter.flatten(1) if parameter.dim() == 4 else parameter
