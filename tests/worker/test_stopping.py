"""SIGTERM: finish in time or hand back; a second one: now."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.worker.service import Service

pytestmark = pytest.mark.anyio


async def exit_status(process: subprocess.Popen[bytes], seconds: float) -> int:
    return await asyncio.to_thread(process.wait, seconds)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_an_idle_worker_stops_at_once(service: Service, number: signal.Signals) -> None:
    with service.process() as process:
        async with asyncio.timeout(30):
            while not await service.queue.workers():  # noqa: ASYNC110 - it lies on a server
                await asyncio.sleep(0.05)
        process.send_signal(number)

        assert await exit_status(process, 5) == 0

    assert await service.queue.workers() == {}


async def test_a_job_that_ends_within_the_grace_is_finished(service: Service) -> None:
    first, second = await service.songs(2)

    with service.process(OCTET_MODEL="odd-slow-2", OCTET_GRACE="20") as process:
        await service.running(first, percent=10)
        process.send_signal(signal.SIGTERM)
        assert await exit_status(process, 20) == 0

    assert (await service.job(first)).outcome == "complete"
    await service.check_published(first)
    assert await service.queue.queue() == [second], "no further job is taken"


async def test_a_longer_job_is_handed_back_without_an_attempt(service: Service) -> None:
    [name] = await service.songs(1)

    with service.process(OCTET_MODEL="odd-slow-60", OCTET_GRACE="1") as process:
        await service.running(name, percent=1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await exit_status(process, 20) == 0
        assert time.monotonic() - began < 4

    job = await service.job(name)
    assert (job.state, job.attempts) == ("waiting", 0)
    assert await service.queue.queue() == [name]
    assert not await service.staged()
    assert list(service.scratch.iterdir()) == []


async def test_a_second_signal_leaves_no_grace(service: Service) -> None:
    [name] = await service.songs(1)

    with service.process(OCTET_MODEL="odd-slow-60", OCTET_GRACE="60") as process:
        await service.running(name, percent=1)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await exit_status(process, 20) == 0
        assert time.monotonic() - began < 2

    job = await service.job(name)
    assert (job.state, job.attempts) == ("waiting", 0)
