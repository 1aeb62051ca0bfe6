"""Recurrent layers in exported graphs: one operator each, where PyTorch would write every step.

Importing this needs PyTorch and onnxscript.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from onnxscript import opset18
from torch import nn

from octet.separation.models.norms import ints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Typed as unknown: onnxscript describes its operators for graphs, not for their Python types.
op: Any = opset18

_LSTM = "(Tensor x, Tensor[] weights) -> Tensor"


@torch.library.custom_op("octet::lstm", mutates_args=(), schema=_LSTM)
def _lstm(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    """Stands for a two-way LSTM; (b, steps, c) -> (b, steps, 2 * hidden)."""
    raise NotImplementedError("this operator exists in exported graphs only")


@_lstm.register_fake
def _(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    return x.new_empty((*x.shape[:2], 2 * weights[1].shape[2]))


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The operator in ONNX, for `torch.onnx.export(custom_translation_table=...)`."""
    return {torch.ops.octet.lstm.default: _onnx_lstm}


def as_operators(network: nn.Module) -> None:
    """Replaces each two-way, batch-first `nn.LSTM` of a network by the operator, for export."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.LSTM):
                setattr(module, name, _Operator(child))


class _Operator(nn.Module):
    """An LSTM with its weights in ONNX' order. Gives no states beside its output."""

    def __init__(self, original: nn.LSTM) -> None:
        super().__init__()
        if not (original.bidirectional and original.batch_first):
            raise NotImplementedError("an LSTM that is not two-way and batch-first")
        weights = list(onnx_weights(original))
        self.count = len(weights)
        for index, weight in enumerate(weights):
            self.register_buffer(f"weight{index}", weight.contiguous())

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        weights = [getattr(self, f"weight{index}") for index in range(self.count)]
        return torch.ops.octet.lstm(x, weights), None


def onnx_weights(lstm: nn.LSTM) -> Iterator[torch.Tensor]:
    """W, R and B of each layer as ONNX' LSTM takes them: (directions, 4 * hidden, ...).

    PyTorch's gates are input, forget, cell, output; ONNX' are input, output, forget, cell.
    """

    def gates(weight: torch.Tensor) -> torch.Tensor:
        i, f, g, o = weight.detach().chunk(4)
        return torch.cat([i, o, f, g])

    def both(kind: str, layer: int) -> list[torch.Tensor]:
        return [gates(getattr(lstm, f"{kind}_l{layer}{way}")) for way in ("", "_reverse")]

    for layer in range(lstm.num_layers):
        yield torch.stack(both("weight_ih", layer))
        yield torch.stack(both("weight_hh", layer))
        biases = zip(both("bias_ih", layer), both("bias_hh", layer), strict=True)
        yield torch.stack([torch.cat(pair) for pair in biases])


def _onnx_lstm(x: Any, weights: list[Any]) -> Any:
    y = op.Transpose(x, perm=[1, 0, 2])
    for at in range(0, len(weights), 3):
        hidden = weights[at + 1].shape[2]
        y, _, _ = op.LSTM(y, *weights[at : at + 3], hidden_size=hidden, direction="bidirectional")
        # (steps, directions, b, hidden) -> (steps, b, both)
        y = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), ints(0, 0, -1))
    return op.Transpose(y, perm=[1, 0, 2])
