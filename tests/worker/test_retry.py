"""Outages are waited for, refusals for a while; what will not pass is raised at once; tasks end."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import pytest

from octet.errors import (
    LeaseLostError,
    ObjectMissingError,
    ObjectTooLargeError,
    OctetError,
    QueueUnavailableError,
    StorageError,
    StorageUnavailableError,
)
from octet.worker import retry
from octet.worker.retry import end, persist

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio


def failing(error: OctetError, times: int) -> Callable[[], Awaitable[str]]:
    """A step that fails so many times, then succeeds."""
    left = [error] * times

    async def step() -> str:
        if left:
            raise left.pop()
        return "done"

    return step


@pytest.mark.parametrize("kind", [QueueUnavailableError, StorageUnavailableError])
async def test_a_server_that_is_away_is_waited_for(
    kind: type[OctetError], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert await persist(failing(kind("away"), 3)) == "done"

    said = [record.getMessage() for record in caplog.records if record.name == retry.__name__]
    assert [text.split()[0] for text in said] == ["waiting:", "going"]


@pytest.mark.parametrize("kind", [LeaseLostError, ObjectMissingError, StorageError])
async def test_other_errors_pass_at_once(kind: type[OctetError]) -> None:
    with pytest.raises(kind):
        await persist(failing(kind("no"), 1))


async def test_refusals_are_waited_for_where_the_job_is_not_at_fault() -> None:
    assert await persist(failing(StorageError("refused"), 1), refused_for=60) == "done"
    for kind in (ObjectMissingError, ObjectTooLargeError):
        with pytest.raises(kind):
            await persist(failing(kind("no"), 1), refused_for=60)


async def test_a_store_that_goes_on_refusing_is_not_waited_for_without_end() -> None:
    began = time.monotonic()

    with pytest.raises(StorageError, match="refused"):
        await persist(failing(StorageError("refused"), 1000), refused_for=1.0)

    assert 1.0 <= time.monotonic() - began < 10


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    async def deaf_once() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await end([task], patience=0.05)

    assert task.cancelled()


async def test_what_has_ended_stays_as_it_is() -> None:
    async def quick() -> int:
        return 3

    task = asyncio.create_task(quick())
    await task

    await end([task])
    await end([])

    assert task.result() == 3
