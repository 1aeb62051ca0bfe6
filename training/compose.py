"""Fills the pool with composed and rendered music, piece by piece, each from its own seed."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from training import effects
from training.composer import Composer
from training.pool import save_clip
from training.renderer import Renderer
from training.samples import instruments
from training.words import Choir

if TYPE_CHECKING:
    from pathlib import Path

    from training.composer import Song
    from training.settings import Rendering
    from training.synth import Mono


@dataclass(frozen=True)
class Piece:
    """One piece to compose: its album's seed, its origin in the pool, and its number there."""

    seed: int
    origin: str
    number: int

    @property
    def group(self) -> str:
        """Its folder's name in the pool."""
        kind = "song" if self.origin == "render" else "bass"
        return f"{kind}-{self.seed}-{self.number:04d}"


@dataclass(frozen=True)
class Studio:
    """What a process needs to compose: settings, the folders to read, the pool to fill."""

    settings: Rendering
    samples: Path
    soundfont: Path | None
    pool: Path

    def pieces(self) -> list[Piece]:
        """The pieces that the pool lacks: songs, and basses that are struck like drums."""
        wanted = {"struck": self.settings.struck, "render": self.settings.songs}
        seed = self.settings.seed
        pieces = [Piece(seed, origin, n) for origin, count in wanted.items() for n in range(count)]
        return [p for p in pieces if not (self.pool / p.origin / p.group).exists()]

    def compose(self, processes: int = 0) -> None:
        """Composes and renders what the pool lacks.

        Args:
            processes: how many share the work, each with all the sounds in memory; 0 for one
                a core.
        """
        missing = self.pieces()
        count = min(processes or os.cpu_count() or 1, len(missing))
        if not count:
            return
        shares = [missing[first::count] for first in range(count)]
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            list(pool.map(self.play, shares))

    def play(self, pieces: list[Piece]) -> None:
        """Composes and renders these pieces one by one; each appears whole, by rename."""
        renderer = renderer_for(self.settings, self.samples, self.soundfont)
        making = self.pool.with_name("making")
        for piece in pieces:
            song, rng = composed(piece, self.settings)
            for stem, audio in renderer.stems(song, rng).items():
                if effects.loudness(audio) > 1e-3:
                    save_clip(making, piece.origin, piece.group, stem, "song", audio)
            done = self.pool / piece.origin / piece.group
            done.parent.mkdir(parents=True, exist_ok=True)
            (making / piece.origin / piece.group).rename(done)


def composed(piece: Piece, settings: Rendering) -> tuple[Song, np.random.Generator]:
    """A piece's notes, and the generator to play them with; both depend on its seed alone."""
    if piece.origin == "struck":
        rng = np.random.default_rng([piece.seed, piece.number, 1])
        return Composer(rng, settings.bars[0]).struck_bass(), rng
    rng = np.random.default_rng([piece.seed, piece.number])
    return Composer(rng, int(rng.integers(*settings.bars)) // 4 * 4).song(), rng


def recorded_voices(samples: Path, rng: np.random.Generator, most: int) -> list[Mono]:
    """Recorded phrases, longer than a second, to re-pitch and re-time."""
    shots = [s for group in instruments(samples, "vocals").values() for s in group]
    found: list[Mono] = []
    for index in rng.permutation(len(shots)):
        audio = shots[index].read()
        if 44100 < audio.shape[1] < 441000:
            found.append(audio.mean(axis=0))
        if len(found) == most:
            break
    return found


def renderer_for(settings: Rendering, samples: Path, soundfont: Path | None) -> Renderer:
    """A renderer with all the sounds that can be had."""
    rng = np.random.default_rng(settings.seed)
    choir = Choir(rng, settings.spoken, recorded_voices(samples, rng, settings.recorded))
    return Renderer(samples, soundfont, choir)
