"""The processor's share of this process: its cores, the streams of work on them, its memory."""

from __future__ import annotations

import ctypes
import math
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")

_SMALL_FILE = 32 * 2**20
"""Networks up to this size get a stream of work for each core: their memory is small, and
cores that need not wait for each other do more."""
_CORES_A_STREAM = 8
"""For larger networks, whose every stream costs hundreds of megabytes."""
_MAX_STREAMS = 8

_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK = 4 * 2**20


def available_cores() -> int:
    """Cores that this process may run on, less what a container's quota keeps from it."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    quota = container_quota(_CGROUPS)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def container_quota(root: Path) -> float | None:
    """The limit of a container in cores, of cgroups v2 or v1 at `root`; None without one."""
    with suppress(OSError, ValueError):
        limit, period = (root / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    with suppress(OSError, ValueError):
        microseconds = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_v1 = int((root / "cpu" / "cpu.cfs_period_us").read_text())
        return microseconds / period_v1 if microseconds > 0 else None
    return None


def streams_for(size: int, cores: int) -> int:
    """How many segments to compute at once, for a model file of so many bytes."""
    return max(1, min(_MAX_STREAMS, cores if size <= _SMALL_FILE else cores // _CORES_A_STREAM))


@cache
def return_large_blocks() -> bool:
    """Has the C library give every freed block of 4 MiB or more back to the system at once.

    By itself glibc keeps blocks of up to 32 MiB for later (mallopt(3), M_MMAP_THRESHOLD), each
    thread in a heap of its own. With the spectra of several segments on their way through
    several threads that is 80 MB of nothing, for 4 % less time.

    Returns:
        Whether this C library can be told so; others than glibc do it by themselves.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK) == 1
