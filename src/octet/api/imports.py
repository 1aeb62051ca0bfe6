"""Imports as /v1 shows them: jobs that fetch a song, and then stand for the song's own job."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from octet.api.errors import RETRY_AFTER, RefusedError, busy, not_found
from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import (
    AnyState,
    ErrorView,
    JobId,
    JobPage,
    JobView,
    LinksView,
    find_job,
    links_of,
    plain_view,
    view_job,
)
from octet.jobs.import_job import LISTED, PREFIX, Import, ImportRequest
from octet.jobs.imports import MOST_OF_ONE
from octet.jobs.queue import Page
from octet.outbound.guard import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from octet.api.state import Service
    from octet.api.submission import JobOptions
    from octet.jobs.import_job import ImportState

logger = logging.getLogger("octet.api")

_ID = re.compile(rf"{PREFIX}[0-9a-f]{{32}}")


def is_import(job_id: str) -> bool:
    """Whether this is the id of an import; no job's looks like it."""
    return _ID.fullmatch(job_id) is not None


async def add_import(
    service: Service, url: str, options: JobOptions, idempotency_key: str | None, owner: str
) -> tuple[JobView, bool]:
    """Records that a song is to be fetched and separated; whether this very request did.

    Raises:
        ForbiddenAddressError: the address is malformed, or one inside. Names are looked up
            when the song is fetched.
        KeyReusedError: one Idempotency-Key for two requests.
        RefusedError: 503, too many are being fetched; 429, too many of this owner.
        OctetError: options that make no sense.
    """
    recipe = service.offer.resolve(options.given)
    Guard(service.settings.allow_hosts).check(url)
    text = json.dumps([url, options.model_dump(mode="json")], sort_keys=True)
    added = await service.imports.add(
        ImportRequest(
            url=url,
            recipe=recipe.to_dict(),
            key=service.offer.key(recipe),
            callbacks=options.callbacks(),
            priority=options.priority,
            name=options.name or "",
            owner=owner,
        ),
        idempotency_key=idempotency_key,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )
    if added == "full":
        raise busy("too many songs are waiting to be fetched")
    if added == "enough":
        raise RefusedError(
            429,
            "too-many",
            f"{MOST_OF_ONE} songs of this API key are waiting to be fetched",
            "Try again once some of them are there",
            {"Retry-After": RETRY_AFTER},
        )
    record, created = added
    if created:
        logger.info("%s will be fetched", record.id)
        return _plain(record), True
    return await _view(service, record), False


async def find_any(service: Service, job_id: str) -> JobView:
    """A job or an import as it is now.

    Raises:
        RefusedError: 404, there is none.
    """
    if not is_import(job_id):
        return await find_job(service, job_id)
    return await _view(service, await _record(service, job_id))


async def cancel_import(service: Service, import_id: str) -> JobView:
    """Asks for an import's end; once its song has a job, for that job's.

    Raises:
        RefusedError: 404, there is none.
    """
    record = await service.imports.cancel(import_id)
    if record is None:
        raise not_found("job of this id")
    if record.job:
        await service.queue.cancel(record.job)
    return await _view(service, record)


async def list_all(
    service: Service, state: AnyState | None, limit: int, after: str | None
) -> JobPage:
    """Jobs, and the imports that have none (they are fetching, failed or cancelled), the newest
    first.
    """
    jobs, imports = Page([], None), list[Import]()
    if state != "fetching":
        jobs = await service.queue.jobs(state=state, limit=limit, after=after)
    if state is None or state in LISTED:
        imports = await service.imports.page(
            state=cast("ImportState | None", state), limit=limit + 1, after=after
        )
    found = [(place, plain_view(job)) for place, job in zip(jobs.places, jobs.jobs, strict=True)]
    found += [(one.made, _plain(one)) for one in imports]
    if jobs.next is not None:  # those before it are on the next page, beside its jobs
        found = [(place, view) for place, view in found if place >= int(jobs.next)]
    found.sort(key=lambda one: -one[0])
    rest = str(found[limit - 1][0]) if len(found) > limit else jobs.next
    return JobPage(jobs=[view for _, view in found[:limit]], next=rest)


async def follow_import(service: Service, import_id: str) -> AsyncGenerator[JobView]:
    """The import whenever it has changed, and then its job, until that has ended."""
    record = None
    async with aclosing(service.imports.watch(import_id)) as records:  # type: ignore[type-var]
        async for record in records:
            if not record.job:
                yield _plain(record)
    if record is None or not record.job:
        return
    view = await _view(service, record)  # there may be a result alone, and no record of the job
    yield view
    if view.state in ("done", "failed", "cancelled"):
        return
    async for job in service.queue.watch(record.job):
        yield _as_import(await view_job(service, job), record)


async def song_id(service: ServiceHere, song_id: JobId) -> str:
    """The id of a song's result, where clients may give that of an import too (a dependency).

    Raises:
        RefusedError: 404, there is no such import, or its song is not there yet.
    """
    if not is_import(song_id):
        return song_id
    record = await _record(service, song_id)
    if not record.job:
        raise not_found("published result of this song (yet)")
    return record.job


async def _record(service: Service, import_id: str) -> Import:
    record = await service.imports.get(import_id)
    if record is None:
        raise not_found("job of this id")
    return record


async def _view(service: Service, record: Import) -> JobView:
    if record.job:
        return _as_import(await find_job(service, record.job), record)
    return _plain(record)


def _as_import(view: JobView, record: Import) -> JobView:
    """The song's job under the import's id."""
    links = _links(record.id).model_copy(
        update={"song": view.links.song, "archive": view.links.archive}
    )
    return view.model_copy(update={"id": record.id, "job": record.job, "links": links})


def _plain(record: Import) -> JobView:
    """An import whose song has no job: it is being fetched, or came to nothing."""
    fetching = record.state in ("fetching", "submitted")
    state: AnyState = "failed" if record.state == "failed" else "cancelled"
    return JobView(
        id=record.id,
        song=None,
        state="fetching" if fetching else state,
        percent=0,
        bytes=record.arrived if fetching else None,
        size=record.size if fetching else None,
        priority=record.priority,
        attempts=record.attempts,
        name=record.name,
        recipe=dict(record.recipe),
        created=datetime.fromtimestamp(record.created, UTC),
        finished=datetime.fromtimestamp(record.finished, UTC) if record.finished else None,
        cancelling=record.cancelling,
        error=ErrorView(code=record.error.code, message=record.error.message)
        if record.error
        else None,
        links=_links(record.id),
    )


def _links(import_id: str) -> LinksView:
    return links_of(import_id).model_copy(update={"song": None, "archive": None})
