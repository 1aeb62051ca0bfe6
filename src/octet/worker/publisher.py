"""Takes a finished separation to the output bucket, fenced by its claim."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from octet.storage.publication import Publication, Published, read_manifest, withdraw
from octet.worker import failpoints
from octet.worker.outages import outlast
from octet.worker.receipt import read_standing

if TYPE_CHECKING:
    from pathlib import Path

    from octet.storage.bucket import Bucket
    from octet.storage.resultkeys import ResultKeys
    from octet.worker.lease import Lease
    from octet.worker.receipt import Result, Standing

_UPLOADS_AT_ONCE = 4
_TIDIES_WITHIN = 1.0


class Publisher:
    """Publishes the results of one claim.

    A store that does not answer, or refuses (a wrong key, a full disk), is waited for: the
    fault is not the song's.

    Args:
        bucket: the output bucket.
        token: the claim's.
        lease: the fence.
    """

    def __init__(self, bucket: Bucket, token: str, lease: Lease) -> None:
        self._bucket = bucket
        self._token = token
        self._lease = lease

    async def standing(self, keys: ResultKeys) -> Standing | None:
        """What is published under these names."""
        manifest = await outlast(lambda: read_manifest(self._bucket, keys), refusals=True)
        return read_standing(manifest)

    async def publish(
        self, keys: ResultKeys, result: Result, folder: Path, timings: dict[str, float]
    ) -> Published:
        """Uploads the tracks, then publishes them with the manifest.

        Args:
            keys: under which names.
            result: the separation.
            folder: where its files lie.
            timings: for the manifest; gets `upload`.

        Raises:
            LeaseLostError: the job is another's; nothing was published by this call.
            CancelledError: the job was cancelled; the same.
        """
        publication = Publication(self._bucket, keys, self._token, self._lease.fence)
        try:
            began = time.monotonic()
            await self._upload(publication, result, folder)
            timings["upload"] = round(time.monotonic() - began, 3)
            manifest = result.to_bytes(keys, timings)
            published = await outlast(lambda: publication.commit(manifest), refusals=True)
        except BaseException:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TIDIES_WITHIN):
                    await publication.abandon()
            raise
        failpoints.reached("manifest")
        return published

    async def make_way(self, keys: ResultKeys, asked: str) -> None:
        """Withdraws a result under these names that another model was asked for.

        It stands under the plain names when the service's default has changed, or when a
        producer that does not know recipes has chosen a model. Being complete, it would stay.
        """

        async def step() -> None:
            standing = read_standing(await read_manifest(self._bucket, keys))
            if standing is not None and standing.asked != asked:
                await self._lease.fence()
                await withdraw(self._bucket, keys)

        await outlast(step, refusals=True)

    async def _upload(self, publication: Publication, result: Result, folder: Path) -> None:
        gate = asyncio.Semaphore(_UPLOADS_AT_ONCE)

        async def upload(track: str) -> None:
            path = folder / result.file_name(track)
            mime = result.done.content_type
            async with gate:
                failpoints.reached("upload")
                await outlast(
                    lambda: publication.add(track, path, content_type=mime),
                    refusals=True,
                )

        try:
            async with asyncio.TaskGroup() as group:
                for track in result.tracks:
                    group.create_task(upload(track))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
