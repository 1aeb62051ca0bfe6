"""One claim, from the song to the published result."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from octet.errors import (
    AudioError,
    CancelledError,
    ComputationError,
    DeviceError,
    ModelError,
    OctetError,
    OutputError,
    SettingError,
    StorageError,
)
from octet.jobs.job import JobError
from octet.jobs.message import is_foreign
from octet.results import publication
from octet.results.keys import ResultKeys
from octet.results.publication import Publication, Published
from octet.results.publishing import Publishing
from octet.separation.models.registry import ORIGINAL
from octet.worker import failpoints
from octet.worker.protocol import Order
from octet.worker.retry import outlast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from octet.jobs.claims import Claim, Claims
    from octet.jobs.job import Outcome
    from octet.results.manifest import Manifest
    from octet.results.recipe import Offer, Recipe
    from octet.settings import SeparationSettings, ServiceSettings
    from octet.storage.open import Buckets
    from octet.worker.child import Child
    from octet.worker.fetcher import Fetched, Fetcher
    from octet.worker.lease import Lease
    from octet.worker.metrics import Metrics
    from octet.worker.protocol import Done

T = TypeVar("T")

log = logging.getLogger(__name__)

_SONG_MAY_STILL_COME = 1.0
"""Seconds before a job whose song is missing waits again: some push first, then upload."""

_AFTER_A_FULL_DISK = 3.0
"""Seconds of rest after a failure to write: the next song would meet the same disk."""


@dataclass(frozen=True)
class Equipment:
    """What all assignments of a worker share.

    Attributes:
        folder: scratch space for tracks and decoded samples.
        defaults: the settings of a separation that no recipe changes.
        offer: the recipe that jobs get unless they ask for another.
    """

    claims: Claims
    buckets: Buckets
    child: Child
    fetcher: Fetcher
    folder: Path
    service: ServiceSettings
    defaults: SeparationSettings
    offer: Offer
    metrics: Metrics


@dataclass(frozen=True)
class Result:
    """A finished separation, not published yet; `why` says why it is a fallback, if it is."""

    done: Done
    why: JobError | None = None


class Assignment:
    """The work on one claim.

    Args:
        claim: the claim; its lease is kept by somebody else meanwhile.
        lease: that lease, for the progress and the fence.
        equipment: what there is to work with.
    """

    def __init__(self, claim: Claim, lease: Lease, equipment: Equipment) -> None:
        self._claim = claim
        self._job = claim.job
        self._lease = lease
        self._kit = equipment
        self._tracks = equipment.folder / f"tracks-{claim.token}"
        self._song = equipment.folder / "song"
        self._early = equipment.folder / f"early-{claim.token}"
        self._publishing: Publishing | None = None
        self._timings: dict[str, float] = {}

    async def run(self) -> None:
        """Works until the claim has ended: finished, waiting again, or given up.

        May be cancelled at any time; the claim is the caller's to end then.

        Raises:
            LeaseLostError: the job is another's, and this worker has published nothing of it.
            CancelledError: somebody wants the job to end; the claim still holds.
        """
        try:
            await self._work()
        except (AudioError, SettingError) as error:
            await self._bury(self._told(error))
        except (StorageError, OutputError) as error:
            await asyncio.sleep(_SONG_MAY_STILL_COME)
            await self._retry_or_bury(error)
        finally:
            await self._tidy()

    async def _work(self) -> None:
        recipe = self._kit.offer.fill(self._job.recipe)
        keys = ResultKeys(self._job.song, self._job.key, recipe.format)
        if await self._answered(recipe, keys):
            return
        song = await self._fetch()
        self._song = song.path
        try:
            result = await self._separated(song, recipe, keys)
        finally:
            song.path.unlink(missing_ok=True)
        if result is not None:
            await self._publish(result, recipe, keys)

    async def _answered(self, recipe: Recipe, keys: ResultKeys) -> bool:
        """Whether a published result makes the work needless, and has ended the job."""
        standing = await self._standing(keys)
        if standing is None or not standing.is_of(recipe):
            return False
        # A fallback is worth another attempt while there are any.
        if not (standing.answers(recipe) or self._claim.exhausted):
            return False
        log.info("%s is published already (%s)", self._job.id, standing.outcome)
        await self._finish(standing.outcome, standing.reason or "")
        return True

    async def _standing(self, keys: ResultKeys) -> Manifest | None:
        """What is published under these names."""
        output = self._kit.buckets.output
        return await _persist(lambda: publication.read(output, keys))

    async def _fetch(self) -> Fetched:
        home = self._kit.service.queue_bucket
        places = self._job.places(home)
        began = time.monotonic()
        song = await outlast(
            lambda: self._kit.fetcher.fetch(places),
            # The service's own bucket refuses for the service's fault; another one for the job's.
            refusals=all(bucket == home for bucket, _ in places),
        )
        self._timings["fetch"] = round(time.monotonic() - began, 3)
        failpoints.reached("download")
        return song

    async def _separated(self, song: Fetched, recipe: Recipe, keys: ResultKeys) -> Result | None:
        """What there is to publish; None when the claim has ended without."""
        if self._claim.exhausted:
            gone = JobError(ComputationError.code, "the worker died in each of the attempts")
            return await self._fallback(song, recipe, keys, self._job.error or gone)
        try:
            self._kit.offer.check_model(recipe.model)
            return Result(await self._separate(song, recipe, keys))
        except (AudioError, SettingError, CancelledError):
            raise
        except OctetError as error:
            await self._failed(error, recipe.model)
            # A model that is not there will not be there at the next attempt.
            if not isinstance(error, ModelError | DeviceError) and await self._retry(error):
                return None
            return await self._fallback(song, recipe, keys, self._told(error))

    async def _fallback(
        self, song: Fetched, recipe: Recipe, keys: ResultKeys, why: JobError
    ) -> Result | None:
        """Goes through what may be published instead; buries the job when nothing works."""
        for name in self._kit.service.fallback:
            if name == recipe.model:
                continue
            log.warning(
                "%s falls back to %s: %s failed, %s", self._job.id, name, recipe.model, why.message
            )
            try:
                if name != ORIGINAL:
                    self._kit.offer.check_model(name)
                done = await self._separate(song, replace(recipe, model=name), keys)
            except (AudioError, SettingError, CancelledError):
                raise
            except OctetError as error:
                await self._failed(error, name)
            else:
                reason = f"{recipe.model} failed ({why.message}); this was made by {name}"
                return Result(done, JobError(why.code, reason))
        await self._bury(why)
        return None

    async def _separate(self, song: Fetched, recipe: Recipe, keys: ResultKeys) -> Done:
        kit = self._kit
        await self._tidy()
        publishing = self._publishing = self._begin(keys)
        settings = kit.defaults.model_copy(update={**recipe.settings, "scratch": kit.folder})
        order = Order(
            song=str(song.path),
            folder=str(self._tracks),
            early=str(self._early),
            name=self._job.name or song.head.key.rpartition("/")[2],
            tracks=recipe.tracks,
            settings=settings.model_dump(mode="json"),
            required=settings.model == kit.defaults.model,
        )
        done = await kit.child.separate(
            order,
            self._lease.progress,
            lambda whole: publishing.add(whole.track, whole.path, whole.content_type),
        )
        failpoints.reached("separation")
        return done

    def _begin(self, keys: ResultKeys) -> Publishing:
        """A publication under these names, fenced by the claim."""
        output, token = self._kit.buckets.output, self._claim.token
        attempt = Publication(output, keys, token, self._lease.fence)
        return Publishing(attempt, _persist, failpoints.reached)

    async def _publish(self, result: Result, recipe: Recipe, keys: ResultKeys) -> None:
        assert self._publishing is not None  # noqa: S101  # there is a result of its separation
        done, reason = result.done, result.why.message if result.why else None
        manifest = done.manifest.asked_for(recipe, reason).timed(self._timings)
        rest = (self._tracks, done.content_type)
        published, whole = await self._publishing.publish(manifest, *rest)
        plain = ResultKeys(keys.name, "", keys.extension)
        # Whoever pushed a message and named a model looks for the plain names.
        if keys.recipe and is_foreign(self._job.message) and not await self._standing(plain):
            self._publishing = self._begin(plain)
            await self._publishing.publish(manifest, *rest)
        self._kit.metrics.took(whole.timings, manifest.model.name)
        if published == Published.ALREADY:
            standing = await self._standing(keys)
            if standing is not None:
                await self._finish(standing.outcome, standing.reason or "")
                return
        await self._finish(manifest.outcome, reason or "", result.why)

    async def _tidy(self) -> None:
        """Removes what was made and not published."""
        if self._publishing is not None:
            await self._publishing.abandon()
        for folder in (self._tracks, self._early):
            shutil.rmtree(folder, ignore_errors=True)

    async def _finish(self, outcome: Outcome, reason: str, why: JobError | None = None) -> None:
        if why is None and outcome == "fallback":
            why = JobError(ComputationError.code, reason)
        await outlast(lambda: self._kit.claims.finish(self._claim, outcome, why))
        failpoints.reached("acknowledgement")
        self._kit.metrics.jobs.labels(outcome).inc()
        if outcome == "fallback":
            log.warning("%s is published as a fallback: %s", self._job.id, reason)
        else:
            log.info("%s is published", self._job.id)

    async def _retry_or_bury(self, error: OctetError) -> None:
        if not await self._retry(error):
            await self._bury(self._told(error))

    async def _retry(self, error: OctetError) -> bool:
        """Whether the job waits for another attempt; its claim has ended then."""
        if self._claim.exhausted:
            return False
        told = self._told(error)
        waits = await outlast(lambda: self._kit.claims.retry(self._claim, told))
        if waits:
            log.warning(
                "%s waits again, attempt %d of %d failed: %s",
                *(self._job.id, self._job.attempts, self._kit.service.attempts, error),
            )
        return waits

    async def _bury(self, why: JobError) -> None:
        await outlast(lambda: self._kit.claims.bury(self._claim, why))
        self._kit.metrics.jobs.labels("failed").inc()
        log.error("%s is a dead letter, %s: %s", self._job.id, why.code, why.message)

    async def _failed(self, error: OctetError, model: str) -> None:
        self._kit.metrics.attempts_failed.labels(error.code, model).inc()
        log.warning("%s: %s failed, %s: %s", self._job.id, model, error.code, error)
        if isinstance(error, OutputError):
            await asyncio.sleep(_AFTER_A_FULL_DISK)

    def _told(self, error: OctetError) -> JobError:
        """The error as everybody may read it: without paths of this machine."""
        text = error.message
        for path, name in ((self._song, "the song"), (self._kit.folder, "the scratch folder")):
            text = text.replace(str(path), name)
        return JobError(error.code, text)


async def _persist(step: Callable[[], Awaitable[T]]) -> T:
    """A step of publishing: a store that refuses (a wrong key, a full disk) is waited for as well,
    since the fault is not the song's.
    """
    return await outlast(step, refusals=True)
