"""Recorded songs: a folder with one folder of parts a song, and `stems.json`.

`stems.json` maps song -> stem -> list of part files; parts of no certain stem are under
`unsure` and left out. A song's mix is the sum of its parts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from training.audiofile import read_audio
from training.pool import save_clip
from training.settings import RATE, STEMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.audiofile import Audio


def song_names(music: Path) -> list[str]:
    """The songs that `stems.json` lists."""
    return sorted(json.loads((music / "stems.json").read_text()))


def parts_of(music: Path, song: str, stem: str) -> list[Path]:
    """The part files of one stem of a song."""
    listed = json.loads((music / "stems.json").read_text())[song]
    return [music / song / name for name in listed.get(stem, [])]


def read_stems(music: Path, song: str) -> dict[str, Audio]:
    """A song's four stems, each the sum of its parts, cut to the shortest part.

    Returns:
        Stem name -> float32 of shape (2, samples); a stem without parts is silent.
    """
    stems = {stem: [read_audio(p) for p in parts_of(music, song, stem)] for stem in STEMS}
    count = min(part.shape[1] for parts in stems.values() for part in parts)
    silence = np.zeros((2, count), np.float32)
    return {
        stem: sum((part[:, :count] for part in parts), silence) for stem, parts in stems.items()
    }


def sounding(audio: Audio, *, floor_db: float = -50.0, gap: float = 0.7) -> Iterator[slice]:
    """The stretches in which something sounds.

    Args:
        audio: float32 of shape (2, samples).
        floor_db: level below full scale that counts as silence, over 50 ms.
        gap: silences shorter than this many seconds do not part two stretches.
    """
    block = RATE // 20
    count = audio.shape[1] // block
    energy = (audio[:, : count * block] ** 2).reshape(2, count, block).mean(axis=(0, 2))
    loud = np.flatnonzero(energy > 10 ** (floor_db / 10))
    if not len(loud):
        return
    breaks = np.flatnonzero(np.diff(loud) > gap * 20)
    for first, last in zip(
        np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(loud) - 1]]), strict=True
    ):
        yield slice(int(loud[first]) * block, (int(loud[last]) + 1) * block)


def add_song(music: Path, song: str, pool: Path) -> None:
    """Puts a song into the pool: every part without its silences, and the stems whole."""
    fade = np.linspace(0, 1, 441, dtype=np.float32)
    for stem in STEMS:
        for path in parts_of(music, song, stem):
            audio = read_audio(path)
            pieces = []
            for where in sounding(audio):
                piece = audio[:, where].copy()
                piece[:, :441] *= fade
                piece[:, -441:] *= fade[::-1]
                pieces.append(piece)
            joined = np.concatenate(pieces, axis=1) if pieces else np.zeros((2, 0), np.float32)
            if joined.shape[1] >= RATE:
                save_clip(pool, "music", song, stem, path.stem, joined)
    for stem, audio in read_stems(music, song).items():
        save_clip(pool, "music", song, stem, "whole", audio)


def add_songs(music: Path, songs: tuple[str, ...], pool: Path) -> None:
    """Puts those songs into the pool that are not in it yet."""
    for song in songs:
        if not (pool / "music" / song / STEMS[-1] / "whole.npy").exists():
            add_song(music, song, pool)
