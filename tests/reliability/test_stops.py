"""SIGTERM at any moment: finished, or handed back with no attempt charged (8)."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.chaos import rounds
from tests.reliability.crew import crew

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.worker.service import Service

    Record = Callable[[str, object], None]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(rounds(120, 3600))]

GRACE = 1.0


async def test_sigterm_at_random_moments_costs_no_attempt(
    service: Service, record_property: Record
) -> None:
    chance = random.Random(3)
    count = rounds(2, 50)
    names = await service.songs(count)
    slowest = 0.0
    with crew(service, OCTET_MODEL="odd-slow-2", OCTET_GRACE=str(GRACE)) as people:
        for number in range(count):
            member = people.hire()
            await service.running_any()
            await asyncio.sleep(chance.uniform(0, 2.5))
            twice = number % 2 == 1
            began = time.monotonic()
            for _ in range(1 + twice):
                member.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.05)
            await people.all_dead(20)
            took = time.monotonic() - began
            slowest = max(slowest, took)

            assert member.process.returncode == 0
            assert took < (2.0 if twice else GRACE + 2.0)
            people.members.clear()
            for name in names:
                job = await service.queue.get(name)
                assert job is None or (job.state, job.attempts) in (("waiting", 0), ("done", 1))

    async with service.worker({"model": "original"}):
        jobs = await service.all_ended(names)
    assert {job.outcome for job in jobs} == {"complete"}
    record_property("figure", f"{count} stops, exit 0 each, the slowest took {slowest:.1f} s")
