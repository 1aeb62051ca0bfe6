"""Repeats steps until a server answers, and ends tasks for sure."""

from __future__ import annotations

import asyncio
import logging
import time
from secrets import SystemRandom
from typing import TYPE_CHECKING, Any, TypeVar

from octet.errors import (
    LeaseLostError,
    ObjectMissingError,
    ObjectTooLargeError,
    OctetError,
    QueueError,
    StorageError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")

log = logging.getLogger(__name__)

_FIRST = 0.2
_LONGEST = 15.0
_SAY_AGAIN = 60.0


async def persist(step: Callable[[], Awaitable[T]], *, refused_for: float = 0.0) -> T:
    """Repeats a step until queue and store let it through: no outage of theirs costs a job.

    Args:
        step: may be repeated without harm.
        refused_for: seconds for which a store is tried that answers and refuses (a wrong key, a
            missing bucket, a full disk); somebody may be mending it.

    Raises:
        StorageError: the store still refuses after that time; or no repetition can help, since
            there is no such object, or it is too large.
        OctetError: any other error of the step.
    """
    began, said, pause = time.monotonic(), 0.0, _FIRST
    while True:
        try:
            result = await step()
        except OctetError as error:
            now = time.monotonic()
            if not (_is_outage(error) or (_is_refusal(error) and now - began < refused_for)):
                raise
            if not said or now - said > _SAY_AGAIN:
                said = now
                log.warning("waiting: %s", error)
        else:
            if said:
                log.warning("going on after %.0f s", time.monotonic() - began)
            return result
        await asyncio.sleep(pause * SystemRandom().uniform(0.5, 1.0))
        pause = min(pause * 2, _LONGEST)


async def end(tasks: Iterable[asyncio.Task[Any]], patience: float = 0.2) -> None:
    """Cancels tasks and waits until they have ended, however they end.

    A cancellation can get lost: the Redis client drops one that meets it while it connects. So
    it is repeated.

    Args:
        tasks: those that have ended already are fine.
        patience: seconds that they may take to tidy up before they are cancelled again.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=patience)


def _is_outage(error: OctetError) -> bool:
    if isinstance(error, LeaseLostError):
        return False
    return isinstance(error, QueueError | StorageUnavailableError)


def _is_refusal(error: OctetError) -> bool:
    hopeless = isinstance(error, ObjectMissingError | ObjectTooLargeError)
    return isinstance(error, StorageError) and not hopeless
