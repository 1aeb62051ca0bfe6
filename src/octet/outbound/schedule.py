"""When a delivery that failed is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MINUTE = 60.0
_HOUR = 3600.0


@dataclass(frozen=True)
class Schedule:
    """The pauses between attempts.

    Attributes:
        pauses: seconds after the first attempt, the second, and so on; one attempt more than
            there are pauses.
        jitter: the largest share by which chance lengthens a pause, so that what failed
            together does not come back together.
        longest: the longest that a Retry-After is honoured, in seconds.
    """

    pauses: tuple[float, ...]
    jitter: float = 0.2
    longest: float = 24 * _HOUR

    def next_pause(
        self, attempts: int, *, chance: float, retry_after: float | None = None
    ) -> float | None:
        """How long to wait for the next attempt.

        Args:
            attempts: those made so far, at least one.
            chance: a random number from 0 to 1.
            retry_after: seconds that the receiver asked for.

        Returns:
            Seconds, never fewer than the schedule's pause nor than what was asked for (up to
            `longest`); None if this was the last attempt.
        """
        if attempts > len(self.pauses):
            return None
        pause = self.pauses[attempts - 1] * (1.0 + self.jitter * chance)
        return max(pause, min(retry_after or 0.0, self.longest))


EVENTS = Schedule(
    (5.0, 5 * _MINUTE, 30 * _MINUTE, *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24)))
)
"""Ten attempts over three days: the schedule that the Standard Webhooks specification shows."""

LAB = Schedule((5.0, _MINUTE))
"""The lab's callback, which need not succeed: three attempts within about a minute."""


def retry_after(value: str | None, now: datetime) -> float | None:
    """The header Retry-After (RFC 9110, section 10.2.3) in seconds from `now`; None if unusable.

    A receiver may write anything there: nothing is raised, and nothing below 0 is returned.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
