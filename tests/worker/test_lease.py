"""The lease is kept while the work goes on, and lost for good when it is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from octet.errors import CancelledError, LeaseLostError
from octet.jobs import keys
from octet.jobs.claims import Claims
from octet.jobs.reaper import Reaper
from octet.worker.lease import Lease

if TYPE_CHECKING:
    from octet.jobs.claims import Claim
    from tests.worker.service import Service

pytestmark = pytest.mark.anyio

LEASE = 1.5


async def claimed(service: Service) -> tuple[Claims, Claim]:
    await service.songs(1)
    claims = Claims(service.client, "worker-1", lease=LEASE)
    claim = await claims.take(0)
    assert claim is not None
    return claims, claim


async def test_it_lasts_and_tells_how_far_the_work_is(service: Service) -> None:
    claims, claim = await claimed(service)
    lease = Lease(claims, claim, LEASE)
    lease.progress(0.0)
    kept = asyncio.create_task(lease.keep())

    await asyncio.sleep(LEASE)
    lease.progress(0.6)
    await asyncio.sleep(LEASE)
    await Reaper(service.client).reap(thorough=True)

    job = await service.job(claim.job.id)
    assert (job.state, job.percent) == ("running", 60.0)
    assert job.left is not None
    assert 0 < job.left < 5
    assert lease.half_done.is_set()
    await lease.fence()
    kept.cancel()


async def test_it_ends_when_the_job_is_another_s(service: Service) -> None:
    claims, claim = await claimed(service)
    lease = Lease(claims, claim, LEASE)
    await service.client.hset(keys.JOB + claim.job.id, "token", "another's")

    assert await lease.keep() == "lost"
    with pytest.raises(LeaseLostError):
        await lease.fence()


async def test_it_ends_when_the_job_is_cancelled(service: Service) -> None:
    claims, claim = await claimed(service)
    lease = Lease(claims, claim, LEASE)
    await service.queue.cancel(claim.job.id)

    assert await lease.keep() == "cancelled"
    with pytest.raises(CancelledError):
        await lease.fence()
