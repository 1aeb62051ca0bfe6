"""Points at which a test can have the supervisor die, as in a power cut, or be suspended.

Off unless OCTET_FAILPOINT is set. `OCTET_FAILPOINT=manifest` sends the process SIGKILL when it
first reaches that point, `OCTET_FAILPOINT=upload:3` when it reaches it for the third time, and
`OCTET_FAILPOINT=publish:5:STOP` sends SIGSTOP.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Literal, get_args

Point = Literal[
    "claim",  # a job was claimed, nothing else has happened
    "download",  # its song lies in the scratch folder
    "separation",  # its tracks lie there
    "upload",  # a track is about to be staged (once a track)
    "publish",  # the fence was passed, before a step that others can see (several times)
    "manifest",  # all is published, the queue does not know of it
    "acknowledgement",  # the queue knows, callbacks are in the outbox
    "callback",  # a callback was made, the outbox does not know of it
]

POINTS: tuple[Point, ...] = get_args(Point)
VARIABLE = "OCTET_FAILPOINT"

_reached: Counter[str] = Counter()


def reached(point: Point) -> None:
    """Says that the process is at this point; it may not come back."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    name, count, number = (*wanted.split(":"), "", "")[:3]
    if name == point:
        _reached[point] += 1
        if _reached[point] == int(count or 1):
            os.kill(os.getpid(), signal.Signals[f"SIG{number or 'KILL'}"])
