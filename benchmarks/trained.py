"""Speed and memory of the training frameworks' networks, of published sizes, seeded weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from benchmarks import material
from benchmarks.measure import median, spread
from octet.separation.models.folder import parse_yaml
from octet.separation.models.frameworks.architectures import architecture_of
from octet.separation.models.frameworks.config import Config
from octet.separation.models.frameworks.published import BS_ROFORMER, MELBAND
from octet.separation.models.spec import About

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.measure import Run

    Separate = Callable[..., Run]

SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "melband": ("Kim's Mel-Band RoFormer (dim 384, depth 6, 228 million weights)", MELBAND),
    "bs_roformer": ("viperx's BS-RoFormer (dim 512, depth 12, 160 million weights)", BS_ROFORMER),
}


def folder(name: str) -> Path:
    """A folder with the YAML file and a checkpoint of one of SIZES."""
    place = material.FOLDER / f"{name}-sized"
    weights, described = place / "sized.safetensors", place / "sized.yaml"
    if described.exists():
        return place
    import torch
    from safetensors.torch import save_file

    place.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(SIZES[name][1])
    config = Config.read("sized.yaml", parse_yaml("sized.yaml", text.encode()))
    torch.manual_seed(8)
    network, _ = architecture_of(config).build(config, About(name))
    save_file({key: value.clone() for key, value in network.state_dict().items()}, weights)
    described.write_text(text, encoding="utf-8")
    return place


def speed(separate: Separate, rounds: int, seconds: int = 24) -> list[str]:
    """Each network's vocals with `pocket` on the rest: time and memory, and what conversion took.

    Args:
        separate: runs `octet separate` on a song, with options.
        rounds: how often.
        seconds: length of the song.
    """
    lines = [f"Networks of published sizes, seeded weights, `+pocket`, a song of {seconds} s:"]
    for name, (what, _) in SIZES.items():
        options = ("--model", f"{folder(name)}+pocket")
        first = separate(material.song(5), *options)
        runs = [separate(material.song(seconds), *options) for _ in range(rounds)]
        times = seconds / median(runs).seconds
        lines.append(f"- {what}: {spread(runs)}: {times:.2f} times real time")
        lines.append(f"  - a song of 5 s and the conversion before it: {spread([first])}")
    return lines


def memory(separate: Separate, short: int = 12, long: int = 60) -> list[str]:
    """Peak memory of the faster one for a song and for one five times as long."""
    options = ("--model", f"{folder('melband')}+pocket")
    separate(material.song(5), *options)
    one, other = (separate(material.song(seconds), *options) for seconds in (short, long))
    return [
        f"Memory, {SIZES['melband'][0]}, `+pocket`: {short} s {one.megabytes:.0f} MB, {long} s "
        f"{other.megabytes:.0f} MB: {(other.megabytes / one.megabytes - 1) * 100:+.1f} % "
        f"({long} s took {other.seconds:.0f} s)",
    ]
