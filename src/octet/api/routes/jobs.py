"""/v1/jobs: submit, list, look, cancel."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from octet.api.errors import RefusedError, not_found
from octet.api.intake import StoredSong, measure_song, store_song, submit
from octet.api.multipart import Form
from octet.api.openapi import problems
from octet.api.options import JobOptions, clean_name, read_options
from octet.api.schemas import JobPage, JobView
from octet.api.state import Service, ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import JobId, find_job, plain_view, split_id, view_accepted, view_job
from octet.jobs.job import JobRequest, State
from octet.outbound.fetch import fetch
from octet.outbound.guard import Guard

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
logger = logging.getLogger("octet.api")

_LONGEST_JSON = 256 * 1024

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
                        "url": {"type": "string", "description": "Address to fetch it from."},
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
        **problems(400, 404, 408, 413, 415),
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
    song, options = await _take_in(service, request)
    recipe = service.offer.resolve(options.given)
    job = JobRequest(
        song=song.sha256,
        recipe=recipe.to_dict(),
        key=service.offer.key(recipe),
        bucket=service.settings.queue_bucket,
        object=song.key,
        callbacks=options.callbacks(),
        priority=options.priority,
        name=options.name or "",
    )
    accepted = await submit(
        service, job, idempotency_key=idempotency_key, digest=_digest(song, options)
    )
    response.status_code = 202 if accepted.created else 200
    response.headers["Location"] = f"/v1/jobs/{accepted.id}"
    return await view_accepted(service, accepted)


@router.get("", response_model=JobPage, responses=problems(), summary="List jobs")
async def list_jobs(
    service: ServiceHere,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        str | None, Query(pattern=r"^[0-9]{1,18}$", description="`next` of the page before.")
    ] = None,
) -> JobPage:
    """Recorded jobs, the newest first."""
    page = await service.queue.jobs(state=state, limit=limit, after=after)
    return JobPage(jobs=[plain_view(job) for job in page.jobs], next=page.next)


@router.get("/{job_id}", response_model=JobView, responses=problems(404), summary="Look at a job")
async def get_job(service: ServiceHere, job_id: JobId) -> JobView:
    """How far a job is."""
    return await find_job(service, job_id)


@router.delete("/{job_id}", response_model=JobView, responses=problems(404), summary="Cancel")
async def cancel_job(service: ServiceHere, job_id: JobId) -> JobView:
    """Asks for a job's end. One that runs stops soon (`cancelling`); what has ended stays."""
    split_id(job_id)
    job = await service.queue.cancel(job_id)
    if job is None:
        raise not_found("job of this id")
    logger.info("job %s: its end was asked for, it is %s", job.id, job.state)
    return await view_job(service, job)


async def _take_in(service: Service, request: Request) -> tuple[StoredSong, JobOptions]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    check_length(request, service)
    if kind == "multipart/form-data":
        return await _from_form(service, request)
    if kind == "application/json":
        return await _from_json(service, request)
    options = read_options(dict(request.query_params))
    service.offer.resolve(options.given)
    return await store_song(service, request.stream()), options


async def _from_form(service: Service, request: Request) -> tuple[StoredSong, JobOptions]:
    form = Form(request.headers["content-type"], request.stream())
    async with aclosing(form.file) as chunks:
        song = await store_song(service, chunks)
    options = read_options({**request.query_params, **form.fields})
    if options.name is None and form.file_name:
        options = options.model_copy(update={"name": clean_name(form.file_name)})
    return song, options


async def _from_json(service: Service, request: Request) -> tuple[StoredSong, JobOptions]:
    fields = await _read_json(request)
    url, key = fields.pop("url", None), fields.pop("object", None)
    options = read_options({**request.query_params, **fields})
    service.offer.resolve(options.given)
    if isinstance(url, str) and key is None:
        guard = Guard(service.settings.allow_hosts)
        async with fetch(url, guard, limit=service.settings.max_upload) as remote:
            return await store_song(service, remote.chunks), options
    if isinstance(key, str) and url is None:
        return await measure_song(service, key), options
    raise RefusedError(400, "no-song", "the document needs either 'url' or 'object', a text")


def check_length(request: Request, service: Service, *, share: float = 1.0) -> None:
    """Refuses what says itself that it is too large, before any of it is read.

    Args:
        request: its header Content-Length.
        service: its limit.
        share: of the body's bytes that are the song's.
    """
    length = request.headers.get("content-length", "")
    limit = service.settings.max_upload
    if length.isdecimal() and int(length) * share > limit + _LONGEST_JSON:
        raise RefusedError(
            413, "limit", f"the song is larger than {limit} bytes", "OCTET_MAX_UPLOAD is the limit"
        )


async def _read_json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_JSON:
            raise RefusedError(413, "limit", "the JSON document is too large")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "malformed", "the body is no valid JSON") from None
    if not isinstance(fields, dict):
        raise RefusedError(400, "malformed", "the body is no JSON object")
    return fields


def _digest(song: StoredSong, options: JobOptions) -> str:
    """What two requests under one Idempotency-Key must have in common."""
    text = json.dumps([song.sha256, options.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
