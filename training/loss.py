"""The loss, from the sums in spectra.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def errors(factors: Tensor, power: Tensor, cross: Tensor, energy: Tensor) -> Tensor:
    """The energy of the error for every stem, channel, bin and frame.

    Args:
        factors: (b, 4, 2, bins, t).
        power: (b, 2, bins, t).
        cross: (b, 4, 2, bins, t).
        energy: (b, 4, 2, bins, t).
    """
    return (energy + factors * (factors * power.unsqueeze(1) - 2 * cross)).clamp(min=0)


def separation_loss(
    factors: Tensor, power: Tensor, cross: Tensor, energy: Tensor, ratio_weight: float
) -> tuple[Tensor, Tensor]:
    """L1 over complex bins, relative to the mix, plus the log of the error's energy.

    The first part is what Demucs and its kin minimise, taken in the spectrogram. The second
    is the SDR's own denominator in decades, with a floor at -30 dB below the mix, so that a
    quiet or silent stem counts as much as a loud one.

    Returns:
        The loss, a scalar, and each stem's error relative to the mix in dB, shape (4,).
    """
    found = errors(factors, power, cross, energy)
    amount = (found + 1e-6).sqrt().sum(dim=(2, 3, 4))
    whole = (power + 1e-6).sqrt().sum(dim=(1, 2, 3)).unsqueeze(1)
    absolute = (amount / whole).sum(dim=1).mean()
    total = power.sum(dim=(1, 2, 3)).unsqueeze(1)
    ratio = (found.sum(dim=(2, 3, 4)) / (total + 1e-6) + 1e-3).log10()
    loss = absolute + ratio_weight * ratio.sum(dim=1).mean()
    return loss, 10 * ratio.mean(dim=0).detach()
