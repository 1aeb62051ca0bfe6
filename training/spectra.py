"""What the loss needs to know of an example, computed beside the training process.

The network scales the mid and the side of the mix, bin by bin, by real factors m between 0
and 1, one for each stem; from `top/pool` on, `pool` neighbouring bins share a factor. Then the
energy of the error of a stem S over the bins that share a factor is

    sum |S - m X|^2  =  sum |S|^2  -  2 m sum Re(S conj X)  +  m^2 sum |X|^2

so three real numbers stand for all complex bins, and no transform runs in the training loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.fft

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.audiofile import Audio
    from training.settings import Spectrum

    Real = npt.NDArray[np.float32]
    Bins = npt.NDArray[np.complex64]


class Spectra(NamedTuple):
    """Sums over the bins that share a factor; channels are mid and side.

    Attributes:
        power: of the mix, |X|^2, float32 of shape (2, bins, frames).
        cross: of stem and mix, Re(S conj X), (4, 2, bins, frames).
        energy: of the stems, |S|^2, (4, 2, bins, frames).
    """

    power: Real
    cross: Real
    energy: Real


def transform(audio: Audio, spectrum: Spectrum) -> npt.NDArray[np.complex64]:
    """Frames without padding, scaled as torch.stft(normalized=True) with a Hann window.

    Args:
        audio: float32 of shape (..., samples).
        spectrum: the transform's settings.

    Returns:
        complex64 of shape (..., frames, top).
    """
    size = spectrum.n_fft
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)) / np.sqrt(size)
    frames = np.lib.stride_tricks.sliding_window_view(audio, size, axis=-1)
    frames = frames[..., :: spectrum.hop, :] * window.astype(np.float32)
    bins: npt.NDArray[np.complex64] = scipy.fft.rfft(frames, axis=-1)[..., : spectrum.top]
    return bins


def pooled(values: Real, spectrum: Spectrum) -> Real:
    """Sums over the bins that share a factor: (..., frames, top) to (..., bins, frames)."""
    fine = values[..., : spectrum.fine]
    coarse = values[..., spectrum.fine :]
    coarse = coarse.reshape(*coarse.shape[:-1], -1, spectrum.pool).sum(axis=-1)
    return np.ascontiguousarray(np.swapaxes(np.concatenate([fine, coarse], axis=-1), -1, -2))


def bins_of(stems: Audio, mix: Audio, spectrum: Spectrum) -> tuple[Bins, Bins]:
    """The bins of mid and side.

    Args:
        stems: float32 of shape (4, 2, samples).
        mix: float32 of shape (2, samples).
        spectrum: the transform's settings.

    Returns:
        Those of the stems, complex64 of shape (4, 2, frames, top), and of the mix, (2, frames,
        top).
    """
    both = np.concatenate([stems, mix[None]])
    sides = np.stack([both[:, 0] + both[:, 1], both[:, 0] - both[:, 1]], axis=1) * np.float32(0.5)
    bins = transform(sides, spectrum)
    return bins[:-1], bins[-1]


def spectra_of(stems: Audio, mix: Audio, spectrum: Spectrum) -> Spectra:
    """The sums of one example; arguments as in `bins_of`."""
    return sums_of(*bins_of(stems, mix, spectrum), spectrum)


def remixed(drawn: Bins, rng: np.random.Generator, spectrum: Spectrum) -> list[Spectra]:
    """New examples out of the stems of others, for the price of their sums alone.

    Args:
        drawn: the stems of several examples, complex64 of shape (n, 4, 2, frames, top).
        rng: draws who plays with whom, and how loud.
        spectrum: the transform's settings.

    Returns:
        As many examples, of fresh gains, at a level of about 1.
    """
    orders = np.stack([rng.permutation(len(drawn)) for _ in range(drawn.shape[1])], axis=1)
    found = []
    for order in orders:
        gains = 10 ** (rng.normal(0, 3, (len(order), 1, 1, 1)) / 20)
        parts = drawn[order, np.arange(len(order))] * gains.astype(np.float32)
        whole = parts.sum(axis=0)
        level = deviation_of(whole, spectrum) * 10 ** (rng.normal(0, 4) / 20)
        scale = np.float32(1 / max(level, 1e-4))
        found.append(sums_of(parts * scale, whole * scale, spectrum))
    return found


def deviation_of(whole: Bins, spectrum: Spectrum) -> float:
    """The deviation of the mid, from its bins: Parseval's theorem, Hann's window being 3/8."""
    energy = float(np.square(np.abs(whole[0])).sum(dtype=np.float64))
    return float(np.sqrt(2 * energy / (whole.shape[1] * spectrum.n_fft * 3 / 8)))


def sums_of(parts: Bins, whole: Bins, spectrum: Spectrum) -> Spectra:
    """The sums of one example.

    Args:
        parts: the stems' bins, (4, 2, frames, top), mid and side.
        whole: the mix's bins, (2, frames, top).
        spectrum: the transform's settings.
    """
    return Spectra(
        power=pooled(whole.real**2 + whole.imag**2, spectrum),
        cross=pooled(parts.real * whole.real + parts.imag * whole.imag, spectrum),
        energy=pooled(parts.real**2 + parts.imag**2, spectrum),
    )
