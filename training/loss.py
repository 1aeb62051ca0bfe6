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
    factors: Tensor, power: Tensor, cross: Tensor, energy: Tensor, amplitude_weight: float
) -> tuple[Tensor, Tensor]:
    """Squared error relative to the stem, plus a little of L1 over complex bins.

    The first part is what the SDR of a whole song counts: the error's energy over the stem's
    own, to which a tenth of the mix's is added, so that silent stems count too. It makes
    factors the mean of what may be true, where L1 makes them the likeliest and logarithms a
    gamble: a network that was trained by those was too sure of itself on songs that it did not
    know. The second part keeps the soft bins, most of the treble, from being neglected.

    Returns:
        The loss, a scalar, and each stem's error relative to the mix in dB, shape (4,).
    """
    found = errors(factors, power, cross, energy)
    amount = (found + 1e-6).sqrt().sum(dim=(2, 3, 4))
    whole = (power + 1e-6).sqrt().sum(dim=(1, 2, 3)).unsqueeze(1)
    absolute = (amount / whole).sum(dim=1).mean()
    total = power.sum(dim=(1, 2, 3)).unsqueeze(1) + 1e-6
    missed = found.sum(dim=(2, 3, 4))
    ratio = missed / (energy.sum(dim=(2, 3, 4)) + 0.1 * total)
    loss = ratio.sum(dim=1).mean() + amplitude_weight * absolute
    return loss, 10 * ((missed / total).mean(dim=0).detach() + 1e-4).log10()
