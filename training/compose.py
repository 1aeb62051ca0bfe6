"""Fills the pool with composed and rendered music, piece by piece, each from its own seed."""

from __future__ import annotations

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

    from training.settings import Rendering
    from training.synth import Mono


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


def compose_songs(
    settings: Rendering, renderer: Renderer, pool: Path, *, first: int = 0, origin: str = "render"
) -> None:
    """Composes and renders the songs from number `first` on that are not in the pool yet."""
    for number in range(first, settings.songs):
        group = f"song-{number:04d}"
        if (pool / origin / group).exists():
            continue
        rng = np.random.default_rng([settings.seed, number])
        song = Composer(rng, int(rng.integers(*settings.bars)) // 4 * 4).song()
        for stem, audio in renderer.stems(song, rng).items():
            if effects.loudness(audio) > 1e-3:
                save_clip(pool, origin, group, stem, "song", audio)


def compose_basses(settings: Rendering, renderer: Renderer, pool: Path) -> None:
    """Composes and renders the struck basses that are not in the pool yet."""
    for number in range(settings.struck):
        group = f"bass-{number:04d}"
        if (pool / "struck" / group).exists():
            continue
        rng = np.random.default_rng([settings.seed, number, 1])
        song = Composer(rng, settings.bars[0]).struck_bass()
        save_clip(pool, "struck", group, "bass", "line", renderer.stems(song, rng)["bass"])
