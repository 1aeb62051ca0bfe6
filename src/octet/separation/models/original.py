"""What stands in for a model when all models fail: the song as it is.

Its vocals, drums and bass are silence, so `other`, `full` and `instrumental` are the song, and
the four stems still sum to it. A result made with it says so: see `octet.worker`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octet.results import manifest
from octet.separation.model import ONCE
from octet.separation.models.registry import ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Generator

    from octet.separation.model import Passes, Song

_BLOCK_SECONDS = 10


class Passthrough:
    """A `Model` (octet.separation.model) that separates nothing."""

    description = "original: no separation, every sound goes to `other`"
    sources = ("vocals", "drums", "bass")
    samplerate = None
    identity = manifest.Model(name=ORIGINAL, sha256="", licence="CC0-1.0", commercial=True)

    @property
    def runtime(self) -> dict[str, str]:
        """That nothing was computed."""
        return {"name": "none", "device": "cpu", "precision": "fp32"}

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        """Blocks of silence, float32 of shape (3, 2, n), `song.samples` in all."""
        block = song.rate * _BLOCK_SECONDS
        for start in range(0, song.samples, block):
            count = min(block, song.samples - start)
            yield np.zeros((len(self.sources), 2, count), np.float32)
            if passes.on_progress:
                passes.on_progress((start + count) / song.samples)
