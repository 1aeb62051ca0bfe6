"""The curves of a run as a picture: `python -m training.plot RUN OUT.png`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from training.settings import STEMS

mpl.use("Agg")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; of lines for the same step, the last one counts."""
    lines: dict[tuple[int, bool], dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        lines[entry["step"], "validation" in entry] = entry
    return [lines[key] for key in sorted(lines)]


def smooth(values: list[float], width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A running mean over `width` values."""
    width = max(min(width, len(values)), 1)
    return np.convolve(values, np.ones(width) / width, mode="valid")


def plot(run: Path, out: Path) -> None:
    """Draws the training loss, and the validation SDR of every set."""
    import matplotlib.pyplot as plt

    log = read_log(run / "log.jsonl")
    losses = [entry for entry in log if "loss" in entry]
    checks = [entry for entry in log if "validation" in entry]
    names = list(checks[-1]["validation"]) if checks else []
    figure, axes = plt.subplots(1, 1 + len(names), figsize=(4.2 * (1 + len(names)), 3.6))
    axes = np.atleast_1d(axes)
    curve = smooth([entry["loss"] for entry in losses], 50)
    axes[0].plot([entry["step"] for entry in losses][-len(curve) :], curve, color="black")
    axes[0].set_title("training loss (mean of 50 steps)")
    for axis, name in zip(axes[1:], names, strict=True):
        for stem in STEMS:
            points = [(c["step"], c["validation"][name].get(stem)) for c in checks]
            if all(value is not None for _, value in points):
                axis.plot(*zip(*points, strict=True), label=stem)
        axis.set_title(f"SDR on {name}, dB")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    for axis in axes:
        axis.set_xlabel("step")
    figure.tight_layout()
    figure.savefig(out, dpi=80)
    plt.close(figure)


def main() -> None:
    """Draws the curves of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    plot(args.run, args.out)


if __name__ == "__main__":
    main()
