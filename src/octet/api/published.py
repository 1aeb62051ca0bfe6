"""A published result as clients get it: its manifest, and its tracks as downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octet.api.errors import not_found
from octet.api.ranges import send_link, send_object
from octet.api.submission import clean_name
from octet.api.views import split_id
from octet.results import publication
from octet.results.keys import ResultKeys
from octet.tracks import download_name

if TYPE_CHECKING:
    from fastapi import Request, Response

    from octet.api.state import Service
    from octet.results.manifest import Manifest


class Result:
    """A published result.

    Attributes:
        keys: of its objects, with the extension that they really have.
        manifest: what is in it.
        name: what its files are called for the client, without the track.
    """

    def __init__(self, song: str, recipe: str, manifest: Manifest) -> None:
        self.manifest = manifest
        self.keys = ResultKeys(song, recipe, manifest.extension)
        name = clean_name(manifest.song.name)
        self.name = name.rpartition(".")[0] or name or song[:16]

    def track(self, name: str) -> str | None:
        """The track that a client means, with or without its ending; None if there is none such."""
        bare = name.removesuffix(f".{self.keys.extension}").removesuffix(".mp3")
        return bare if bare in self.manifest.tracks else None


async def find_result(service: Service, song_id: str) -> Result:
    """The result of this id.

    Raises:
        RefusedError: 404, nothing is published.
    """
    song, recipe = split_id(song_id)
    manifest = await service.find_manifest(song, recipe)
    if manifest is None:
        raise not_found("published result of this song")
    return Result(song, recipe, manifest)


async def send_track(
    request: Request, service: Service, keys: ResultKeys, track: str, stem: str | None = None
) -> Response:
    """The answer that carries a track, certainly of the set that is published now.

    Args:
        request: its conditions and ranges.
        service: its store, and whether clients are sent there (OCTET_PRESIGN).
        keys: of the result.
        track: its name, as the manifest has it.
        stem: what the file is called, without track and ending, and never by a redirect; None
            for the song's own name.

    Raises:
        RefusedError: 404, the result has no such track.
    """
    bucket = service.buckets.output
    found = await publication.find_track(bucket, keys, track)
    if found is None:
        raise not_found("such track in this result")
    manifest, head = found
    result = Result(keys.name, keys.recipe, manifest)
    if stem is None and service.settings.presign:
        link = await send_link(bucket, head.key)
        if link is not None:
            return link
    name = download_name(track, result.keys.extension, stem or result.name)
    return send_object(request, bucket, head, name)
