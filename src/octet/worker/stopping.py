"""How a worker is told to stop: once kindly, a second time at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

AT_ONCE = 1.5
"""Seconds from the second signal until the process ends whatever happens."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FOR_HANDING_BACK = 0.1
"""Share of the grace that is kept for handing a job back."""


class Stopping:
    """What has been asked for so far.

    Args:
        grace: seconds that the work under way may still take after the first signal.

    Attributes:
        asked: set by the first signal.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace * (1 - _FOR_HANDING_BACK)
        self._at_once = asyncio.Event()
        self.asked = asyncio.Event()

    def request(self) -> None:
        """Asks for the end; asking again leaves no grace."""
        if self.asked.is_set():
            self._at_once.set()
        self.asked.set()

    async def overdue(self) -> None:
        """Returns when the work under way has to be handed back."""
        await self.asked.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                await self._at_once.wait()

    def listen(self) -> None:
        """Takes SIGTERM and SIGINT from now on. For the main thread."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled)

    def unlisten(self) -> None:
        """Gives the signals back."""
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _signalled(self) -> None:
        self.request()
        if self._at_once.is_set():
            # What cannot be handed back by then comes back when its lease runs out.
            asyncio.get_running_loop().call_later(AT_ONCE, os._exit, 0)
