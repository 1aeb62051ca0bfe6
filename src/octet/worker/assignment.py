"""One claim, from the song to the published result."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from octet.errors import (
    AudioError,
    CancelledError,
    ComputationError,
    ModelError,
    ModelUnavailableError,
    OctetError,
    OutputError,
    SettingError,
    StorageError,
    TooLongError,
    UnfitError,
)
from octet.formats import FORMATS
from octet.jobs.job import JobError
from octet.jobs.message import is_foreign
from octet.results import publication
from octet.results.keys import ResultKeys
from octet.results.publication import Publication, Published
from octet.results.publishing import Publishing
from octet.separation.models.registry import ORIGINAL
from octet.worker import failpoints
from octet.worker.protocol import Order
from octet.worker.retry import persist

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
    from octet.worker.health import Health
    from octet.worker.lease import Lease
    from octet.worker.metrics import Metrics
    from octet.worker.protocol import Done

T = TypeVar("T")

log = logging.getLogger(__name__)

_SONG_MAY_STILL_COME = 1.0
"""Seconds before a job whose song is missing waits again: some push first, then upload."""


@dataclass(frozen=True)
class Context:
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
    health: Health
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
        context: what there is to work with.
    """

    def __init__(self, claim: Claim, lease: Lease, context: Context) -> None:
        self._claim = claim
        self._job = claim.job
        self._lease = lease
        self._context = context
        self._song = context.folder / "song"
        self._tracks = context.folder / f"tracks-{claim.token}"
        self._links = context.folder / f"links-{claim.token}"
        self._publishing: Publishing | None = None
        self._published = 0
        self._timings: dict[str, float] = {}

    async def run(self) -> None:
        """Works until the claim has ended: finished, waiting again, or given up.

        May be cancelled at any time; the claim is the caller's to end then.

        Raises:
            UnfitError: this machine is at fault; the claim still holds.
            LeaseLostError: the job is another's, and this worker has published nothing of it.
            CancelledError: somebody wants the job to end; the claim still holds.
        """
        try:
            await self._work()
        except (AudioError, SettingError) as error:
            await self._bury(self._public(error))
        except (StorageError, OutputError) as error:
            await self._tidy()
            await self._examine(error)
            if not await self._retry(error, delay=_SONG_MAY_STILL_COME):
                await self._bury(self._public(error))
        finally:
            await self._tidy()
        self._context.health.went_well()

    async def _work(self) -> None:
        recipe = self._context.offer.fill(self._job.recipe)
        keys = ResultKeys(self._job.song, self._job.key, FORMATS[recipe.format].extension)
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
        published = await self._read(keys)
        if published is None or not published.is_of(recipe):
            return False
        # A fallback is worth another attempt while there are any.
        if not (published.answers(recipe) or self._claim.exhausted):
            return False
        log.info("%s is published already (%s)", self._job.id, published.outcome)
        await self._finish(published.outcome, published.reason or "")
        return True

    async def _read(self, keys: ResultKeys) -> Manifest | None:
        """What is published under these names."""
        output = self._context.buckets.output
        return await self._persist(lambda: publication.read(output, keys))

    async def _fetch(self) -> Fetched:
        home = self._context.service.queue_bucket
        places = self._job.places(home)
        began = time.monotonic()
        song = await persist(
            lambda: self._context.fetcher.fetch(places),
            # The service's own bucket refuses for the service's fault; another one for the job's.
            refused_for=self._patience if all(bucket == home for bucket, _ in places) else 0,
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
            return Result(await self._attempt(song, recipe, keys))
        except (AudioError, SettingError, CancelledError, UnfitError):
            raise
        except OctetError as error:
            # A model that is refused, damaged or slow will be so at the next attempt; one that is
            # not to be had here may be so on another worker.
            final = isinstance(error, ModelError | TooLongError)
            final = final and not isinstance(error, ModelUnavailableError)
            if not final and await self._retry(error):
                return None
            return await self._fallback(song, recipe, keys, self._public(error))

    async def _fallback(
        self, song: Fetched, recipe: Recipe, keys: ResultKeys, why: JobError
    ) -> Result | None:
        """Goes through what may be published instead; buries the job when nothing works."""
        for name in self._context.service.fallback:
            if name == recipe.model:
                continue
            log.warning(
                "%s falls back to %s: %s failed, %s", self._job.id, name, recipe.model, why.message
            )
            try:
                done = await self._attempt(song, replace(recipe, model=name), keys)
            except (AudioError, SettingError, CancelledError, UnfitError):
                raise
            except OctetError:
                continue
            reason = f"{recipe.model} failed ({why.message}); this was made by {name}"
            return Result(done, JobError(why.code, reason))
        await self._bury(why)
        return None

    async def _attempt(self, song: Fetched, recipe: Recipe, keys: ResultKeys) -> Done:
        """A separation, unless this machine is at fault for its failure.

        Raises:
            UnfitError: it is.
            OctetError: what failed otherwise.
        """
        try:
            if recipe.model != ORIGINAL:
                self._context.offer.check_model(recipe.model)
            return await self._separate(song, recipe, keys)
        except (AudioError, SettingError, CancelledError):
            raise
        except OctetError as error:
            self._context.metrics.attempts_failed.labels(error.code, recipe.model).inc()
            log.warning("%s: %s failed, %s: %s", self._job.id, recipe.model, error.code, error)
            await self._tidy()
            await self._examine(error, recipe.model, held=song.head.size)
            raise

    async def _examine(self, error: OctetError, model: str = "", held: int = 0) -> None:
        await self._context.fetcher.discard()
        await self._context.health.examine(error, job=self._job.id, model=model, held=held)

    async def _separate(self, song: Fetched, recipe: Recipe, keys: ResultKeys) -> Done:
        context = self._context
        await self._tidy()
        publishing = self._publishing = self._begin(keys)
        settings = context.defaults.model_copy(
            update={**recipe.settings, "scratch": context.folder}
        )
        order = Order(
            song=str(song.path),
            folder=str(self._tracks),
            links=str(self._links),
            name=self._job.name or song.head.key.rpartition("/")[2],
            tracks=recipe.tracks,
            settings=settings.model_dump(mode="json"),
            required=settings.model == context.defaults.model,
        )
        done = await context.child.separate(
            order,
            self._lease.progress,
            lambda whole: publishing.add(whole.track, whole.path, whole.content_type),
        )
        failpoints.reached("separation")
        return done

    def _begin(self, keys: ResultKeys) -> Publishing:
        """A publication under these names, fenced by the claim.

        Each has a stage of its own: an upload of a model that has failed may still arrive when
        the fallback's tracks are staged.
        """
        self._published += 1
        token = f"{self._claim.token}-{self._published}"
        attempt = Publication(self._context.buckets.output, keys, token, self._lease.fence)
        return Publishing(attempt, self._persist, failpoints.reached)

    async def _publish(self, result: Result, recipe: Recipe, keys: ResultKeys) -> None:
        assert self._publishing is not None  # noqa: S101  # there is a result of its separation
        done, reason = result.done, result.why.message if result.why else None
        manifest = done.manifest.asked_for(recipe, reason).timed(self._timings)
        rest = (self._tracks, done.content_type)
        published, whole = await self._publishing.publish(manifest, *rest)
        plain = ResultKeys(keys.name, "", keys.extension)
        # Whoever pushed a message and named a model looks for the plain names.
        if keys.recipe and is_foreign(self._job.message) and not await self._read(plain):
            self._publishing = self._begin(plain)
            await self._publishing.publish(manifest, *rest)
        self._context.metrics.took(whole.timings, manifest.model.name)
        if published == Published.ALREADY:
            better = await self._read(keys)
            if better is not None:
                await self._finish(better.outcome, better.reason or "")
                return
        await self._finish(manifest.outcome, reason or "", result.why)

    async def _tidy(self) -> None:
        """Removes what was made and not published."""
        if self._publishing is not None:
            await self._publishing.abandon()
        for folder in (self._tracks, self._links):
            shutil.rmtree(folder, ignore_errors=True)

    async def _finish(self, outcome: Outcome, reason: str, why: JobError | None = None) -> None:
        if why is None and outcome == "fallback":
            why = JobError(ComputationError.code, reason)
        await persist(lambda: self._context.claims.finish(self._claim, outcome, why))
        failpoints.reached("acknowledgement")
        self._context.metrics.jobs.labels(outcome).inc()
        if outcome == "fallback":
            log.warning("%s is published as a fallback: %s", self._job.id, reason)
        else:
            log.info("%s is published", self._job.id)

    async def _retry(self, error: OctetError, *, delay: float = 0.0) -> bool:
        """Whether the job waits for another attempt, so many seconds; its claim has ended then."""
        if self._claim.exhausted:
            return False
        why = self._public(error)
        waits = await persist(lambda: self._context.claims.retry(self._claim, why, delay=delay))
        if waits:
            log.warning(
                "%s waits again, attempt %d of %d failed: %s",
                *(self._job.id, self._job.attempts, self._context.service.attempts, error),
            )
        return waits

    async def _bury(self, why: JobError) -> None:
        await persist(lambda: self._context.claims.bury(self._claim, why))
        self._context.metrics.jobs.labels("failed").inc()
        log.error("%s is a dead letter, %s: %s", self._job.id, why.code, why.message)

    def _public(self, error: OctetError) -> JobError:
        """The error as everybody may read it: without paths of this machine."""
        text = error.message
        for path, name in ((self._song, "the song"), (self._context.folder, "the scratch folder")):
            text = text.replace(str(path), name)
        return JobError(error.code, text)

    @property
    def _patience(self) -> float:
        return self._context.service.store_patience

    async def _persist(self, step: Callable[[], Awaitable[T]]) -> T:
        """A step of publishing: a refusal of the store may be no fault of the job's."""
        return await persist(step, refused_for=self._patience)
