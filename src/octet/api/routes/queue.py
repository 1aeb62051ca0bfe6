"""/v1/queue and /v1/estimate: what waits and runs, and how long a song may take."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from octet.api.openapi import problems
from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import EstimateRequest, EstimateView, QueueView, WaitingView, plain_view

router = APIRouter(prefix="/v1", tags=["queue"])


@router.get("/queue", response_model=QueueView, responses=problems(), summary="The queue")
async def get_queue(
    service: ServiceHere,
    limit: Annotated[int, Query(ge=0, le=10_000, description="Waiting jobs to list.")] = 100,
) -> QueueView:
    """What waits, in the order in which it will run, and what runs."""
    waiting = [entry for entry in await service.reader.waiting() if entry.song]
    running = await service.queue.jobs(state="running", limit=200)
    workers = await service.queue.workers()
    return QueueView(
        depth=len(waiting),
        waiting=[
            WaitingView(id=entry.job_id, song=entry.song, priority=entry.priority)
            for entry in waiting[:limit]
        ],
        running=[plain_view(job) for job in running.jobs],
        fetching=await service.imports.count(),
        counts=await service.queue.counts(),
        workers=len(workers),
        sick={
            name: worker.about["sick"] for name, worker in workers.items() if "sick" in worker.about
        },
    )


@router.post(
    "/estimate", response_model=EstimateView, responses=problems(400, 408), summary="How long"
)
async def estimate(service: ServiceHere, song: EstimateRequest) -> EstimateView:
    """How long a song would take, by the jobs that finished lately; null where they tell nothing.

    Their songs may have been of other kinds, and other models may have been used.
    """
    rate = await service.estimator.rate()
    seconds = None
    if rate is not None and song.seconds is not None:
        seconds = song.seconds * rate.per_second
    elif rate is not None and song.bytes is not None:
        seconds = song.bytes * rate.per_byte
    workers = len(await service.queue.workers())
    before = await service.queue.depth()
    wait = None
    if workers and (rate is not None or before == 0):
        wait = before * (rate.mean if rate is not None else 0.0) / workers
    return EstimateView(seconds=seconds, wait=wait, basis=rate.jobs if rate else 0)
