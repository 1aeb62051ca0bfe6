"""A child process whose models do odd things; otherwise the real one.

`python -m tests.worker.odd_compute FD`, as tests/worker/service.py and program.py start it. The
model's name says what happens when it separates:

    odd-shares      vocals, drums and bass are fixed shares of the mix
    odd-kill        the process is killed
    odd-murder      the process kills its supervisor
    odd-exit        the process ends
    odd-raise       a fault of the program
    odd-stall       nothing, for ever
    odd-hog         takes memory without end
    odd-slow-N      takes N seconds, with progress
    odd-hold-N      holds the interpreter's lock for N seconds
    odd-lost        the device is lost when and while the folder OCTET_TEST_LOST says so
    odd-load-N      takes N seconds to be loaded, and repeats itself meanwhile
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from octet.errors import DeviceError
from octet.results import manifest
from octet.separation.model import ONCE
from octet.separation.models import registry
from octet.worker import compute

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from octet.separation.model import ModelChoice, Passes, Song

NAMES = (
    *("odd-shares", "odd-kill", "odd-murder", "odd-exit", "odd-raise", "odd-stall", "odd-hog"),
    *("odd-lost", "odd-load-5", "odd-load-60"),
    *(f"odd-{what}-{seconds}" for what in ("slow", "hold") for seconds in (1, 2, 5, 10, 20, 60)),
)

LOST = "OCTET_TEST_LOST"
"""Names a folder: a file `armed` there becomes `lost` during a separation, and while there is a
file `lost`, there is no device."""

CGROUP = "OCTET_TEST_CGROUP"
"""Names a control group that the process joins at its start."""

SHARES = {"vocals": 0.5, "drums": 0.25, "bass": 0.125}

_MIB = 1024**2
_BLOCK = 44_100


def entries() -> dict[str, registry.Entry]:
    """What the registry has to hold for a supervisor to accept the odd models in messages."""
    return {name: replace(registry.REGISTRY["pocket"], name=name) for name in NAMES}


class Odd:
    """A model that does what its name says."""

    sources = tuple(SHARES)
    samplerate = None
    description = "odd"
    runtime: ClassVar[dict[str, str]] = {"name": "none", "device": "cpu", "precision": "fp32"}

    def __init__(self, name: str) -> None:
        self.identity = manifest.Model(name=name, sha256="", licence="MIT", commercial=True)
        _, self._what, *seconds = name.split("-")
        self._seconds = float(seconds[0]) if seconds else 0.0

    def stems(self, song: Song, passes: Passes = ONCE) -> Generator[np.ndarray, None, None]:
        on_progress = passes.on_progress
        assert on_progress is not None
        on_progress(0.1)
        if self._what != "shares":
            getattr(self, f"_{self._what}")(on_progress)
        factors = np.array(list(SHARES.values()), np.float32)[:, None, None]
        for start in range(0, song.samples, _BLOCK):
            count = min(_BLOCK, song.samples - start)
            yield song.read(start, count) * factors
            on_progress((start + count) / song.samples)

    def _lost(self, _: Callable[[float], None]) -> None:
        armed = Path(os.environ[LOST], "armed")
        if armed.exists():
            armed.rename(armed.with_name("lost"))
            raise RuntimeError("the device fell off the bus")

    def _load(self, _: Callable[[float], None]) -> None:
        """Was loaded, which is all."""

    def _kill(self, _: Callable[[float], None]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _murder(self, _: Callable[[float], None]) -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)

    def _exit(self, _: Callable[[float], None]) -> None:
        os._exit(3)

    def _raise(self, _: Callable[[float], None]) -> None:
        raise RuntimeError("an odd fault")

    def _stall(self, _: Callable[[float], None]) -> None:
        while True:
            time.sleep(1)

    def _hog(self, _: Callable[[float], None]) -> None:
        taken = []
        while True:
            taken.append(np.ones(8 * _MIB, np.uint8))
            time.sleep(0.002)

    def _slow(self, on_progress: Callable[[float], None]) -> None:
        end = time.monotonic() + self._seconds
        while (left := end - time.monotonic()) > 0:
            on_progress(1 - left / self._seconds)
            time.sleep(0.02)

    def _hold(self, _: Callable[[float], None]) -> None:
        # Unlike CDLL, PyDLL keeps the interpreter's lock during the call.
        libc = ctypes.PyDLL(None)
        end = time.monotonic() + self._seconds
        while (left := end - time.monotonic()) > 0:
            libc.usleep(int(min(left, 0.9) * 1e6))


def load(wanted: ModelChoice, on_model: Callable[[str, int, int], None]) -> object:
    """An odd model, or a real one."""
    if wanted.name == "odd-lost" and Path(os.environ[LOST], "lost").exists():
        raise DeviceError("the device is lost")
    if str(wanted.name).startswith("odd-load-"):
        for _ in range(int(str(wanted.name).rpartition("-")[2]) * 5):
            on_model("something", 1, 2)
            time.sleep(0.2)
    if wanted.name in NAMES:
        return Odd(str(wanted.name))
    return compute.load_model(wanted, on_model)


if __name__ == "__main__":
    if CGROUP in os.environ:
        Path(os.environ[CGROUP], "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    compute.main(load)  # type: ignore[arg-type]  # Odd is a Model as far as it goes
