"""/apiv1: the lab's API, as its many clients speak it."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from octet.api.base64song import Base64Song
from octet.api.errors import RefusedError, not_found
from octet.api.openapi import reasons
from octet.api.published import Result, send_track
from octet.api.ranges import send_object
from octet.api.state import Service, ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.submission import job_request, submit
from octet.api.uploads import body_of, check_length, receive_song
from octet.api.views import ReasonView, split_id
from octet.errors import ObjectMissingError
from octet.jobs.job import Callback
from octet.results import publication
from octet.results.keys import ResultKeys
from octet.tracks import STEM_FILE, TRACKS

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(prefix="/apiv1", tags=["the lab's API"])

logger = logging.getLogger("octet.api")

_ALIASES = {"base": "bass"}
_MORE_TRACKS = ("guitar", "piano", "rest")
_LONGEST_MODEL = 200

_REQUEST = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["mp3"],
                    "properties": {
                        "mp3": {"type": "string", "format": "byte"},
                        "model": {"type": "string"},
                        "callback": {
                            "anyOf": [
                                {
                                    "type": "object",
                                    "required": ["url"],
                                    "properties": {"url": {"type": "string"}, "data": {}},
                                },
                                {"type": "null"},
                            ]
                        },
                    },
                },
                "example": {
                    "mp3": "SUQzBAAAAAAA",
                    "callback": {"url": "http://localhost:5000", "data": {"mp3": "song.mp3"}},
                },
            }
        },
    }
}


@router.post(
    "/separate",
    response_model=dict[str, str],
    responses=reasons(408, 413),
    openapi_extra=_REQUEST,
    summary="Submit a song in base64",
)
async def separate(request: Request, service: ServiceHere) -> dict[str, str]:
    """Takes a song and puts it on the queue, once."""
    await service.check_room()
    limit = service.settings.max_upload
    check_length(request.headers.get("content-length", ""), limit, share=0.75)
    document = Base64Song(body_of(request))
    async with aclosing(document.song) as chunks, receive_song(service, chunks) as song:
        recipe = service.offer.resolve({"model": _model(document.fields)})
        job = job_request(service, song, recipe, _callbacks(document.fields))
        await submit(service, song, job)
    await service.queue.choose(song.sha256, job.key, recipe.fingerprint)
    return {"hash": song.sha256, "reason": "Song enqueued for separation"}


@router.get(
    "/queue", response_model=dict[str, list[str]], responses=reasons(), summary="What waits"
)
async def queue(service: ServiceHere) -> dict[str, list[str]]:
    """The songs that wait, in the order in which they will run."""
    return {"queue": await service.reader.songs()}


@router.get(
    "/track/{song}/{track}",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"audio/*": {}}},
        206: {"description": "A part of it, as the header Range asks.", "content": {"audio/*": {}}},
        304: {"description": "It is the one that the client has."},
        **reasons(404, 416),
    },
    summary="A track",
)
async def track(request: Request, service: ServiceHere, song: str, track: str) -> Response:
    """The file of a track, as a download."""
    result, name = await _find_track(service, song, track)
    if result is not None:
        return await send_track(request, service, result.keys, name, song)
    bucket, key = service.buckets.output, ResultKeys(song).track(name)
    return send_object(request, bucket, await bucket.head(key), key)


@router.get(
    "/remove/{song}/{track}",
    response_model=ReasonView,
    responses=reasons(404),
    operation_id="remove_by_get",
    summary="Remove a track",
)
@router.delete(
    "/remove/{song}/{track}",
    response_model=ReasonView,
    responses=reasons(404),
    operation_id="remove",
    summary="Remove a track",
)
async def remove(service: ServiceHere, song: str, track: str) -> ReasonView:
    """Deletes a track. The manifest lists it no more; without any tracks it goes as well."""
    result, name = await _find_track(service, song, track)
    bucket = service.buckets.output
    if result is None:
        await bucket.delete(ResultKeys(song).track(name))
    elif not await publication.remove_track(bucket, result.keys, name):
        raise not_found("such track of this song (yet)")
    logger.info("%s of song %s was removed", name, song)
    return ReasonView(reason=f"Track {name} removed")


router.add_api_route(
    "/track/{song}/{track}", track, methods=["HEAD"], include_in_schema=False, name="track_head"
)


async def _find_track(service: Service, song: str, track: str) -> tuple[Result | None, str]:
    """The result with a track, None where other workers published it, and its proper name.

    Raises:
        RefusedError: 400 for a track that there is not, 404 where it is not published.
    """
    name = _track_name(track)
    _, recipe = split_id(song)
    if recipe:
        raise not_found("song of this name")
    result = await _find_result(service, song)
    if result is not None and name in result.manifest.tracks:
        return result, name
    if result is None and await _is_of_others(service, song, ResultKeys(song).track(name)):
        return None, name
    raise not_found("such track of this song (yet)")


def _track_name(track: str) -> str:
    bare = track.removesuffix(".mp3")
    name = _ALIASES.get(bare, bare)
    if name not in (*TRACKS, *_MORE_TRACKS):
        raise RefusedError(400, "unknown-track", "there is no such track", f"{', '.join(TRACKS)}")
    return name


async def _find_result(service: Service, song: str) -> Result | None:
    """The result that was last asked for through this API; of a song that was not, the one under
    the plain names, else the newest.
    """
    chosen = await service.queue.chosen(song)
    if chosen is not None:
        return await _find_chosen(service, song, *chosen)
    manifest = await service.find_manifest(song, "")
    if manifest is not None:
        return Result(song, "", manifest)
    found = [
        entry
        async for entry in service.buckets.output.list(song)
        if entry.key.endswith("/manifest.json")
    ]
    for entry in sorted(found, key=lambda entry: entry.modified, reverse=True):
        recipe = entry.key.split("/")[1]
        manifest = await service.find_manifest(song, recipe)
        # A stem file has none of the tracks that this API hands out.
        if manifest is not None and STEM_FILE not in manifest.tracks:
            return Result(song, recipe, manifest)
    return None


async def _find_chosen(service: Service, song: str, key: str, fingerprint: str) -> Result | None:
    manifest = await service.find_manifest(song, key)
    if manifest is None:
        return None
    if manifest.fingerprint != fingerprint:
        # What stands there is of an earlier default: not to be handed out as the new one.
        job = await service.queue.get(f"{song}-{key}" if key else song)
        if job is not None and not job.ended:
            return None
    return Result(song, key, manifest)


async def _is_of_others(service: Service, song: str, key: str) -> bool:
    """Whether other workers published this track: there is no manifest, and no job of ours that
    might be in the middle of its publication.
    """
    job = await service.queue.get(song)
    if job is not None and job.state != "done":
        return False
    try:
        await service.buckets.output.head(key)
    except ObjectMissingError:
        return False
    return True


def _model(fields: Mapping[str, Any]) -> str | None:
    model = fields.get("model")
    if model is None or model == "":
        return None
    if not isinstance(model, str) or len(model) > _LONGEST_MODEL:
        raise RefusedError(400, "unknown-model", "the model is not a name")
    return model


def _callbacks(fields: Mapping[str, Any]) -> tuple[Callback, ...]:
    """The callback, if it makes sense; it may fail, and never fails the job."""
    given = fields.get("callback")
    if not isinstance(given, dict) or not isinstance(given.get("url"), str) or not given["url"]:
        return ()
    return (Callback(given["url"], given.get("data")),)
