"""Keeps a claim while its song is worked on, and fences what is published of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal

from octet.errors import CancelledError, LeaseLostError, QueueError
from octet.worker import failpoints

if TYPE_CHECKING:
    from octet.jobs.claims import Claim, Claims

End = Literal["lost", "cancelled"]

_TELL_EVERY = 1.0
"""Seconds between two reports of progress, unless the lease wants them more often."""

_HALF = 0.5


class Lease:
    """The renewals of one claim, and the progress that they tell.

    Args:
        claims: the worker's.
        claim: the one to keep.
        seconds: length of the lease.

    Attributes:
        half_done: set once half of a separation is done.
    """

    def __init__(self, claims: Claims, claim: Claim, seconds: float) -> None:
        self._claims = claims
        self._claim = claim
        self._every = min(seconds / 3, _TELL_EVERY)
        self._share = 0.0
        self._began: float | None = None
        self.half_done = asyncio.Event()

    def progress(self, share: float) -> None:
        """Notes how far the separation has come, 0 to 1."""
        if self._began is None or share < self._share:
            self._began = time.monotonic()
        self._share = share
        if share >= _HALF:
            self.half_done.set()

    async def keep(self) -> End:
        """Renews again and again, and returns when that is to end: why.

        A queue server that does not answer is no reason: while it is away nobody else gets the
        job either, and when it is back the next renewal tells whether the lease has outlived it.
        """
        while True:
            try:
                answer = await self._claims.renew(
                    self._claim, percent=self._share * 100, left=self._left()
                )
            except LeaseLostError:
                return "lost"
            except QueueError:
                answer = "go on"
            if answer == "cancelled":
                return "cancelled"
            await asyncio.sleep(self._every)

    async def fence(self) -> None:
        """Raises unless the claim holds at this moment.

        Raises:
            LeaseLostError: it is another's.
            CancelledError: somebody wants the job to end.
            QueueError: that cannot be found out now.
        """
        if await self._claims.renew(self._claim, percent=100.0, left=0.0) == "cancelled":
            raise CancelledError("the job was cancelled")
        failpoints.reached("publish")

    def _left(self) -> float | None:
        if self._began is None or self._share <= 0.0:
            return None
        return (time.monotonic() - self._began) * (1 - self._share) / self._share
