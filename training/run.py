"""One command from the music folder to the exported model."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from training.music import add_songs, read_stems
from training.settings import Recipe
from training.strangers import read_stranger, strangers_in
from training.train import Run
from training.validate import excerpts


def main() -> None:
    """Runs the whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--strangers", type=Path)
    parser.add_argument("--name", default="pocket")
    parser.add_argument("--steps", type=int)
    args = parser.parse_args()
    recipe = Recipe()
    if args.steps:
        recipe = replace(recipe, training=replace(recipe.training, steps=args.steps))
    pool = recipe.cache / "pool"
    add_songs(args.music, recipe.songs.train, pool)
    frames = recipe.training.frames
    sets = {
        song: excerpts(read_stems(args.music, song), recipe.spectrum, frames, 24)
        for song in recipe.songs.validate
    }
    if args.strangers:
        for name, path in strangers_in(args.strangers).items():
            sets[name] = excerpts(read_stranger(path), recipe.spectrum, frames, 8)
    Run(recipe, recipe.runs / args.name).train(pool, sets)


if __name__ == "__main__":
    main()
