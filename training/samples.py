"""One-shots and notes: folders of samples, each with `instrument.json`.

`STEM/NAME/instrument.json` maps file -> {note (MIDI number), velocity, piece, ...}; the keys
are there where they apply.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from training.audiofile import Audio, read_audio
from training.pool import save_clip
from training.settings import RATE

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One recording: its file, and what is known of it."""

    path: Path
    note: int | None
    velocity: int | None
    piece: str | None

    def read(self) -> Audio:
        """float32 of shape (2, samples)."""
        return _read(self.path)


@lru_cache(maxsize=600)
def _read(path: Path) -> Audio:
    audio = read_audio(path)
    audio.flags.writeable = False
    return audio


def instruments(samples: Path, stem: str) -> dict[str, list[Sample]]:
    """The instruments for one stem, by name, each with its samples in a fixed order."""
    found = {}
    for listing in sorted((samples / stem).glob("*/instrument.json")):
        entries = json.loads(listing.read_text())
        found[listing.parent.name] = [
            Sample(listing.parent / name, e.get("note"), e.get("velocity"), e.get("piece"))
            for name, e in sorted(entries.items())
        ]
    return found


def add_phrases(samples: Path, stem: str, pool: Path, seed: int) -> None:
    """Strings each instrument's samples together, in random order with random rests."""
    rng = np.random.default_rng([seed, len(stem)])
    for name, shots in instruments(samples, stem).items():
        if (pool / "samples" / name).exists():
            continue
        pieces = []
        for index in rng.permutation(len(shots)):
            shot = shots[index].read().copy()
            fade = min(441, shot.shape[1])
            shot[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            rest = int(RATE * max(0.0, rng.normal(0.15, 0.25)))
            pieces += [shot, np.zeros((2, rest), np.float32)]
        save_clip(pool, "samples", name, stem, "phrases", np.concatenate(pieces, axis=1))
