"""Means, deviations and norms whose error does not grow with the length.

OpenVINO adds up millions of numbers one after the other: over 44 s of music, the deviation
of a spectrum is off by 3e-4, and a group norm by 3e-5, in float32. Here sums are taken in
two steps, rows of 2048 and then over rows, which stays below 1e-6.

Importing this needs PyTorch and onnxscript.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from onnxscript import opset18
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Typed as unknown: onnxscript describes its operators for graphs, not for their Python types.
op: Any = opset18

ROW = 2048

_GROUP_NORM = "(Tensor x, Tensor weight, Tensor bias, int groups, float eps) -> Tensor"


@torch.library.custom_op("octet::group_norm", mutates_args=(), schema=_GROUP_NORM)
def _group_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float
) -> torch.Tensor:
    """Stands for a group norm in exported graphs."""
    return torch.group_norm(x, groups, weight, bias, eps)


@_group_norm.register_fake
def _(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float
) -> torch.Tensor:
    return torch.empty_like(x)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For `torch.onnx.export(custom_translation_table=...)`."""
    return {
        torch.ops.octet.group_norm.default: _onnx_group_norm,
        torch.ops.aten.mean.dim: _onnx_mean,
        torch.ops.aten.std.correction: _onnx_std,
    }


@contextlib.contextmanager
def exact_norms() -> Iterator[None]:
    """While the context lasts, group norms are traced as the operator here."""
    before = functional.group_norm

    def group_norm(
        x: torch.Tensor,
        groups: int,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        if weight is None or bias is None:
            return before(x, groups, weight, bias, eps)
        result: torch.Tensor = torch.ops.octet.group_norm(x, weight, bias, groups, eps)
        return result

    functional.group_norm = group_norm  # type: ignore[assignment]  # its names differ
    try:
        yield
    finally:
        functional.group_norm = before


def ints(*values: int) -> Any:
    """A list of integers in the graph."""
    return op.Constant(value_ints=list(values))


def _sum(x: Any, axis: int, length: Any = None) -> Any:
    """The sum over the last axis, `axis`, which stays with the size 1.

    Args:
        x: in the graph.
        axis: the last.
        length: its size, where it is known; a divisor of it then saves padding.
    """
    row = _divisor(length) if isinstance(length, int) else 0
    if not row:
        row = ROW
        lack = op.Mod(op.Neg(_length(x, axis)), ints(ROW))
        x = op.Pad(x, op.Concat(ints(*[0] * (2 * axis + 1)), lack, axis=0))
    rows = op.Reshape(x, ints(*[0] * axis, -1, row))
    # Without the reshape in between, OpenVINO would make one sum of the two again.
    sums = op.Reshape(op.ReduceSum(rows, ints(axis + 1), keepdims=1), ints(*[0] * axis, -1))
    return op.ReduceSum(sums, ints(axis), keepdims=1)


def _divisor(length: int) -> int:
    """A length of rows that leaves nothing over, near ROW; 0 if there is none."""
    near = range(2 * ROW, ROW // 8, -1)
    return next((row for row in near if length % row == 0), 0)


def _length(x: Any, axis: int) -> Any:
    return op.Slice(op.Shape(x), ints(axis), ints(axis + 1))


def _count(x: Any, axis: int) -> Any:
    return op.Cast(_length(x, axis), to=1)


def _size(x: Any, axis: int) -> Any:
    """How many numbers lie behind the first `axis` axes; None where that is not known."""
    sizes = list(x.shape)[axis:]
    return math.prod(sizes) if all(isinstance(size, int) for size in sizes) else None


def _first_of_tail(rank: int, dim: Any) -> int:
    """The axis from which on all are reduced; 0 when it is not that kind of reduction."""
    axes = sorted(axis % rank for axis in dim or [])
    return axes[0] if axes and axes == list(range(axes[0], rank)) else 0


def _onnx_mean(x: Any, dim: Any = None, keepdim: bool = False, dtype: int = -1) -> Any:
    rank = len(x.shape)
    axis = _first_of_tail(rank, dim)
    if not axis or not keepdim:
        return op.ReduceMean(x, ints(*(dim or range(rank))), keepdims=int(keepdim))
    flat = op.Reshape(x, ints(*[0] * axis, -1))
    mean = op.Div(_sum(flat, axis, _size(x, axis)), _count(flat, axis))
    return op.Reshape(mean, ints(*[0] * axis, *[1] * (rank - axis)))


def _onnx_std(x: Any, dim: Any = None, correction: Any = None, keepdim: bool = False) -> Any:
    rank = len(x.shape)
    axis = _first_of_tail(rank, dim)
    if not axis or not keepdim:
        raise NotImplementedError("Demucs takes deviations over whole inputs only")
    flat = op.Reshape(x, ints(*[0] * axis, -1))
    count, size = _count(flat, axis), _size(x, axis)
    apart = op.Sub(flat, op.Div(_sum(flat, axis, size), count))
    lost = op.Constant(value_float=float(1 if correction is None else correction))
    variance = op.Div(_sum(op.Mul(apart, apart), axis, size), op.Sub(count, lost))
    return op.Reshape(op.Sqrt(variance), ints(*[0] * axis, *[1] * (rank - axis)))


def _onnx_group_norm(x: Any, weight: Any, bias: Any, groups: int, eps: float) -> Any:
    flat = op.Reshape(x, ints(0, groups, -1))
    count, size = _count(flat, 2), _size(x, 1)
    size = size // groups if size else None
    apart = op.Sub(flat, op.Div(_sum(flat, 2, size), count))
    variance = op.Div(_sum(op.Mul(apart, apart), 2, size), count)
    deviation = op.Sqrt(op.Add(variance, op.Constant(value_float=eps)))
    # One small division, as dividing the large tensor takes longer than multiplying it.
    normal = op.Mul(apart, op.Div(op.Constant(value_float=1.0), deviation))
    each = ints(-1, *[1] * (len(x.shape) - 2))
    scaled = op.Mul(op.Reshape(normal, op.Shape(x)), op.Reshape(weight, each))
    return op.Add(scaled, op.Reshape(bias, each))
