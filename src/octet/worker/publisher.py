"""Takes a finished separation to the output bucket, fenced by its claim."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from octet.results.publication import Publication, Published, read_manifest, withdraw
from octet.worker import failpoints
from octet.worker.receipt import read_standing
from octet.worker.retry import outlast
from octet.worker.uploads import Uploads

if TYPE_CHECKING:
    from pathlib import Path

    from octet.results.keys import ResultKeys
    from octet.storage.bucket import Bucket
    from octet.worker.lease import Lease
    from octet.worker.receipt import Result, Standing


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

    def begin(self, keys: ResultKeys) -> Uploads:
        """What tracks can be uploaded with as they come; see `publish`."""
        return Uploads(Publication(self._bucket, keys, self._token, self._lease.fence))

    async def publish(
        self,
        keys: ResultKeys,
        uploads: Uploads,
        result: Result,
        folder: Path,
        timings: dict[str, float],
    ) -> Published:
        """Uploads what is not there yet, then publishes all of it with the manifest.

        Args:
            keys: under which names.
            uploads: begun for the same names. The caller abandons it after an error.
            result: the separation.
            folder: where its files lie.
            timings: for the manifest; gets `upload`, the time that it took beside the rest.

        Raises:
            LeaseLostError: the job is another's; nothing was published by this call.
            CancelledError: the job was cancelled; the same.
        """
        began = time.monotonic()
        for track in result.tracks:
            uploads.add(track, folder / result.file_name(track), result.done.content_type)
        await uploads.all_there()
        timings["upload"] = round(time.monotonic() - began, 3)
        manifest = result.to_bytes(keys, timings)
        published = await outlast(lambda: uploads.publication.commit(manifest), refusals=True)
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
