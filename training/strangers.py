"""Songs by other musicians, to validate on: never trained on.

Two layouts are read: a Native Instruments stem file (`*.stem.mp4`: streams of the master,
drums, bass, other, vocals) and a folder with one file a part, named after the instrument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.audiofile import read_audio
from training.settings import STEMS

if TYPE_CHECKING:
    from pathlib import Path

    from training.audiofile import Audio

WORDS = {"drums": ("drum", "perc"), "bass": ("bass",), "vocals": ("voc", "vox", "voice")}
"""What a part's file name begins with, by stem; anything else is `other`."""


def read_stranger(path: Path) -> dict[str, Audio]:
    """The four stems of one song; the mix is their sum.

    Args:
        path: a `.stem.mp4` file or a folder of parts.

    Returns:
        Stem name -> float32 of shape (2, samples).
    """
    stems: dict[str, list[Audio]] = {stem: [] for stem in STEMS}
    if path.is_dir():
        for part in sorted(path.iterdir()):
            stems[_stem_of(part.name.lower())].append(read_audio(part))
    else:
        for stream, stem in enumerate(("drums", "bass", "other", "vocals"), start=1):
            stems[stem].append(read_audio(path, stream=stream))
    count = min(part.shape[1] for parts in stems.values() for part in parts)
    silence = np.zeros((2, count), np.float32)
    return {
        stem: sum((part[:, :count] for part in parts), silence) for stem, parts in stems.items()
    }


def strangers_in(folder: Path) -> dict[str, Path]:
    """The songs of a folder that come with stems, by name."""
    found = {path.name.removesuffix(".stem.mp4"): path for path in folder.glob("*.stem.mp4")}
    found |= {path.name: path for path in folder.iterdir() if path.is_dir()}
    return dict(sorted(found.items()))


def _stem_of(name: str) -> str:
    for stem, words in WORDS.items():
        if name.startswith(words):
            return stem
    return "other"
