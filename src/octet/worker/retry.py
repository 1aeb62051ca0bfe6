"""Waits until a server is back: no outage of the queue or the store costs a job."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from octet.errors import (
    LeaseLostError,
    ObjectMissingError,
    OctetError,
    QueueError,
    StorageError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

_FIRST = 0.2
_LONGEST = 15.0
_SAY_AGAIN = 60.0


async def outlast(step: Callable[[], Awaitable[T]], *, refusals: bool = False) -> T:
    """Repeats a step until the servers that it needs let it through.

    Args:
        step: may be repeated without harm.
        refusals: wait also for a store that answers and refuses (a wrong key, a missing
            bucket, a full disk): right where the fault cannot lie with the job.

    Raises:
        OctetError: any other error of the step.
    """
    began, said, pause = time.monotonic(), 0.0, _FIRST
    while True:
        try:
            result = await step()
        except OctetError as error:
            if not _passes(error, refusals=refusals):
                raise
            now = time.monotonic()
            if not said or now - said > _SAY_AGAIN:
                said = now
                log.warning("waiting: %s", error)
        else:
            if said:
                log.warning("going on after %.0f s", time.monotonic() - began)
            return result
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
        pause = min(pause * 2, _LONGEST)


def _passes(error: OctetError, *, refusals: bool) -> bool:
    if isinstance(error, LeaseLostError | ObjectMissingError):
        return False
    kinds = (QueueError, StorageError) if refusals else (QueueError, StorageUnavailableError)
    return isinstance(error, kinds)
