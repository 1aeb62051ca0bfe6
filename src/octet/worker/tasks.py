"""Ends tasks for sure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


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
