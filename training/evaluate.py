"""How well a model separates songs whose stems are known.

`python -m training.evaluate --music DIR [--model NAME] [--json]` reads a folder laid out as
described in `music` (`stems.json`), sums the parts into stems and mix, separates the mix with
the shipped package, and prints the signal-to-distortion ratio of every stem of every song:
10 log10 of the reference's energy over the error's, over the whole song, and as the median
over the seconds in which the reference sounds; and the same of the mix as its own estimate.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from octet.separation.model import ModelChoice
from octet.separation.models.loading import load
from octet.tracks import close_the_sum
from training.music import read_stems, song_names
from training.settings import RATE
from training.strangers import read_stranger, strangers_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from training.audiofile import Audio

ORDER = ("vocals", "drums", "bass", "other")
"""The stems in the order of the tables."""

SOUNDS = 10 ** (-50 / 20)
"""The root mean square above which a second of a reference counts as sounding."""

Scores = dict[str, dict[str, float]]
"""For `song`, `frames`, `mix_song` and `mix_frames`: stem -> dB."""


class Separating(Protocol):
    """What is evaluated: `octet.separation.models.loading.LoadedModel`."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems, in the order of the blocks."""

    def stems(self, song: MixInMemory) -> Iterator[Audio]:
        """Blocks of shape (S, 2, n)."""


class MixInMemory:
    """A mix as the separator reads it; see `octet.separation.model.Song`."""

    def __init__(self, audio: Audio) -> None:
        middle = audio.mean(axis=0, dtype=np.float64)
        self.audio = audio
        self.rate = RATE
        self.samples = int(audio.shape[1])
        self.mean = float(middle.mean())
        self.deviation = float(middle.std(ddof=1))

    def read(self, start: int, count: int) -> Audio:
        """Float32 of shape (2, count), zeros outside the song."""
        out = np.zeros((2, count), np.float32)
        first, last = max(start, 0), min(start + count, self.samples)
        if last > first:
            out[:, first - start : last - start] = self.audio[:, first:last]
        return out


@dataclass
class Energies:
    """Energies of reference and errors, second by second, of one stem."""

    reference: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    mix_error: npt.NDArray[np.float64]

    @classmethod
    def of(cls, samples: int) -> Energies:
        """Zeros for a song of so many samples."""
        return cls(*(np.zeros(-(-samples // RATE)) for _ in range(3)))

    def add(self, start: int, reference: Audio, estimate: Audio, mix: Audio) -> None:
        """Counts a block that begins at sample `start`."""
        frame = (start + np.arange(reference.shape[1])) // RATE
        for total, values in (
            (self.reference, reference),
            (self.error, reference - estimate),
            (self.mix_error, reference - mix),
        ):
            energy = np.square(values, dtype=np.float64).sum(axis=0)
            np.add(total, np.bincount(frame, energy, minlength=len(total)), out=total)

    def scores(self) -> dict[str, float] | None:
        """The four figures in dB; None where the reference is silent."""
        sounding = self.reference > 2 * RATE * SOUNDS**2
        if not sounding.any():
            return None
        loud = self.reference[sounding]
        return {
            "song": ratio(self.reference.sum(), self.error.sum()),
            "frames": float(np.median(ratio(loud, self.error[sounding]))),
            "mix_song": ratio(self.reference.sum(), self.mix_error.sum()),
            "mix_frames": float(np.median(ratio(loud, self.mix_error[sounding]))),
        }


def ratio(signal: Any, error: Any) -> Any:
    """10 log10 of two energies, at most 100 dB."""
    return 10 * np.log10(signal / np.maximum(error, 1e-10 * np.asarray(signal)))


def evaluate_song(model: Separating, stems: Mapping[str, Audio]) -> Scores:
    """Separates the sum of a song's stems and compares.

    Args:
        model: a model of 44.1 kHz, as `octet.separation.models.loading.load` gives it.
        stems: the true stems, float32 of shape (2, samples) each.

    Returns:
        Kind of figure -> stem -> dB. Stems that are silent throughout are left out.
    """
    mix = np.asarray(sum(stems[name] for name in ORDER), dtype=np.float32)
    energies = {name: Energies.of(mix.shape[1]) for name in ORDER}
    start = 0
    for block in model.stems(MixInMemory(mix)):
        count = block.shape[2]
        here = mix[:, start : start + count]
        found = close_the_sum(here, dict(zip(model.sources, block, strict=True)))
        for name in ORDER:
            energies[name].add(start, stems[name][:, start : start + count], found[name], here)
        start += count
    scores: Scores = {"song": {}, "frames": {}, "mix_song": {}, "mix_frames": {}}
    for name, sums in energies.items():
        for kind, value in (sums.scores() or {}).items():
            scores[kind][name] = round(value, 2)
    return scores


def evaluate(
    songs: Mapping[str, Callable[[], dict[str, Audio]]],
    model: str = "pocket",
    *,
    excerpt: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Evaluates a model on songs.

    Args:
        songs: name -> what reads its stems.
        model: a name, folder or file, as for `octet separate --model`.
        excerpt: start and length in seconds, to take that part of each song alone.

    Returns:
        `model`, `songs` (name -> scores) and `means` (over songs, in the same shape).
    """
    loaded = load(ModelChoice(model))
    results: dict[str, Scores] = {}
    for name, read in songs.items():
        stems = read()
        if excerpt is not None:
            first, last = (int(t * RATE) for t in (excerpt[0], sum(excerpt)))
            stems = {stem: audio[:, first:last] for stem, audio in stems.items()}
        results[name] = evaluate_song(loaded, stems)
    return {
        "model": loaded.identity.name,
        "songs": results,
        "means": _means(list(results.values())),
    }


def _means(all_scores: list[Scores]) -> Scores:
    means: Scores = {}
    for kind in ("song", "frames", "mix_song", "mix_frames"):
        columns = {n: [s[kind][n] for s in all_scores if n in s[kind]] for n in ORDER}
        means[kind] = {n: round(fmean(values), 2) for n, values in columns.items() if values}
    return means


def table(report: Mapping[str, Any]) -> str:
    """The report as text: a line a song, whole-song SDR first, medians in brackets."""
    lines = [f"{'SDR in dB (median of seconds)':32}" + "".join(f"{n:>16}" for n in ORDER)]
    rows = [*report["songs"].items(), ("mean", report["means"])]
    for name, scores in rows:
        for label, kind, frames in (("", "song", "frames"), (" (mix)", "mix_song", "mix_frames")):
            cells = _cells(scores[kind], scores[frames])
            lines.append(f"{name + label:32}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def _cells(song: Mapping[str, float], frames: Mapping[str, float]) -> Iterator[str]:
    for name in ORDER:
        yield f"{song[name]:.2f} ({frames[name]:.2f})" if name in song else "-"


def readers(
    music: Path | None, names: list[str] | None, strangers: Path | None
) -> dict[str, Callable[[], dict[str, Audio]]]:
    """The songs of a music folder, and of a folder of strangers, each read when its turn comes."""
    found: dict[str, Callable[[], dict[str, Audio]]] = {}
    if music:
        for name in names or song_names(music):
            found[name] = lambda name=name: read_stems(music, name)  # type: ignore[misc]  # mypy cannot infer defaults of lambdas
    if strangers:
        for name, path in strangers_in(strangers).items():
            found[name] = lambda path=path: read_stranger(path)  # type: ignore[misc]  # the same
    return found


def main() -> None:
    """Evaluates and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--music", type=Path, help="a folder with stems.json")
    parser.add_argument("--songs", help="some of its songs, by commas; all unless given")
    parser.add_argument("--strangers", type=Path, help="a folder of stem files or part folders")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--excerpt", type=float, nargs=2, metavar=("START", "SECONDS"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    songs = readers(args.music, args.songs.split(",") if args.songs else None, args.strangers)
    report = evaluate(songs, args.model, excerpt=tuple(args.excerpt) if args.excerpt else None)
    print(json.dumps(report, indent=2) if args.json else table(report))


if __name__ == "__main__":
    main()
