"""Networks of the frameworks made ready to run: as one ONNX file, or as a module from end to end.

Importing this needs PyTorch and onnxscript.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from octet.errors import ModelError
from octet.separation.models import recurrent
from octet.separation.models.onnx import write_spec
from octet.separation.models.tracing import write_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from octet.separation.models.spec import ModelSpec, StftSpec


def export(network: nn.Module, spec: ModelSpec, path: Path, *, complement: bool = False) -> None:
    """Writes a network between the STFT and its inverse to `path`, with its description.

    The network is of no other use afterwards. Takes up to some minutes and, beside the network,
    twice the memory of its weights.

    Args:
        network: as `Architecture.build` says, with its weights.
        spec: what it takes and gives.
        path: the file.
        complement: the model gives what the network's estimate leaves.

    Raises:
        ModelError: PyTorch cannot export it.
    """
    stft = _stft(spec)
    frames = 1 + spec.valid_length(spec.segment) // stft.hop
    example = torch.randn(1, 4, stft.bins, frames, generator=torch.Generator().manual_seed(0))
    recurrent.as_operators(network)
    write_onnx(
        Core(network, complement=complement),
        {"spec": example},
        ["spec_out"],
        path,
        name=spec.name,
        translations=recurrent.translations(),
    )
    write_spec(path, spec)


class Core(nn.Module):
    """A network between the STFT and its inverse, or what its estimate leaves of the song."""

    def __init__(self, network: nn.Module, *, complement: bool = False) -> None:
        super().__init__()
        self.network = network
        self.complement = complement

    def forward(self, spec: torch.Tensor) -> torch.Tensor:
        """(b, 4, bins, frames) -> (b, S, 4, bins, frames)."""
        stems: torch.Tensor = self.network(spec)
        return spec[:, None] - stems if self.complement else stems


class Whole(nn.Module):
    """A core with PyTorch's transforms around it, which equal `octet.separation.stft`."""

    window: torch.Tensor

    def __init__(self, core: Core, spec: ModelSpec) -> None:
        super().__init__()
        self.core = core
        self._stft = _stft(spec)
        shape = torch.hann_window if self._stft.window == "hann" else torch.ones
        self.register_buffer("window", shape(self._stft.n_fft), persistent=False)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        """(b, 2, n) -> (b, S, 2, n), float32."""
        batch, channels, length = mix.shape
        sizes = self._stft.n_fft, self._stft.hop
        with torch.autocast(mix.device.type, enabled=False):
            spectra = torch.stft(
                mix.float().flatten(0, 1),
                *sizes,
                window=self.window,
                normalized=True,
                return_complex=True,
            )
        whole, frames = spectra.shape[1:]
        seen = torch.view_as_real(spectra[:, : self._stft.bins]).permute(0, 3, 1, 2)
        stems = self.core(seen.reshape(batch, 2 * channels, -1, frames)).float()
        parts = stems.reshape(-1, 2, stems.shape[-2], frames).permute(0, 2, 3, 1)
        parts = nn.functional.pad(parts, (0, 0, 0, 0, 0, whole - parts.shape[1]))
        with torch.autocast(mix.device.type, enabled=False):
            waves = torch.istft(
                torch.view_as_complex(parts.contiguous()),
                *sizes,
                window=self.window,
                normalized=True,
                length=length,
            )
        return waves.reshape(batch, -1, channels, length)


def _stft(spec: ModelSpec) -> StftSpec:
    if spec.stft is None or spec.kind != "spectral" or spec.stft.padding != "center":
        raise ModelError(f"{spec.name} does not work on centred spectra")
    return spec.stft
