"""/v1/jobs: submit, list, look, follow, cancel."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import AsyncIterator  # noqa: TC003  # FastAPI reads it
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from octet.api.auth import owner_of
from octet.api.errors import RefusedError, busy, not_found
from octet.api.imports import (
    add_import,
    cancel_import,
    find_any,
    follow_import,
    is_import,
    list_all,
)
from octet.api.multipart import Form
from octet.api.openapi import problems
from octet.api.state import Service, ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.submission import JobOptions, clean_name, job_request, read_options, submit
from octet.api.uploads import (
    LONGEST_JSON,
    body_of,
    check_length,
    measure_song,
    receive_song,
)
from octet.api.views import (
    AnyState,
    JobId,
    JobPage,
    JobView,
    find_job,
    finished_view,
    split_id,
    view_job,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from octet.intake.songs import Song

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
logger = logging.getLogger("octet.api")

_ENDED = ("done", "failed", "cancelled")
_UNRECORDED_EVERY = 2.0
"""Seconds between looks at a message of somebody else, which has no record yet."""

_OPTIONS = JobOptions.model_json_schema(ref_template="#/components/schemas/{model}")
_DEFS = _OPTIONS.pop("$defs", {})
_OPTIONS["properties"]["callback"] = {
    "anyOf": [_DEFS.get("LabCallback", {}), {"type": "null"}],
    "description": "Data that is POSTed to an address when files were published.",
}


def _body(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    merged = {**_OPTIONS, **more, "properties": {**properties, **_OPTIONS["properties"]}}
    return {"schema": merged}


_REQUEST = {
    "requestBody": {
        "required": True,
        "description": "The song as a form's file, as the raw body (the options are in the "
        "query then), or a JSON document that says where it is.",
        "content": {
            "multipart/form-data": _body(
                {"file": {"type": "string", "format": "binary"}}, required=["file"]
            ),
            "audio/mpeg": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {
                **_body(
                    {
                        "url": {
                            "type": "string",
                            "description": "Address from which it is to be fetched, later.",
                        },
                        "object": {
                            "type": "string",
                            "description": "Key of an object in the queue bucket.",
                        },
                    }
                ),
                "example": {"url": "https://example.org/song.flac", "format": "flac"},
            },
        },
    }
}


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    responses={
        200: {"model": JobView, "description": "It is known: waiting, running or done already."},
        **problems(400, 404, 408, 413, 415, 429),
    },
    openapi_extra=_REQUEST,
    summary="Submit a song",
)
async def submit_job(
    request: Request,
    response: Response,
    service: ServiceHere,
    idempotency_key: Annotated[
        str | None,
        Header(max_length=255, description="The client's own name for this request."),
    ] = None,
) -> JobView:
    """Takes a song and puts it on the queue, once for the same song and options."""
    await service.check_room()
    place = await _place_of(service, request) if _kind(request) == "application/json" else None
    if place is not None and place.url is not None:
        owner = owner_of(request.headers, service.settings)
        view, created = await add_import(service, place.url, place.options, idempotency_key, owner)
        return _accepted(response, view, created=created)
    async with _receive(service, request, place) as (song, options):
        recipe = service.offer.resolve(options.given)
        job = job_request(
            service,
            song,
            recipe,
            options.callbacks(),
            priority=options.priority,
            name=options.name or "",
        )
        accepted = await submit(
            service, song, job, idempotency_key=idempotency_key, digest=_digest(song, options)
        )
    view = (
        finished_view(accepted.id)
        if accepted.job is None
        else await view_job(service, accepted.job)
    )
    return _accepted(response, view, created=accepted.created)


@router.get("", response_model=JobPage, responses=problems(), summary="List jobs")
async def list_jobs(
    service: ServiceHere,
    state: Annotated[
        AnyState | None,
        Query(description="Only those in this state."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None, Query(pattern=r"^[0-9]{1,18}$", description="`next` of the page before.")
    ] = None,
) -> JobPage:
    """Recorded jobs, the newest first, and imports whose songs are not there (yet)."""
    return await list_all(service, state, limit, after)


@router.get("/{job_id}", response_model=JobView, responses=problems(404), summary="Look at a job")
async def get_job(service: ServiceHere, job_id: JobId) -> JobView:
    """How far a job is."""
    return await find_any(service, job_id)


@router.delete("/{job_id}", response_model=JobView, responses=problems(404), summary="Cancel")
async def cancel_job(service: ServiceHere, job_id: JobId) -> JobView:
    """Asks for a job's end. One that runs stops soon (`cancelling`); what has ended stays."""
    if is_import(job_id):
        return await cancel_import(service, job_id)
    split_id(job_id)
    job = await service.queue.cancel(job_id)
    if job is None:
        raise not_found("job of this id")
    logger.info("job %s: its end was asked for, it is %s", job.id, job.state)
    return await view_job(service, job)


async def _stream(service: ServiceHere) -> AsyncIterator[None]:
    """A place among the streams, until the answer is over."""
    if service.streams.locked():
        raise busy("too many event streams are open")
    async with service.streams:
        yield


@router.get(
    "/{job_id}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(_stream)],
    responses={
        200: {
            "description": "Events `job`, each with the job as data; the last when it has ended."
        },
        **problems(404),
    },
    summary="Follow a job",
)
async def get_events(
    service: ServiceHere, first: Annotated[JobView, Depends(get_job)]
) -> AsyncIterator[ServerSentEvent]:
    """The job now, and again whenever it has changed, until it has ended.

    Comments in between show that the connection is alive.
    """
    yield ServerSentEvent(event="job", data=first, retry=3000)
    if first.state in _ENDED:
        return
    last = first
    async with aclosing(_until_closing(service, _views(service, first.id))) as views:
        async for view in views:
            if view != last:
                yield ServerSentEvent(event="job", data=view)
            last = view


async def _views(service: Service, job_id: str) -> AsyncGenerator[JobView]:
    """The job again and again. What others pushed has no record before a worker takes it."""
    if is_import(job_id):
        async for view in follow_import(service, job_id):
            yield view
        return
    while await service.queue.get(job_id) is None:
        await asyncio.sleep(_UNRECORDED_EVERY)
        if await service.queue.get(job_id) is None:
            yield await find_job(service, job_id)
    async for job in service.queue.watch(job_id):
        yield await view_job(service, job)


async def _until_closing(
    service: Service, views: AsyncGenerator[JobView]
) -> AsyncGenerator[JobView]:
    """The same, until this process has been asked to end."""
    closing = asyncio.ensure_future(service.health.closing.wait())
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


@dataclass(frozen=True)
class _Place:
    """Where a song is that does not come with the request: at an address, or in the bucket."""

    url: str | None
    key: str | None
    options: JobOptions


async def _place_of(service: Service, request: Request) -> _Place:
    """What a JSON document says.

    Raises:
        RefusedError: it names no song, or two.
    """
    check_length(request.headers.get("content-length", ""), service.settings.max_upload)
    fields = await _read_json(request)
    url, key = fields.pop("url", None), fields.pop("object", None)
    options = read_options({**request.query_params, **fields})
    service.offer.resolve(options.given)
    if isinstance(url, str) and key is None:
        return _Place(url, None, options)
    if isinstance(key, str) and url is None:
        return _Place(None, key, options)
    raise RefusedError(400, "no-song", "the document needs either 'url' or 'object', a text")


@contextlib.asynccontextmanager
async def _receive(
    service: Service, request: Request, place: _Place | None
) -> AsyncIterator[tuple[Song, JobOptions]]:
    """The song of a request and its options; what is known before the body is checked first."""
    if place is not None:
        assert place.key is not None  # noqa: S101  # an address is fetched by others
        yield await measure_song(service, place.key), place.options
        return
    check_length(request.headers.get("content-length", ""), service.settings.max_upload)
    query = dict(request.query_params)
    if _kind(request) == "multipart/form-data":
        service.offer.resolve(read_options(query).given)
        form = Form(request.headers["content-type"], body_of(request))
        async with (
            aclosing(form.file) as chunks,
            receive_song(service, chunks) as song,
        ):
            options = read_options({**query, **form.fields})
            if options.name is None and form.file_name:
                options = options.model_copy(update={"name": clean_name(form.file_name)})
            yield song, options
    else:
        options = read_options(query)
        service.offer.resolve(options.given)
        async with receive_song(service, body_of(request)) as song:
            yield song, options


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _accepted(response: Response, view: JobView, *, created: bool) -> JobView:
    response.status_code = 202 if created else 200
    response.headers["Location"] = view.links.self
    return view


async def _read_json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in body_of(request):
        body += chunk
        if len(body) > LONGEST_JSON:
            raise RefusedError(413, "limit", "the JSON document is too large")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "malformed", "the body is no valid JSON") from None
    if not isinstance(fields, dict):
        raise RefusedError(400, "malformed", "the body is no JSON object")
    return fields


def _digest(song: Song, options: JobOptions) -> str:
    """What two requests under one Idempotency-Key must have in common."""
    text = json.dumps([song.sha256, options.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


for path, endpoint in (("", list_jobs), ("/{job_id}", get_job)):
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
