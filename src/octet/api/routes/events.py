"""/v1/jobs/{id}/events: a job as it changes, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response
from starlette.responses import StreamingResponse

from octet.api.openapi import problems
from octet.api.state import Service, ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import JobId, find_job, view_job

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from octet.api.schemas import JobView

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

KEEP_ALIVE = 15.0
"""Seconds after which a comment is sent when nothing has changed."""

_UNRECORDED_EVERY = 2.0

_EVENT = {
    "description": "Each event.",
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"const": "job"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/JobView"},
        },
    },
}


@router.get(
    "/{job_id}/events",
    response_class=Response,
    responses={
        200: {
            "description": "Events `job`, each with the job as data; the last when it has ended.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        **problems(404),
    },
    summary="Follow a job",
)
async def get_events(service: ServiceHere, job_id: JobId) -> Response:
    """The job now, and again whenever it has changed, until it has ended."""
    first = await find_job(service, job_id)
    return StreamingResponse(
        _events(service, first),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(service: Service, first: JobView) -> AsyncIterator[str]:
    yield f"retry: 3000\n\n{_event(first)}"
    last = first
    if first.state in ("done", "failed", "cancelled"):
        return
    async with aclosing(_until_closing(service, _views(service, first.id))) as views:
        async for view in views:
            yield _event(view) if view != last else ": still there\n\n"
            last = view


async def _views(service: Service, job_id: str) -> AsyncGenerator[JobView]:
    """The job again and again. What others pushed has no record before a worker takes it."""
    while await service.queue.get(job_id) is None:
        await asyncio.sleep(_UNRECORDED_EVERY)
        if await service.queue.get(job_id) is None:
            yield await find_job(service, job_id)
    async for job in service.queue.watch(job_id, every=KEEP_ALIVE):
        yield await view_job(service, job)


async def _until_closing(
    service: Service, views: AsyncGenerator[JobView]
) -> AsyncGenerator[JobView]:
    """The same, until this process has been asked to end."""
    closing = asyncio.ensure_future(service.closing.wait())
    try:
        while True:
            coming = asyncio.ensure_future(anext(views, None))
            try:
                await asyncio.wait({coming, closing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not coming.done():
                    coming.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await coming
            if coming.cancelled() or (view := coming.result()) is None:
                return
            yield view
    finally:
        closing.cancel()
        await views.aclose()


def _event(view: JobView) -> str:
    return f"event: job\ndata: {view.model_dump_json()}\n\n"
