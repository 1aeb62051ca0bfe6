"""How many processor cores this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


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
