"""The short-time Fourier transform around spectral networks, and its inverse.

Three ways to treat the edges:

- `demucs`: that of HDemucs and HTDemucs. Frame j is centred half a hop after sample j * hop,
  ceil(n / hop) frames; the edges are reflected.
- `demucs-old`: that of HDemucs models with `hybrid_old`. The edges are zeros, and the inverse
  is late by one and a half hops, which the network was trained to make up for.
- `center`: frame j is centred on sample j * hop, 1 + n // hop frames, reflected edges: what
  torch.stft and torch.istft do with center=True.

The window is Hann's (periodic), or none at all (`rectangular`, of SCNet), and the scaling unitary
(torch's `normalized=True`). All is float32; against torch the results differ by rounding alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from octet.separation.models.spec import Padding, StftSpec, Window

_FRAMES_AT_A_TIME = 32  # so that a block of frames stays in the processor's cache


class Stft:
    """The transform that a model's description asks for. Safe to use from several threads."""

    def __init__(self, spec: StftSpec) -> None:
        self.spec = spec
        self._window = _window(spec.n_fft, spec.window)

    def frames(self, length: int) -> int:
        """How many frames `length` samples give."""
        if self.spec.padding == "center":
            return 1 + length // self.spec.hop
        return -(-length // self.spec.hop)

    def forward(self, mix: np.ndarray) -> np.ndarray:
        """Spectra of a batch of stereo segments.

        Args:
            mix: float32, (batch, 2, n), n >= 1.

        Returns:
            float32, (batch, 4, bins, frames): left real, left imaginary, right real, right
            imaginary.
        """
        batch, channels, length = mix.shape
        frames = self.frames(length)
        out = np.empty((batch, channels, 2, self.spec.bins, frames), np.float32)
        padded = self._pad(mix, frames)
        for row in np.ndindex(batch, channels):
            framed = sliding_window_view(padded[row], self.spec.n_fft)[:: self.spec.hop]
            for block in _blocks(frames):
                spectra = np.fft.rfft(framed[block] * self._window)[:, : self.spec.bins].T
                out[row][0, :, block] = spectra.real
                out[row][1, :, block] = spectra.imag
        return out.reshape(batch, 2 * channels, self.spec.bins, frames)

    def inverse(self, spectra: np.ndarray, length: int) -> np.ndarray:
        """Segments of stems from their spectra.

        Args:
            spectra: float32, (batch, stems, 4, bins, frames), channels as in `forward`.
            length: n, the samples of the segment that gave so many frames.

        Returns:
            float32, (batch, stems, 2, n).
        """
        batch, stems, doubled, bins, frames = spectra.shape
        parts = spectra.reshape(batch, stems, doubled // 2, 2, bins, frames)
        out = np.empty((batch, stems, doubled // 2, length), np.float32)
        start, scale = _envelope(self.spec, frames, length)
        for row in np.ndindex(out.shape[:-1]):
            np.multiply(self._overlap_add(parts[row])[start : start + length], scale, out=out[row])
        return out

    def _pad(self, mix: np.ndarray, frames: int) -> np.ndarray:
        """The segments with their edges, exactly as long as the frames are together."""
        length = mix.shape[-1]
        left = _lead(self.spec.n_fft, self.spec.hop, self.spec.padding)
        whole = (frames - 1) * self.spec.hop + self.spec.n_fft
        if self.spec.padding == "demucs-old":
            return np.pad(mix, ((0, 0), (0, 0), (left, whole - length - left)))
        right = left if self.spec.padding == "center" else whole - length - left
        return reflect(mix, left, right)

    def _overlap_add(self, parts: np.ndarray) -> np.ndarray:
        """Sums the frames of one channel, (2, bins, frames), where they belong in time."""
        _, bins, frames = parts.shape
        hop, n_fft = self.spec.hop, self.spec.n_fft
        total = np.zeros((frames - 1) * hop + n_fft, np.float32)
        for block in _blocks(frames):
            spectra = np.zeros((block.stop - block.start, n_fft // 2 + 1), np.complex64)
            spectra.real[:, :bins] = parts[0, :, block].T
            spectra.imag[:, :bins] = parts[1, :, block].T
            pieces = np.fft.irfft(spectra, n_fft)
            pieces *= self._window
            for index, piece in enumerate(pieces, block.start):
                total[index * hop : index * hop + n_fft] += piece
        return total


def reflect(signal: np.ndarray, left: int, right: int) -> np.ndarray:
    """Pads the last axis with its mirror image, as Demucs does.

    A signal too short to be mirrored gets zeros first, at its right as far as the padding
    there goes, then at its left (`demucs.hdemucs.pad1d`).
    """
    missing = max(0, max(left, right) - signal.shape[-1] + 1)
    zeros_right = min(right, missing)
    zeros_left = missing - zeros_right
    edges = [(0, 0)] * (signal.ndim - 1)
    if missing:
        signal = np.pad(signal, [*edges, (zeros_left, zeros_right)])
    return np.pad(signal, [*edges, (left - zeros_left, right - zeros_right)], mode="reflect")


def _blocks(frames: int) -> list[slice]:
    return [
        slice(first, min(first + _FRAMES_AT_A_TIME, frames))
        for first in range(0, frames, _FRAMES_AT_A_TIME)
    ]


def _lead(n_fft: int, hop: int, padding: Padding) -> int:
    """How many samples the first frame begins before the segment."""
    return n_fft // 2 if padding == "center" else hop // 2 * 3


@lru_cache(maxsize=4)
def _window(n_fft: int, window: Window) -> np.ndarray:
    """The window with the unitary scale in it, the same in both directions.

    Forward it is window / sqrt(n_fft); inverse, irfft's 1 / n_fft wants window * sqrt(n_fft).
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    shape = hann if window == "hann" else np.ones(n_fft)
    return np.asarray(shape / np.sqrt(n_fft), np.float32)


@lru_cache(maxsize=8)
def _envelope(spec: StftSpec, frames: int, length: int) -> tuple[int, np.ndarray]:
    """Where the segment starts in the sum of frames, and what undoes the windows there."""
    n_fft, hop, padding = spec.n_fft, spec.hop, spec.padding
    squared = _window(n_fft, spec.window).astype(np.float64) ** 2 * n_fft
    # Demucs puts two empty frames before and after, whose windows count.
    extra = 0 if padding == "center" else 2
    total = np.zeros((frames + 2 * extra - 1) * hop + n_fft)
    for frame in range(frames + 2 * extra):
        total[frame * hop : frame * hop + n_fft] += squared
    start = 0 if padding == "demucs-old" else _lead(n_fft, hop, padding)
    used = total[extra * hop + start :][:length]
    # The windows of one direction hold 1 / sqrt(n_fft), which the inverse has to turn round.
    return start, (n_fft / used).astype(np.float32)
