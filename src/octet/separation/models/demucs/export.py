"""From a network of Demucs to one ONNX file that says what it is.

What is exported is the core: for the hybrid networks, what lies between the STFT and its
inverse, which Octet does outside. Their `forward` is used as it is, with its four methods
around the spectrum replaced, so that no second version of the network exists that could
drift from the first.

Importing this needs PyTorch, Demucs and onnxscript.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from torch import nn

from octet.errors import ModelError
from octet.separation.models.demucs import lengths
from octet.separation.models.onnx import write_spec
from octet.separation.models.spec import ModelSpec, StftSpec, ValidLengths
from octet.separation.models.tracing import write_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.spec import About, Padding

_HINT = "Use another model."


def describe(network: nn.Module, about: About) -> ModelSpec:
    """What a network takes and gives, once converted.

    Args:
        network: one of Demucs' three.
        about: what else is known of it. HTDemucs, made for one length, takes only segments
            shorter than its own (`demucs.apply.BagOfModels`).

    Raises:
        ModelError: a variant without an equivalent in Octet (masks, no time branch).
        ModelDamagedError: its numbers or names are out of range.
    """
    known: Any = network
    seconds = known.segment
    wanted = about.segment
    if wanted is not None and (not isinstance(network, HTDemucs) or wanted <= seconds):
        seconds = wanted
    spec = ModelSpec(
        name=about.name,
        sources=tuple(known.sources),
        samplerate=int(known.samplerate),
        segment=int(known.samplerate * seconds),
        kind="waveform",
        licence=about.licence,
        origin=about.origin,
    )
    if isinstance(network, Demucs):
        lengths = ValidLengths(known.depth, known.kernel_size, known.stride, known.resample)
        return replace(spec, fixed=False, valid_lengths=lengths)
    _require_core(known, about.name)
    padding: Padding = "demucs-old" if getattr(known, "hybrid_old", False) else "demucs"
    stft = StftSpec(known.nfft, known.hop_length, padding, known.nfft // 2)
    return replace(spec, kind="hybrid", stft=stft, fixed=isinstance(network, HTDemucs))


def export(network: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Writes the network's core to `path`, weights as float32, with its description.

    The network is of no other use afterwards. Takes about a minute and, beside the network,
    twice the memory of its weights.

    Raises:
        ModelError: PyTorch cannot export it.
    """
    inputs = _example(spec)
    known: Any = network
    if spec.fixed:
        # The training length, which the network works out again from this attribute.
        known.segment = Fraction(spec.segment, spec.samplerate)
    with contextlib.ExitStack() as stack:
        if not spec.fixed:
            stack.enter_context(lengths.any_length(network))
        write_onnx(
            network if spec.kind == "waveform" else _Core(network),
            inputs,
            ["wave"] if spec.kind == "waveform" else ["spec_out", "wave"],
            path,
            name=spec.name,
            dynamic_shapes=_dynamic_shapes(spec),
            translations=lengths.translations(),
        )
    write_spec(path, spec)


class _Core(nn.Module):
    """A hybrid network between the STFT and its inverse."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, spec: torch.Tensor, mix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, 4, bins, frames), (b, 2, n) -> (b, S, 4, bins, frames), (b, S, 2, n)."""
        spectra: list[torch.Tensor] = []

        def keep(_given: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
            spectra.append(estimate)
            return estimate

        self.network._spec = lambda _mix: spec
        self.network._magnitude = lambda given: given
        self.network._mask = keep
        # The network adds what comes back to its time branch, which is thus left alone.
        self.network._ispec = lambda *_args: mix.new_zeros(())
        wave: torch.Tensor = self.network(mix)
        return spectra[0], wave


def _require_core(network: Any, name: str) -> None:
    if not network.cac or not getattr(network, "hybrid", True):
        raise ModelError(f"{name} is a variant of HDemucs that cannot be converted", _HINT)
    if isinstance(network, HTDemucs) and not network.use_train_segment:
        raise ModelError(f"{name} is an HTDemucs without a fixed segment", _HINT)
    if not isinstance(network, (HDemucs, HTDemucs)):
        raise ModelError(f"{name} is none of Demucs' networks", _HINT)


def _example(spec: ModelSpec) -> dict[str, torch.Tensor]:
    """Inputs to trace with. Any length does, as nothing may depend on it; 5 s are quick."""
    length = spec.segment if spec.fixed else spec.valid_length(5 * spec.samplerate + 1)
    mix = torch.randn(1, 2, length, generator=torch.Generator().manual_seed(0))
    if spec.stft is None:
        return {"mix": mix}
    frames = math.ceil(length / spec.stft.hop)
    return {"spec": torch.randn(1, 4, spec.stft.bins, frames), "mix": mix}


def _dynamic_shapes(spec: ModelSpec) -> Any:
    if spec.fixed:
        return None
    unknown = torch.export.Dim.DYNAMIC
    return ({2: unknown},) if spec.kind == "waveform" else ({3: unknown}, {2: unknown})
