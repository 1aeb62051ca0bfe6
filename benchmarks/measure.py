"""Running whole programs and reading what the system says they took."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run of a program: wall time in seconds, largest resident set in MB."""

    seconds: float
    megabytes: float


def run(command: Sequence[str], log: Path, extra: Mapping[str, str] | None = None) -> Run:
    """Runs a program to its end, its output appended to `log`.

    Raises:
        SystemExit: the program failed; the end of its output is shown.
    """
    with log.open("ab") as file:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(extra or {})},
        )
        # wait4 gives this child's own peak, where getrusage mixes all children so far.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{tail}")
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_maxrss / unit)


def median(runs: Sequence[Run]) -> Run:
    """The median of the times, and of the peaks."""
    return Run(
        statistics.median(one.seconds for one in runs),
        statistics.median(one.megabytes for one in runs),
    )


def spread(runs: Sequence[Run]) -> str:
    """Times and peaks as text: median (least to most)."""
    times = [one.seconds for one in runs]
    middle = median(runs)
    return (
        f"{middle.seconds:.1f} s ({min(times):.1f} to {max(times):.1f}), {middle.megabytes:.0f} MB"
    )
