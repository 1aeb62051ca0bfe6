"""Tasks end, also those on which a cancellation is lost."""

from __future__ import annotations

import asyncio

import pytest

from octet.worker.tasks import end

pytestmark = pytest.mark.anyio


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
