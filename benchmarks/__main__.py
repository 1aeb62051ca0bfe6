"""`make bench`: runs the comparisons and prints them; `--write` keeps them in docs/.

Absolute times say little on a shared machine. What counts are ratios of runs that
alternated, and the spread that is printed beside them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import encoding, material, report, service, trained
from benchmarks.measure import Run, median, run, spread

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = Path(sys.executable).parent
OUTPUT = material.FOLDER / "out"
LOG = material.FOLDER / "programs.log"
SLOW = ("memory-sized", "roformers", "memory-roformers")
"""Parts that run only where they are named."""
REPORT = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def octet(song: Path, *options: str) -> Run:
    """One run of `octet separate`."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    return run([str(PROGRAMS / "octet"), "separate", str(song), "-o", str(OUTPUT), *options], LOG)


def demucs(song: Path, folder: Path) -> Run:
    """One run of demucs' own program, as its users call it."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    command = [str(PROGRAMS / "demucs"), "--mp3", "-d", "cpu", "--repo", str(folder)]
    return run([*command, "-n", "sized", "-o", str(OUTPUT), str(song)], LOG)


def sized() -> tuple[str, ...]:
    """Octet's options for the checkpoint of htdemucs' size, converted beforehand."""
    options = ("--model", str(material.checkpoint()), "--trust-checkpoint")
    octet(material.song(5), *options)
    return options


def compare(rounds: int) -> list[str]:
    """Wall time and peak memory against `demucs --mp3`, the same weights, in turn."""
    song, folder = material.song(60), material.checkpoint()
    options = sized()
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(demucs(song, folder))
        ours.append(octet(song, *options))
    a, b = median(theirs), median(ours)
    ratios = sorted(t.seconds / o.seconds for t, o in zip(theirs, ours, strict=True))
    return [
        f"htdemucs' size, a song of 60 s, {rounds} runs each, in turn:",
        f"- `demucs --mp3` (4 tracks): {spread(theirs)}",
        f"- `octet separate` (8 tracks): {spread(ours)}",
        f"- **{a.seconds / b.seconds:.2f} times faster** (pair by pair {ratios[0]:.2f} to "
        f"{ratios[-1]:.2f}), **{b.megabytes / a.megabytes:.2f} of the memory**",
    ]


def pocket(rounds: int) -> list[str]:
    """Speed of the bundled model, all tracks encoded as MP3; and without encoding much."""
    song = material.song(60)
    octet(song)
    whole = [octet(song) for _ in range(rounds)]
    bare = [octet(song, "--tracks", "vocals", "--format", "wav") for _ in range(rounds)]
    long = octet(material.song(360))
    return [
        f"`pocket`, a song of 60 s, {rounds} runs:",
        f"- eight MP3 files: {spread(whole)}: {60 / median(whole).seconds:.1f} times real time",
        f"- vocals alone, WAV: {spread(bare)}: {60 / median(bare).seconds:.1f} times real time",
        f"- eight MP3 files of a song of 360 s: {long.seconds:.1f} s: "
        f"{360 / long.seconds:.1f} times real time",
        *encoding.alone(song),
    ]


def memory_pocket() -> list[str]:
    """Peak memory of the bundled model for 6 and for 60 minutes."""
    return _memory("pocket", ())


def memory_sized() -> list[str]:
    """Peak memory at htdemucs' size for 6 and for 60 minutes. Takes long."""
    return _memory("htdemucs' size", sized())


def _memory(name: str, options: tuple[str, ...]) -> list[str]:
    short = octet(material.song(360), *options)
    long = octet(material.song(3600), *options)
    return [
        f"Memory, {name}: 6 minutes {short.megabytes:.0f} MB, 60 minutes {long.megabytes:.0f} MB: "
        f"{(long.megabytes / short.megabytes - 1) * 100:+.1f} % (60 minutes took "
        f"{long.seconds:.0f} s: {3600 / long.seconds:.1f} times real time)",
    ]


def machine() -> str:
    """Processors and what they can, without the machine's name."""
    from openvino import Core

    core = Core()
    able = ", ".join(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    name = core.get_property("CPU", "FULL_DEVICE_NAME").strip()
    return (
        f"{name}, {os.cpu_count()} cores, OpenVINO can {able}; Python {platform.python_version()}"
    )


def main() -> None:
    """Runs what was asked for, or everything but what takes long."""
    parts: dict[str, Callable[[int], list[str]]] = {
        "demucs": compare,
        "pocket": pocket,
        "queue": lambda _: service.queue_figures(),
        "load": lambda _: service.load_figures(),
        "service": lambda rounds: service.overhead(material.song(60), rounds),
        "memory": lambda _: memory_pocket(),
        "memory-sized": lambda _: memory_sized(),
        "roformers": lambda rounds: trained.speed(octet, rounds),
        "memory-roformers": lambda _: trained.memory(octet),
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"keep the result in {REPORT.name}")
    asked = parser.parse_args()
    names = asked.parts or [name for name in parts if name not in SLOW]
    where = machine()
    print(f"Machine: {where}", flush=True)
    for name in names:
        result = parts[name](asked.rounds)
        print("\n".join(result), flush=True)
        if asked.write:
            report.keep(REPORT, name, where, result)


if __name__ == "__main__":
    main()
