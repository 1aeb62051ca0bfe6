"""A stand-in for the worker: it claims real jobs and publishes real files, which hold no music."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from octet.formats import FORMATS
from octet.jobs.claims import Claim, Claims
from octet.jobs.job import Job, JobError
from octet.jobs.server import connect
from octet.results.keys import ResultKeys
from octet.results.publication import Publication
from octet.results.recipe import Offer, tracks_in
from octet.separation.models.registry import REGISTRY
from octet.settings import SeparationSettings, read_settings
from octet.storage.open import open_buckets
from tests.results.made import manifest, track

if TYPE_CHECKING:
    from pathlib import Path

    from octet.settings import ServiceSettings


class StandIn:
    """Does what is asked on connections of its own, from synchronous tests."""

    def __init__(self, settings: ServiceSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self.bytes_of = track_bytes

    def finish(self, outcome: str = "complete", total: float = 0.0, **more: Any) -> Job:
        """Takes the next job and publishes its result, as one that took `total` seconds."""
        timings = {"total": total}
        return asyncio.run(
            self._with_next(
                lambda claims, claim: self._finish(claims, claim, outcome, timings, more)
            )
        )

    def progress(self, percent: float) -> Job:
        """Takes the next job, says how far it is, and leaves it running."""

        async def progress(claims: Claims, claim: Claim) -> Job:
            await claims.renew(claim, percent=percent, left=7.0)
            return claim.job

        return asyncio.run(self._with_next(progress))

    def announce(self, **about: Any) -> None:
        """Says something of itself, as workers do with their heartbeat."""

        async def announce() -> None:
            assert self._settings.redis_url is not None
            client = connect(self._settings.redis_url.get_secret_value())
            await Claims(client, "stand-in", lease=600).heartbeat(about)
            await client.aclose()

        asyncio.run(announce())

    def bury(self, code: str = "not-audio", message: str = "this is not audio") -> Job:
        """Takes the next job and gives it up."""
        return asyncio.run(
            self._with_next(lambda claims, claim: claims.bury(claim, JobError(code, message)))
        )

    async def _with_next(self, act: Any) -> Job:
        assert self._settings.redis_url is not None
        client = connect(self._settings.redis_url.get_secret_value())
        try:
            complete = offer_of(self._settings).complete
            claims = Claims(client, "stand-in", lease=600, complete=complete)
            claim = await claims.take(wait=5)
            assert claim is not None, "nothing waits"
            job: Job = await act(claims, claim)
            return job
        finally:
            await client.aclose()

    async def _finish(
        self,
        claims: Claims,
        claim: Claim,
        outcome: Any,
        timings: dict[str, float],
        more: dict[str, Any],
    ) -> Job:
        buckets = open_buckets(self._settings)
        job = claim.job
        recipe = offer_of(self._settings).fill(job.recipe)
        ending = FORMATS[recipe.format].extension
        keys = ResultKeys(job.song, job.key, ending)
        publication = Publication(buckets.output, keys, claim.token)
        tracks = {}
        for name in recipe.tracks or tracks_in(recipe.format, ()):
            data = self.bytes_of(job.song, name)
            path = self._folder / f"{name}.{ending}"
            path.write_bytes(data)
            await publication.add(name, path)
            tracks[name] = track(path.name, data)
        reason = "it broke" if outcome == "fallback" else None
        made = manifest(recipe, tracks, song=job.song, reason=reason, **more)
        await publication.commit(made.timed(timings))
        return await claims.finish(claim, outcome)


def offer_of(settings: ServiceSettings) -> Offer:
    """What a worker of this service makes of itself."""
    del settings
    return Offer.of(read_settings(SeparationSettings), REGISTRY)


def track_bytes(song: str, track: str) -> bytes:
    """What the stand-in publishes as a track: a few thousand bytes that no other track has."""
    return f"{track} of {song}\n".encode() * 100
