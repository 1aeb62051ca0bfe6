"""/v1/queue, /v1/models, /v1/estimate: what there is, and how long it may take."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from octet.api.estimate import recent_rate
from octet.api.openapi import problems
from octet.api.schemas import (
    EstimateRequest,
    EstimateView,
    ModelList,
    ModelView,
    QueueView,
    WaitingView,
)
from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import plain_view
from octet.errors import ModelPolicyError
from octet.separation.models.registry import REGISTRY

router = APIRouter(prefix="/v1", tags=["queue"])


@router.get("/queue", response_model=QueueView, responses=problems(), summary="The queue")
async def get_queue(
    service: ServiceHere,
    limit: Annotated[int, Query(ge=0, le=10_000, description="Waiting jobs to list.")] = 100,
) -> QueueView:
    """What waits, in the order in which it will run, and what runs."""
    waiting = [entry for entry in await service.listing.waiting() if entry.song]
    running = await service.queue.jobs(state="running", limit=200)
    return QueueView(
        depth=len(waiting),
        waiting=[
            WaitingView(id=entry.job_id, song=entry.song, priority=entry.priority)
            for entry in waiting[:limit]
        ],
        running=[plain_view(job) for job in running.jobs],
        counts=await service.queue.counts(),
        workers=len(await service.queue.workers()),
    )


@router.get("/models", response_model=ModelList, responses=problems(), summary="The models")
async def get_models(service: ServiceHere) -> ModelList:
    """The models that a job may name. Whether a worker has the weights shows when it runs."""
    default = service.offer.default.model
    models = []
    for entry in REGISTRY.values():
        try:
            service.offer.check_model(entry.name)
        except ModelPolicyError:
            continue
        models.append(
            ModelView(
                name=entry.name,
                description=entry.description,
                licence=entry.licence,
                commercial=entry.commercial,
                stems=list(entry.sources),
                default=entry.name == default,
            )
        )
    return ModelList(models=models)


@router.post(
    "/estimate", response_model=EstimateView, responses=problems(400, 408), summary="How long"
)
async def estimate(service: ServiceHere, song: EstimateRequest) -> EstimateView:
    """How long a song would take, by the jobs that finished lately; null where they tell nothing.

    Their songs may have been of other kinds, and other models may have been used.
    """
    rate = await recent_rate(service)
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
