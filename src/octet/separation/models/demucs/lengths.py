"""Makes Demucs' networks independent of the length, so that one exported graph serves all.

Demucs runs the last, shorter piece of a song at its own length through every network but
HTDemucs. Their code decides by the length in three places, which an export would freeze:
padding to a multiple of the stride, cropping to a remembered length, and framing the input
of an LSTM that is longer than 200 steps. Here each becomes arithmetic on the length, with
the same results: two operators of our own stand in the exported program where PyTorch's
symbolic shapes cannot follow, and each is written out in plain ONNX.

Importing this needs PyTorch, Demucs and onnxscript.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import demucs.demucs
import julius
import julius.resample
import torch
from demucs.demucs import BLSTM, Demucs
from demucs.hdemucs import HDecLayer, HDemucs, HEncLayer
from onnxscript import opset18
from torch import nn
from torch.nn import functional

from octet.separation.models.norms import ints
from octet.separation.models.recurrent import onnx_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Typed as unknown: onnxscript describes its operators for graphs, not for their Python types.
op: Any = opset18

_CROP = "(Tensor x, SymInt start, SymInt length) -> Tensor"
_LSTM = "(Tensor x, Tensor[] weights, int width) -> Tensor"


@torch.library.custom_op("octet::crop", mutates_args=(), schema=_CROP)
def _crop(x: torch.Tensor, start: int, length: int) -> torch.Tensor:
    """Cuts `length` samples out of the last axis."""
    return x[..., start : start + length].clone()


@_crop.register_fake
def _(x: torch.Tensor, start: int, length: int) -> torch.Tensor:
    # This is the purpose of the operator: the result has the very symbol asked for.
    return x.new_empty([*x.shape[:-1], length])


@torch.library.custom_op("octet::framed_lstm", mutates_args=(), schema=_LSTM)
def _framed_lstm(x: torch.Tensor, weights: list[torch.Tensor], width: int) -> torch.Tensor:
    """Stands for a BLSTM of Demucs, without the sum with its input; (b, c, t) -> (b, c, t)."""
    raise NotImplementedError("this operator exists in exported graphs only")


@_framed_lstm.register_fake
def _(x: torch.Tensor, weights: list[torch.Tensor], width: int) -> torch.Tensor:
    return torch.empty_like(x)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The two operators in ONNX, for `torch.onnx.export(custom_translation_table=...)`."""
    return {
        torch.ops.octet.crop.default: _onnx_crop,
        torch.ops.octet.framed_lstm.default: _onnx_framed_lstm,
    }


@contextlib.contextmanager
def any_length(network: nn.Module) -> Iterator[None]:
    """Changes a network of Demucs so that it can be exported for all lengths.

    The network itself is changed for good; while the context lasts, so are two functions of
    the package demucs, which the waveform network calls.
    """
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, BLSTM):
                setattr(module, name, _AnyLengthLstm(child))
    if isinstance(network, HDemucs):
        for module in network.modules():
            if isinstance(module, HEncLayer):
                _pad_by_arithmetic(module)
            elif isinstance(module, HDecLayer) and not module.freq:
                _crop_by_operator(module)
    with contextlib.ExitStack() as stack:
        if isinstance(network, Demucs):
            # Only valid lengths come in (ModelSpec.valid_lengths), so nothing is left to pad.
            network.valid_length = lambda length: length
            stack.enter_context(_replaced(demucs.demucs, "center_trim", _center_crop))
            stack.enter_context(_replaced(julius, "resample_frac", _resample))
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _pad_by_arithmetic(layer: Any) -> None:
    """An encoder layer that pads the time to a multiple of its stride without asking."""
    original = layer.forward

    def forward(x: torch.Tensor, inject: torch.Tensor | None = None) -> torch.Tensor:
        if not layer.freq:
            x = functional.pad(x, (0, -x.shape[-1] % layer.stride))
        if inject is not None:
            # Equally long, which the exporter cannot know of two different inputs.
            inject = torch.ops.octet.crop(inject, 0, x.shape[-1])
        result: torch.Tensor = original(x, inject)
        return result

    layer.forward = forward


def _crop_by_operator(layer: Any) -> None:
    """A decoder layer of the time branch that crops by the operator, after its norm."""
    original, crop = layer.forward, _Crop(layer.pad)
    layer.norm2 = nn.Sequential(layer.norm2, crop)
    layer.pad = 0

    def forward(x: torch.Tensor, skip: torch.Tensor | None, length: int) -> Any:
        crop.length = length
        return original(x, skip, length)

    layer.forward = forward


class _Crop(nn.Module):
    """Cuts `length` samples from `start` on; the length is set before each call."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start, self.length = start, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.ops.octet.crop(x, self.start, self.length)
        return result


def _center_crop(x: torch.Tensor, reference: torch.Tensor | int) -> torch.Tensor:
    """`demucs.utils.center_trim`, for lengths known only later."""
    length = reference if isinstance(reference, int) else _length_of(reference)
    result: torch.Tensor = torch.ops.octet.crop(x, (x.shape[-1] - length) // 2, length)
    return result


def _length_of(reference: Any) -> Any:
    return reference.shape[-1] if isinstance(reference, torch.Tensor) else reference


def _resample(x: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """`julius.resample_frac` with its own filter, for lengths known only later."""
    filters: Any = julius.resample.ResampleFrac(old, new)
    *batch, length = x.shape
    padded = functional.pad(
        x.reshape(-1, 1, length),
        (filters._width, filters._width + filters.old_sr),
        mode="replicate",
    )
    parts = functional.conv1d(padded, filters.kernel.to(x), stride=filters.old_sr)
    whole = parts.transpose(1, 2).reshape([*batch, -1])
    result: torch.Tensor = torch.ops.octet.crop(whole, 0, length * new // old)
    return result


class _AnyLengthLstm(nn.Module):
    """Demucs' BLSTM with its weights in ONNX' order, for any number of steps."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.skip = original.skip
        self.width = original.max_steps or 0
        linear = original.linear.weight.detach().t(), original.linear.bias.detach()
        weights = [*onnx_weights(original.lstm), *linear]
        self.count = len(weights)
        for index, weight in enumerate(weights):
            self.register_buffer(f"weight{index}", weight.contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = [getattr(self, f"weight{index}") for index in range(self.count)]
        result: torch.Tensor = torch.ops.octet.framed_lstm(x, weights, self.width)
        return result + x if self.skip else result


def _int(value: int) -> Any:
    return op.Constant(value_int=value)


def _onnx_crop(x: Any, start: Any, length: Any) -> Any:
    start = op.Reshape(_int(start) if isinstance(start, int) else start, ints(1))
    length = op.Reshape(_int(length) if isinstance(length, int) else length, ints(1))
    return op.Slice(x, start, op.Add(start, length), ints(-1))


def _onnx_framed_lstm(x: Any, weights: list[Any], width: int) -> Any:
    """Frames of `width` steps, half overlapping; the LSTM over each; their middles joined.

    Up to `width` steps are one frame of their own length; `width` 0 never frames. As
    `demucs.demucs.BLSTM`, whose first frame also keeps its start and whose last its end.
    """
    steps = op.Gather(op.Shape(x), _int(2))
    if width:
        stride, margin = _int(width // 2), _int(width // 4)
        length = op.Min(steps, _int(width))
        many = op.Div(op.Add(steps, _int(width // 2 - 1)), stride)
        count = op.Where(op.Greater(steps, _int(width)), many, _int(1))
        last = op.Sub(count, _int(1))
        short = op.Sub(op.Add(op.Mul(last, stride), length), steps)
        pads = op.Concat(ints(0, 0, 0, 0, 0), op.Reshape(short, ints(1)), axis=0)
        starts = op.Mul(op.Range(_int(0), count, _int(1)), stride)
        within = op.Range(_int(0), length, _int(1))
        index = op.Add(op.Unsqueeze(starts, ints(1)), op.Unsqueeze(within, ints(0)))
        # (b, c, t) -> (b, c, frames, steps) -> (steps, b, frames, c)
        frames = op.Transpose(op.Gather(op.Pad(x, pads), index, axis=2), perm=[3, 0, 2, 1])
    else:
        frames = op.Transpose(op.Unsqueeze(x, ints(2)), perm=[3, 0, 2, 1])
    shape = op.Shape(frames)
    y = _onnx_lstm(_flatten_frames(frames, shape), weights)
    # Back to (b, c, frames, steps), then to the places from which each step is taken.
    y = op.Transpose(op.Reshape(y, shape), perm=[1, 3, 2, 0])
    if not width:
        return op.Squeeze(y, ints(2))
    times = op.Range(_int(0), steps, _int(1))
    frame = op.Min(op.Div(op.Max(op.Sub(times, margin), _int(0)), stride), last)
    place = op.Add(op.Mul(frame, length), op.Sub(times, op.Mul(frame, stride)))
    joined = op.Reshape(y, op.Concat(op.Slice(op.Shape(x), ints(0), ints(2)), ints(-1), axis=0))
    return op.Gather(joined, place, axis=2)


def _flatten_frames(frames: Any, shape: Any) -> Any:
    """(steps, b, frames, c) -> (steps, b * frames, c)."""
    ends = op.Slice(shape, ints(0), ints(1)), op.Slice(shape, ints(3), ints(4))
    return op.Reshape(frames, op.Concat(ends[0], ints(-1), ends[1], axis=0))


def _onnx_lstm(y: Any, weights: list[Any]) -> Any:
    """The layers of a two-way LSTM and the linear layer behind; (steps, b, c) -> the same."""
    *layers, matrix, bias = weights
    hidden = layers[1].shape[2]
    for at in range(0, len(layers), 3):
        y, _, _ = op.LSTM(y, *layers[at : at + 3], hidden_size=hidden, direction="bidirectional")
        y = op.Transpose(y, perm=[0, 2, 1, 3])
        y = op.Reshape(y, ints(0, 0, -1))
    return op.Add(op.MatMul(y, matrix), bias)
