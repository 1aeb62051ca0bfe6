"""The pool: all clips to train on, as 16-bit arrays in one folder.

A clip is `ORIGIN/GROUP/STEM/NAME.npy`, int16 of shape (2, samples). Clips of one group with
the same name sound together: they are stems of one song on one time grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from training.audiofile import to_int16
from training.settings import STEMS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from training.audiofile import Audio


@dataclass
class Pool:
    """The clips of one folder, listed by origin and stem."""

    folder: Path
    clips: dict[str, dict[str, list[Path]]] = field(default_factory=dict)
    songs: dict[str, list[dict[str, Path]]] = field(default_factory=dict)

    @classmethod
    def listed(cls, folder: Path) -> Pool:
        """Lists what is in the folder now, in a fixed order."""
        pool = cls(folder)
        together: dict[tuple[str, str, str], dict[str, Path]] = {}
        for path in sorted(folder.glob("*/*/*/*.npy")):
            origin, group, stem = path.parts[-4:-1]
            if stem not in STEMS:
                continue
            together.setdefault((origin, group, path.stem), {})[stem] = path
            if not path.stem.startswith("whole"):
                pool.clips.setdefault(origin, {}).setdefault(stem, []).append(path)
        for (origin, _, _), stems in together.items():
            if len(stems) > 1:
                pool.songs.setdefault(origin, []).append(stems)
        return pool

    def __len__(self) -> int:
        return sum(len(paths) for stems in self.clips.values() for paths in stems.values())


def save_clip(folder: Path, origin: str, group: str, stem: str, name: str, audio: Audio) -> None:
    """Adds a clip; it appears whole, by rename."""
    path = folder / origin / group / stem / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.save(file, to_int16(audio))
    partial.rename(path)


def excerpt(path: Path, start: int, count: int) -> Audio:
    """Reads `count` samples from `start` as float32 of shape (2, count), zeros past the end."""
    clip: npt.NDArray[np.int16] = np.load(path, mmap_mode="r")
    piece = clip[:, start : start + count].astype(np.float32) / 32768.0
    if piece.shape[1] < count:
        piece = np.pad(piece, ((0, 0), (0, count - piece.shape[1])))
    return piece


def length(path: Path) -> int:
    """A clip's number of samples."""
    return int(np.load(path, mmap_mode="r").shape[1])
