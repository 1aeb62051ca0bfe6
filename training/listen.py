"""Whether the bundled model's stems sound whole: silence, and the borders of its segments.

`python -m training.listen SONG... [--json]` separates songs with the shipped package and
prints for every stem

- how loud it is, at most, in two seconds of silence between the song's end and its beginning,
  played again (dBFS);
- at how many of the borders between segments it jumps (its second difference), and at how many
  its level changes, more than at 99 of 100 other places: 1 % of the borders would by chance.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from octet.separation.model import ModelChoice
from octet.separation.models.loading import load
from octet.tracks import close_the_sum
from training.audiofile import read_audio
from training.evaluate import ORDER, MixInMemory
from training.settings import RATE, Recipe

if TYPE_CHECKING:
    from training.audiofile import Audio
    from training.evaluate import Separating

SILENCE = 2 * RATE
EDGE = RATE // 5
"""Around the silence: what rings on from the music is not counted."""

NEAR = 64
"""Samples on both sides of a border in which a jump is looked for."""
AROUND = RATE // 20
"""Samples on both sides of a border whose levels are compared."""

Values = npt.NDArray[np.float64]


def borders(samples: int) -> npt.NDArray[np.int64]:
    """Where segments of the bundled model begin and end, away from the song's own ends."""
    export, hop = Recipe().export, Recipe().spectrum.hop
    segment = export.frames * hop
    starts = np.arange(0, samples, int((1 - export.overlap) * segment))
    places = np.unique(np.concatenate([starts, starts + segment]))
    return places[(places > RATE) & (places < samples - RATE)]


def jumps(stem: Audio, places: npt.NDArray[np.int64]) -> Values:
    """The largest second difference near each place, over its usual size around there."""
    bent = np.abs(np.diff(stem.mean(axis=0, dtype=np.float64), n=2))
    near = [bent[p - NEAR : p + NEAR].max() for p in places]
    usual = [np.sqrt(np.mean(bent[p - AROUND : p + AROUND] ** 2)) for p in places]
    return np.asarray(near) / (np.asarray(usual) + 1e-9)


def steps(stem: Audio, places: npt.NDArray[np.int64]) -> Values:
    """By how many decibels the level changes at each place, up or down."""
    energy = np.square(stem, dtype=np.float64).sum(axis=0)
    before = np.asarray([energy[p - AROUND : p].mean() for p in places])
    after = np.asarray([energy[p : p + AROUND].mean() for p in places])
    changes: Values = np.abs(10 * np.log10((after + 1e-8) / (before + 1e-8)))
    return changes


def share_above(values: Values, usual: Values) -> float:
    """The share of values beyond 99 of 100 usual ones."""
    return float(np.mean(values > np.quantile(usual, 0.99))) if len(values) else 0.0


def separated(model: Separating, audio: Audio) -> dict[str, Audio]:
    """The song's four stems, each shaped like the song."""
    blocks = np.concatenate(list(model.stems(MixInMemory(audio))), axis=2)
    return close_the_sum(audio, dict(zip(model.sources, blocks, strict=True)))


def listen(model: Separating, audio: Audio) -> dict[str, dict[str, float]]:
    """Takes the measures of one song.

    Args:
        model: the bundled model.
        audio: float32 of shape (2, samples), ten seconds or more.

    Returns:
        For every stem `silence` in dBFS, the number of `borders`, and `jumps` and `steps` as
        shares of them.
    """
    end = audio.shape[1]
    silence = np.zeros((2, SILENCE), np.float32)
    stems = separated(model, np.concatenate([audio, silence, audio[:, : 2 * SILENCE]], axis=1))
    quiet = slice(end + EDGE, end + SILENCE - EDGE)
    places = borders(end)
    others = np.random.default_rng(0).integers(RATE, end - RATE, 4000)
    return {
        stem: {
            "borders": len(places),
            "silence": float(20 * np.log10(np.abs(stems[stem][:, quiet]).max() + 1e-10)),
            "jumps": share_above(jumps(stems[stem], places), jumps(stems[stem], others)),
            "steps": share_above(steps(stems[stem], places), steps(stems[stem], others)),
        }
        for stem in ORDER
    }


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path, nargs="+", metavar="SONG")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    model = load(ModelChoice("pocket", device="cpu"))
    found = {path.name: listen(model, read_audio(path)) for path in args.songs}
    if args.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'song':<28}{'stem':<8}{'silence dBFS':>14}{'borders':>9}{'jumps':>8}{'steps':>8}")
    for song, stems in found.items():
        for stem, figures in stems.items():
            print(
                f"{song[:26]:<28}{stem:<8}{figures['silence']:>14.1f}{figures['borders']:>9}"
                f"{figures['jumps']:>8.1%}{figures['steps']:>8.1%}"
            )


if __name__ == "__main__":
    main()
