"""Progress, cancellation and timings of one song."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from octet.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable


class Watch:
    """Tells how far the work has come, stops it when it is cancelled, and takes its time.

    Args:
        on_progress: called with the share done, 0 to 1.
        cancelled: asked whenever there is progress.
    """

    def __init__(
        self, on_progress: Callable[[float], None] | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self.cancelled = cancelled
        self._tell = on_progress
        self._start = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def __call__(self, share: float) -> None:
        """Tells of progress; raises CancelledError if the work was cancelled."""
        if self.cancelled and self.cancelled():
            raise CancelledError("the separation was cancelled")
        if self._tell:
            self._tell(share)

    def part(self, start: float, end: float) -> Callable[[float], None]:
        """Progress of a part of the work that goes from `start` to `end` of the whole."""
        return lambda share: self(start + (end - start) * share)

    def lap(self, name: str) -> None:
        """Ends the part `name` of the timings."""
        now = time.perf_counter()
        self._laps[name] = round(now - self._last, 3)
        self._last = now

    def timings(self) -> dict[str, float]:
        """Seconds of each part, and of the whole."""
        return {**self._laps, "total": round(time.perf_counter() - self._start, 3)}
