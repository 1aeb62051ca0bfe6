"""/v1/songs: what was published. The manifest, the tracks, all of them at once, none of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from starlette.responses import StreamingResponse

from octet.api.archive import zip_length, zip_stream
from octet.api.errors import RefusedError, not_found
from octet.api.imports import song_id as id_of_song
from octet.api.openapi import problems
from octet.api.published import find_result, send_track
from octet.api.state import ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.uploads import discard_song, is_needed
from octet.api.views import split_id
from octet.results import publication
from octet.results.keys import ResultKeys
from octet.results.manifest import Manifest  # FastAPI reads it
from octet.storage.headers import disposition
from octet.tracks import file_name

router = APIRouter(prefix="/v1/songs", tags=["songs"])

logger = logging.getLogger("octet.api")

SongId = Annotated[str, Depends(id_of_song)]

TrackName = Annotated[
    str, Path(description="A track of the manifest, with or without its ending.", max_length=64)
]


@router.get(
    "/{song_id}",
    response_model=Manifest,
    responses=problems(404),
    summary="The manifest",
)
async def get_manifest(service: ServiceHere, song_id: SongId) -> Response:
    """What was published for a song, once the set is complete."""
    result = await find_result(service, song_id)
    return Response(result.manifest.to_json(), media_type="application/json")


@router.get(
    "/{song_id}/tracks/{track}",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {"audio/*": {}}},
        206: {"description": "A part of it, as the header Range asks.", "content": {"audio/*": {}}},
        304: {"description": "It is the one that the client has."},
        307: {"description": "Its address in the store (OCTET_PRESIGN)."},
        **problems(404, 416),
    },
    summary="A track",
)
async def get_track(
    request: Request, service: ServiceHere, song_id: SongId, track: TrackName
) -> Response:
    """The file of a track."""
    result = await find_result(service, song_id)
    name = result.track(track)
    if name is None:
        raise not_found("such track in this result")
    return await send_track(request, service, result.keys, name)


@router.get(
    "/{song_id}/archive",
    response_class=Response,
    responses={
        200: {"description": "A zip archive.", "content": {"application/zip": {}}},
        **problems(404),
    },
    summary="All tracks in one archive",
)
async def get_archive(request: Request, service: ServiceHere, song_id: SongId) -> Response:
    """The tracks and the manifest as a zip archive, not compressed."""
    result = await find_result(service, song_id)
    bucket = service.buckets.output
    heads = await asyncio.gather(
        *(bucket.head(entry.key) for entry in result.manifest.tracks.values())
    )
    extension = result.keys.extension
    names = [file_name(track, extension, result.name) for track in result.manifest.tracks]
    files = list(zip(names, heads, strict=True))
    document = result.manifest.to_json().encode()
    extra = [("manifest.json", document)]
    headers = {"Content-Disposition": disposition(f"{result.name}.zip")}
    length = zip_length(files, extra)
    if length is not None:
        headers["Content-Length"] = str(length)
    if request.method == "HEAD":
        return Response(headers=headers, media_type="application/zip")
    return StreamingResponse(
        zip_stream(bucket, files, extra), media_type="application/zip", headers=headers
    )


@router.delete(
    "/{song_id}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409),
    summary="Delete a result",
)
async def delete_song(service: ServiceHere, song_id: SongId) -> Response:
    """Deletes the tracks and the manifest; for a song's plain name also the uploaded song."""
    song, recipe = split_id(song_id)
    if await is_needed(service, song):
        raise RefusedError(409, "conflict", "a job of this song waits or runs", "Cancel it first")
    published = await publication.withdraw(service.buckets.output, ResultKeys(song, recipe))
    uploaded = not recipe and await discard_song(service, song)
    if not (published or uploaded):
        raise not_found("published result or uploaded song of this name")
    logger.info("song %s was deleted", song_id)
    return Response(status_code=204)


for path, endpoint in (
    ("/{song_id}", get_manifest),
    ("/{song_id}/tracks/{track}", get_track),
    ("/{song_id}/archive", get_archive),
):
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
