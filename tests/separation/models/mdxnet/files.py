"""Tiny MDX-Net files, and what such a network makes of a song, by PyTorch's own transform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from octet.separation.models.graph import Graph

if TYPE_CHECKING:
    from pathlib import Path

N_FFT, HOP, BINS, FRAMES = 64, 16, 24, 128
SEGMENT = HOP * (FRAMES - 1)
NOTE = f"n_fft: {N_FFT}\nhop: {HOP}\nstem: vocals\ncompensation: 1.25\n"


def weights(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Of two convolutions, the first one with a look at its neighbours."""
    draw = np.random.default_rng(seed)
    first = draw.normal(0, 0.3, (6, 4, 3, 3)).astype(np.float32)
    return first, draw.normal(0, 0.3, (4, 6, 1, 1)).astype(np.float32)


def write(path: Path, *, frames: int = FRAMES, channels: int = 4) -> Path:
    """A network of two convolutions, as UVR's files are: a spectrum in, and one out."""
    first, second = weights()
    graph = Graph("mdx")
    value = graph.input("input", (1, channels, BINS, frames))
    value = graph.add("Conv", value, graph.constant(first[:, :channels]), pads=[1, 1, 1, 1])
    value = graph.add("Conv", graph.add("Relu", value), graph.constant(second))
    graph.output(value, "output", (1, 4, BINS, frames))
    graph.write(path)
    return path


def folder(path: Path, note: str = NOTE) -> Path:
    """A folder with such a file and its note."""
    path.mkdir()
    write(path / "Tiny_MDX.onnx")
    (path / "Tiny_MDX.yaml").write_text(note, encoding="utf-8")
    return path


def reference(mix: np.ndarray, compensation: float) -> np.ndarray:
    """The estimate (2, n) of a segment (2, n), computed as UVR does."""
    torch: Any = pytest.importorskip("torch", reason="needs the extra `demucs`")
    window = torch.hann_window(N_FFT)
    given = torch.stft(
        torch.from_numpy(mix), N_FFT, HOP, window=window, center=True, return_complex=True
    )
    seen = torch.view_as_real(given[:, :BINS]).permute(0, 3, 1, 2).reshape(1, 4, BINS, -1).clone()
    seen[:, :, :3] = 0
    first, second = map(torch.from_numpy, weights())
    conv = torch.nn.functional.conv2d
    stem = conv(conv(seen, first, padding=1).relu(), second).reshape(2, 2, BINS, -1)
    spectra = torch.zeros_like(given)
    spectra[:, :BINS] = torch.complex(stem[:, 0], stem[:, 1])
    estimate = torch.istft(spectra, N_FFT, HOP, window=window, length=mix.shape[-1])
    return np.asarray(estimate * compensation)
