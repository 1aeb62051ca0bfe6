"""The transform around networks that estimate masks, and what becomes of their estimates.

The frames are not padded: a segment holds whole ones, and `octet.separation.segments.FrameWalk`
lays segments so that the frames of all lie on one grid. What this gives is a segment's share in
the song, to be added to those beside it. The arithmetic is Spleeter's (`spleeter.model`, 2.4):
Wiener-like masks of the estimates' squares, and for frequencies that the network does not see
the frame's mean mask (Spleeter's `mask_extension: average`; its default, `zeros`, would lose
everything above 11 kHz in every stem).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from octet.separation.models.spec import StftSpec

_EPSILON = np.float32(1e-10)
_FRAMES_AT_A_TIME = 32  # so that a block of frames stays in the processor's cache


class Masking:
    """Spectra of segments, and stems by masks on them. Safe to use from several threads.

    Args:
        spec: with the padding `none`.
    """

    def __init__(self, spec: StftSpec) -> None:
        self.spec = spec
        # Periodic Hann; the squares of overlapping windows sum to 3/8 n_fft / hop.
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.n_fft) / spec.n_fft)
        self._window = hann.astype(np.float32)
        self._inverse = (hann * spec.hop / (0.375 * spec.n_fft)).astype(np.float32)

    def spectra(self, mix: np.ndarray) -> np.ndarray:
        """Complex64 (b, 2, frames, n_fft / 2 + 1) of segments, float32 (b, 2, n), unscaled."""
        framed = sliding_window_view(mix, self.spec.n_fft, axis=-1)[..., :: self.spec.hop, :]
        out = np.empty((*framed.shape[:-1], self.spec.n_fft // 2 + 1), np.complex64)
        for at in self._blocks(framed.shape[-2]):
            out[..., at, :] = np.fft.rfft(framed[..., at, :] * self._window)
        return out

    def magnitudes(self, spectra: np.ndarray) -> np.ndarray:
        """What the network takes: float32, (b, 2, frames, bins)."""
        magnitudes: np.ndarray = np.abs(spectra[..., : self.spec.bins])
        return magnitudes

    def stems(self, shares: np.ndarray, spectra: np.ndarray, fade: np.ndarray) -> np.ndarray:
        """Segments of stems.

        Args:
            shares: the network's output, float32, (b, S, 2, frames, bins), 0 to 1.
            spectra: of the segments, as above.
            fade: what each frame counts beside those of other segments, float32 (b, frames).

        Returns:
            float32, (b, S, 2, n). With all fades and shares 1 and one stem, the frames' sum.
        """
        batch, stems, channels, frames, _ = shares.shape
        hop, n_fft = self.spec.hop, self.spec.n_fft
        out = np.zeros((batch, stems, channels, (frames - 1) * hop + n_fft), np.float32)
        for row in np.ndindex(batch, channels):
            spectrum, heard = spectra[row], shares[row[0], :, row[1]]
            for at in self._blocks(frames):
                # In fp32 whatever the network's precision: squares of small shares need it.
                masks = self.masks(heard[:, at], np.abs(spectrum[at, : self.spec.bins]))
                masks *= fade[row[0], None, at, None]
                pieces = np.fft.irfft(masks * spectrum[at], n_fft)
                pieces *= self._inverse
                for index, frame in enumerate(range(at.start, at.stop)):
                    out[row[0], :, row[1], frame * hop : frame * hop + n_fft] += pieces[:, index]
        return out

    def masks(self, shares: np.ndarray, magnitudes: np.ndarray) -> np.ndarray:
        """The masks of all frequencies, which sum to one over the stems.

        Args:
            shares: float32, (S, frames, bins).
            magnitudes: float32, (frames, bins).

        Returns:
            float32, (S, frames, n_fft / 2 + 1).
        """
        out = np.empty((*shares.shape[:-1], self.spec.n_fft // 2 + 1), np.float32)
        seen, above = out[..., : self.spec.bins], out[..., self.spec.bins :]
        np.square(shares * magnitudes, out=seen)
        total = seen.sum(axis=0)
        seen += _EPSILON / len(shares)
        seen /= total + _EPSILON
        above[:] = seen.mean(axis=-1, keepdims=True)
        return out

    @staticmethod
    def _blocks(frames: int) -> list[slice]:
        step = _FRAMES_AT_A_TIME
        return [slice(at, min(at + step, frames)) for at in range(0, frames, step)]
