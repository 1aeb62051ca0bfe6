"""One command from the folders of music and samples to the exported model.

`python -m training.run --music DIR --samples DIR` makes the data, trains, exports and draws
the curves. Every stage takes up what an earlier call left in `training/cache` and
`training/runs`, so that it may be interrupted at any time.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from training.compose import Studio
from training.export import export, read_network
from training.music import add_songs, read_stems
from training.network import calibrated
from training.plot import plot
from training.samples import add_phrases
from training.settings import HERE, Recipe
from training.strangers import read_stranger, strangers_in
from training.train import Run
from training.validate import excerpts

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.audiofile import Audio
    from training.batches import Batch

STAGES = ("data", "songs", "train", "export")
WEIGHTS = HERE.parent / "src/octet/separation/models/weights/pocket.onnx"
CURVES = HERE.parent / "docs/pocket-curves.png"


def make_data(recipe: Recipe, music: Path, samples: Path) -> None:
    """Puts the recorded songs and the strung-together samples into the pool."""
    add_songs(music, recipe.songs.train, recipe.pool)
    add_phrases(samples, "vocals", recipe.pool, recipe.albums[0].seed)


def validation_sets(recipe: Recipe, music: Path, strangers: Path | None) -> dict[str, list[Batch]]:
    """Excerpts of the songs to validate on, by name, kept in the cache."""

    def kept(name: str, read: Callable[[], dict[str, Audio]], most: int) -> list[Batch]:
        frames = recipe.training.frames
        path = recipe.cache / f"validation-{name}-{frames}.pt"
        if not path.exists():
            torch.save(excerpts(read(), recipe.spectrum, frames, most), path)
        batches: list[Batch] = torch.load(path, weights_only=True)
        return batches

    sets = {s: kept(s, lambda s=s: read_stems(music, s), 24) for s in recipe.songs.validate}  # type: ignore[misc]  # mypy cannot infer defaults of lambdas
    for name, path in strangers_in(strangers).items() if strangers else ():
        sets[name] = kept(name, lambda path=path: read_stranger(path), 8)  # type: ignore[misc]  # the same
    return sets


def main() -> None:
    """Runs the whole recipe, or some of its stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--music", type=Path, required=True, help="folder with stems.json")
    parser.add_argument("--samples", type=Path, required=True, help="folder of instruments")
    parser.add_argument("--soundfont", type=Path, help="a General MIDI soundfont for FluidSynth")
    parser.add_argument("--strangers", type=Path, help="further songs to validate on")
    parser.add_argument("--name", default="pocket", help="of the run, in training/runs")
    parser.add_argument("--start", type=Path, help="an exported model to train on from")
    parser.add_argument("--steps", type=int, help="in place of the recipe's")
    parser.add_argument("--rate", type=float, help="in place of the recipe's")
    parser.add_argument(
        "--between", type=int, nargs=2, metavar="STEP", default=(None, None),
        help="export the mean of the weights from one step to another, not the last ones",
    )  # fmt: skip
    parser.add_argument("--stages", default=",".join(STAGES), help="some of " + ",".join(STAGES))
    args = parser.parse_args()
    stages, recipe = args.stages.split(","), Recipe()
    changed = {key: value for key in ("steps", "rate") if (value := getattr(args, key))}
    recipe = replace(recipe, training=replace(recipe.training, **changed))
    start = read_network(args.start, recipe) if args.start else None
    run = Run(recipe, recipe.runs / args.name, start)
    if "data" in stages:
        make_data(recipe, args.music, args.samples)
    if "songs" in stages:
        for album in recipe.albums:
            Studio(album, args.samples, args.soundfont, recipe.pool).compose()
    if "train" in stages:
        run.train(recipe.pool, validation_sets(recipe, args.music, args.strangers))
    if "export" in stages:
        export(
            calibrated(run.result(*args.between), recipe.export.sharpness, recipe.export.gain),
            recipe,
            WEIGHTS,
        )
        plot(run.folder, CURVES)


if __name__ == "__main__":
    main()
