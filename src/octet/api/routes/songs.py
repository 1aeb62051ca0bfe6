"""/v1/songs: what was published. The manifest, the tracks, all of them at once, none of them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import StreamingResponse

from octet.api.archive import zip_stream
from octet.api.errors import RefusedError, not_found
from octet.api.intake import find_manifest
from octet.api.openapi import problems
from octet.api.options import clean_name
from octet.api.ranges import send_link, send_object
from octet.api.state import Service, ServiceHere  # noqa: TC001  # FastAPI reads it
from octet.api.views import JobId, split_id
from octet.results import publication
from octet.results.keys import ResultKeys
from octet.storage.headers import disposition

if TYPE_CHECKING:
    from octet.results.manifest import Manifest

router = APIRouter(prefix="/v1/songs", tags=["songs"])

logger = logging.getLogger("octet.api")

TrackName = Annotated[
    str, Path(description="A track of the manifest, with or without its ending.", max_length=64)
]


class Result:
    """A published result.

    Attributes:
        keys: of its objects, with the extension that they really have.
        manifest: the receipt.
        name: what its files are called for the client, without the track.
    """

    def __init__(self, song: str, recipe: str, manifest: Manifest) -> None:
        self.manifest = manifest
        self.keys = ResultKeys(song, recipe, manifest.extension)
        name = clean_name(manifest.song.name)
        self.name = name.rpartition(".")[0] or name or song[:16]

    @property
    def tracks(self) -> list[str]:
        """Names of the tracks."""
        return list(self.manifest.tracks)

    def track(self, name: str) -> str | None:
        """The track that a client means; None if the result has none such."""
        bare = name.removesuffix(f".{self.keys.extension}").removesuffix(".mp3")
        return bare if bare in self.manifest.tracks else None

    def file_name(self, track: str) -> str:
        """What the client's file is called."""
        return f"{self.name}-{track}.{self.keys.extension}"


async def find_result(service: Service, song_id: str) -> Result:
    """The result of this id.

    Raises:
        RefusedError: 404, nothing is published.
    """
    song, recipe = split_id(song_id)
    manifest = await find_manifest(service, song, recipe)
    if manifest is None:
        raise not_found("published result of this song")
    return Result(song, recipe, manifest)


@router.get(
    "/{song_id}",
    response_model=dict[str, Any],
    responses=problems(404),
    summary="The manifest",
)
async def get_manifest(service: ServiceHere, song_id: JobId) -> Response:
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
    request: Request, service: ServiceHere, song_id: JobId, track: TrackName
) -> Response:
    """The file of a track."""
    result = await find_result(service, song_id)
    name = result.track(track)
    if name is None:
        raise not_found("such track in this result")
    bucket = service.buckets.output
    found = await publication.find_track(bucket, result.keys, name)
    if found is None:
        raise not_found("such track in this result")
    key = found[1].key
    if service.settings.presign:
        link = await send_link(bucket, key)
        if link is not None:
            return link
    return await send_object(request, bucket, key, result.file_name(name))


router.add_api_route(
    "/{song_id}/tracks/{track}", get_track, methods=["HEAD"], include_in_schema=False
)


@router.get(
    "/{song_id}/archive",
    response_class=Response,
    responses={
        200: {"description": "A zip archive.", "content": {"application/zip": {}}},
        **problems(404),
    },
    summary="All tracks in one archive",
)
async def get_archive(service: ServiceHere, song_id: JobId) -> Response:
    """The tracks and the manifest as a zip archive, not compressed."""
    result = await find_result(service, song_id)
    bucket = service.buckets.output
    heads = await asyncio.gather(
        *(bucket.head(entry.key) for entry in result.manifest.tracks.values())
    )
    names = [f"{name}.{result.keys.extension}" for name in result.tracks]
    receipt = result.manifest.to_json().encode()
    return StreamingResponse(
        zip_stream(bucket, list(zip(names, heads, strict=True)), [("manifest.json", receipt)]),
        media_type="application/zip",
        headers={"Content-Disposition": disposition(f"{result.name}.zip")},
    )


@router.delete(
    "/{song_id}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409),
    summary="Delete a result",
)
async def delete_song(service: ServiceHere, song_id: JobId) -> Response:
    """Deletes the tracks and the manifest; for a song's plain name also the uploaded song."""
    song, recipe = split_id(song_id)
    if await _is_wanted(service, song):
        raise RefusedError(409, "conflict", "a job of this song waits or runs", "Cancel it first")
    manifest = await find_manifest(service, song, recipe)
    if manifest is not None:
        await publication.withdraw(service.buckets.output, ResultKeys(song, recipe))
    if not recipe:
        await service.buckets.queue.delete(f"queue/{song}.mp3")
    if manifest is None:
        raise not_found("published result of this song")
    logger.info("song %s was deleted", song_id)
    return Response(status_code=204)


async def _is_wanted(service: Service, song: str) -> bool:
    running = await service.queue.jobs(state="running", limit=1000)
    if any(job.song == song for job in running.jobs):
        return True
    return song in await service.listing.songs()
