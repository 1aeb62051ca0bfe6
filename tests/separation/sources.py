"""Stand-ins for models, with known estimates, so that tests can say what must come out."""

from collections.abc import Generator
from typing import ClassVar

import numpy as np

from octet.results import manifest
from octet.separation.model import ONCE, Passes, Song

BLOCK = 30_000


class Shares:
    """Gives each source a fixed share of the mix, and `other` something far off."""

    samplerate = 44_100
    description = "fixed shares of the mix"
    runtime: ClassVar[dict[str, str]] = {"name": "none", "device": "cpu", "precision": "fp32"}
    identity = manifest.Model(name="shares", sha256="", licence="MIT", commercial=True)

    def __init__(self, **shares: float) -> None:
        self.shares = shares or {"drums": 0.25, "bass": 0.125, "other": 7.0, "vocals": 0.5}

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.shares)

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        factors = np.array(list(self.shares.values()), np.float32)[:, None, None]
        for start in range(0, song.samples, BLOCK):
            count = min(BLOCK, song.samples - start)
            yield song.read(start, count) * factors
            if passes.on_progress:
                passes.on_progress((start + count) / song.samples)
