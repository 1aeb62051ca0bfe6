"""Which frequencies a RoFormer's bands see: side by side, or overlapping on the mel scale."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from octet.errors import ModelDamagedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERTZ_A_MEL = 200 / 3
_LOG_FROM_HERTZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HERTZ / _HERTZ_A_MEL
_LOG_STEP = math.log(6.4) / 27
"""Slaney's scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above."""


class Bands:
    """Which frequencies each band sees.

    Args:
        members: of each band, its frequencies in ascending order, of 0 to `bins` - 1.
        bins: how many frequencies there are.

    Attributes:
        bins: as above.
        widths: frequencies of each band.
        seen: the frequencies that the bands see, one band after the other.
        places: for each frequency, where in `seen` it is; one row for each band that it may be
            in. What is in fewer bands repeats its first place.
        shares: how much each of these counts: 1 divided by the number of its bands, or 0.

    Raises:
        ModelDamagedError: a band sees nothing, or a frequency is in no band.
    """

    def __init__(self, members: Sequence[Sequence[int]], bins: int) -> None:
        self.bins = bins
        self.widths = [len(band) for band in members]
        self.seen = [frequency for band in members for frequency in band]
        found: list[list[int]] = [[] for _ in range(bins)]
        for place, frequency in enumerate(self.seen):
            found[frequency].append(place)
        if not all(self.widths) or not all(found):
            raise ModelDamagedError(
                f"{len(members)} bands do not hold {bins} frequencies", "Fetch its YAML file again."
            )
        most = max(map(len, found))
        self.places = [[p[row] if row < len(p) else p[0] for p in found] for row in range(most)]
        self.shares = [[(row < len(p)) / len(p) for p in found] for row in range(most)]

    @property
    def apart(self) -> bool:
        """Whether every frequency is in one band, in order: nothing has to be gathered."""
        return self.seen == list(range(self.bins))


def side_by_side(widths: Sequence[int], n_fft: int) -> Bands:
    """Bands of so many frequencies each, of the n_fft / 2 + 1 that a frame has.

    Raises:
        ModelDamagedError: there are more or fewer.
    """
    bins, starts = n_fft // 2 + 1, [0]
    for width in widths:
        starts.append(starts[-1] + width)
    if starts[-1] != bins:
        raise ModelDamagedError(
            f"its bands hold {starts[-1]} frequencies, and a frame of {n_fft} has {bins}",
            "Fetch its YAML file again.",
        )
    return Bands([range(*pair) for pair in pairwise(starts)], bins)


def mel(bands: int, n_fft: int, samplerate: int) -> Bands:
    """Bands under triangles that are equally wide on the mel scale and overlap by halves.

    The triangles are those of `librosa.filters.mel` (0.11). Its arithmetic is repeated, as what
    counts is which of its values are above zero. The lowest frequency belongs to the first band
    and the highest to the last, as in all networks of this kind.

    Raises:
        ModelDamagedError: bands so narrow that one sees nothing.
    """
    edges = _hertz(np.linspace(0.0, _mels(samplerate / 2), bands + 2))
    away = np.subtract.outer(edges, np.fft.rfftfreq(n_fft, 1.0 / samplerate))
    widths = np.diff(edges)
    members = []
    for band in range(bands):
        rising, falling = -away[band] / widths[band], away[band + 2] / widths[band + 1]
        inside = np.minimum(rising, falling).astype(np.float32) > 0
        inside[0] |= band == 0
        inside[-1] |= band == bands - 1
        members.append(np.flatnonzero(inside).tolist())
    return Bands(members, n_fft // 2 + 1)


def _mels(hertz: float) -> float:
    if hertz < _LOG_FROM_HERTZ:
        return hertz / _HERTZ_A_MEL
    return _LOG_FROM_MEL + math.log(hertz / _LOG_FROM_HERTZ) / _LOG_STEP


def _hertz(mels: np.ndarray) -> np.ndarray:
    above = _LOG_FROM_HERTZ * np.exp(_LOG_STEP * (mels - _LOG_FROM_MEL))
    return np.where(mels >= _LOG_FROM_MEL, above, mels * _HERTZ_A_MEL)
