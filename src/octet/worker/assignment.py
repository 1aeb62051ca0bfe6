"""One claim, from the song to the published result."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from octet.results.publication import Published
from octet.worker import failpoints
from octet.worker.plan import check_model, make_plan
from octet.worker.protocol import Order
from octet.worker.publisher import Publisher
from octet.worker.receipt import Result
from octet.worker.retry import outlast

if TYPE_CHECKING:
    from pathlib import Path

    from octet.jobs.claims import Claim, Claims
    from octet.jobs.job import Outcome
    from octet.settings import SeparationSettings, ServiceSettings
    from octet.storage.open import Buckets
    from octet.worker.child import Child
    from octet.worker.fetcher import Fetched, Fetcher
    from octet.worker.lease import Lease
    from octet.worker.metrics import Metrics
    from octet.worker.plan import Plan
    from octet.worker.protocol import Done
    from octet.worker.uploads import Uploads

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
        defaults: the separation that jobs get unless they ask for another.
    """

    claims: Claims
    buckets: Buckets
    child: Child
    fetcher: Fetcher
    folder: Path
    service: ServiceSettings
    defaults: SeparationSettings
    metrics: Metrics


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
        self._publisher = Publisher(equipment.buckets.output, claim.token, lease)
        self._tracks = equipment.folder / f"tracks-{claim.token}"
        self._song = equipment.folder / "song"
        self._early = equipment.folder / f"early-{claim.token}"
        self._uploads: Uploads | None = None
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
        except StorageError as error:
            await asyncio.sleep(_SONG_MAY_STILL_COME)
            await self._retry_or_bury(error)
        finally:
            await self._tidy()

    async def _work(self) -> None:
        plan = make_plan(self._job, self._kit.defaults, self._kit.service.fallback)
        if await self._answered(plan):
            return
        song = await self._fetch()
        self._song = song.path
        try:
            result = await self._separated(song, plan)
        finally:
            song.path.unlink(missing_ok=True)
        if result is not None:
            await self._publish(result, plan)

    async def _answered(self, plan: Plan) -> bool:
        """Whether a published result makes the work needless, and has ended the job."""
        standing = await self._publisher.standing(plan.keys)
        if standing is None or standing.asked != plan.settings.model:
            return False
        # A fallback is worth another attempt while there are any.
        if standing.outcome == "fallback" and not self._claim.exhausted:
            return False
        log.info("%s is published already (%s)", self._job.id, standing.outcome)
        await self._finish(standing.outcome, standing.reason)
        return True

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

    async def _separated(self, song: Fetched, plan: Plan) -> Result | None:
        """What there is to publish; None when the claim has ended without."""
        asked = plan.settings.model
        if self._claim.exhausted:
            gone = JobError(ComputationError.code, "the worker died in each of the attempts")
            return await self._fallback(song, plan, self._job.error or gone)
        try:
            return Result(await self._separate(song, plan, asked), asked)
        except (AudioError, SettingError, CancelledError):
            raise
        except OctetError as error:
            await self._failed(error, asked)
            # A model that is not there will not be there at the next attempt.
            if not isinstance(error, ModelError | DeviceError) and await self._retry(error):
                return None
            return await self._fallback(song, plan, self._told(error))

    async def _fallback(self, song: Fetched, plan: Plan, why: JobError) -> Result | None:
        """Goes through what may be published instead; buries the job when nothing works."""
        asked = plan.settings.model
        for name in plan.fallbacks:
            log.warning(
                "%s falls back to %s: %s failed, %s", self._job.id, name, asked, why.message
            )
            try:
                done = await self._separate(song, plan, name)
            except (AudioError, SettingError, CancelledError):
                raise
            except OctetError as error:
                await self._failed(error, name)
            else:
                reason = f"{asked} failed ({why.message}); this was made by {name}"
                return Result(done, asked, JobError(why.code, reason))
        await self._bury(why)
        return None

    async def _separate(self, song: Fetched, plan: Plan, model: str) -> Done:
        kit = self._kit
        check_model(model, kit.defaults, kit.service.fallback)
        await self._tidy()
        uploads = self._uploads = self._publisher.begin(plan.keys)
        settings = plan.with_model(model).model_copy(update={"scratch": kit.folder})
        order = Order(
            song=str(song.path),
            folder=str(self._tracks),
            early=str(self._early),
            name=self._job.name or song.head.key.rpartition("/")[2],
            tracks=self._job.recipe.tracks,
            settings=settings.model_dump(mode="json"),
        )
        done = await kit.child.separate(
            order,
            self._lease.progress,
            lambda whole: uploads.add(whole.track, whole.path, whole.content_type),
        )
        failpoints.reached("separation")
        return done

    async def _publish(self, result: Result, plan: Plan) -> None:
        publisher = self._publisher
        if not plan.keys.recipe:
            await publisher.make_way(plan.keys, result.asked)
        assert self._uploads is not None  # noqa: S101  # there is a result of its separation
        rest = (result, self._tracks, self._timings)
        published = await publisher.publish(plan.keys, self._uploads, *rest)
        if plan.plain is not None:
            self._uploads = publisher.begin(plan.plain)
            await publisher.publish(plan.plain, self._uploads, *rest)
        self._kit.metrics.took(
            {**result.done.manifest["timings"], **self._timings},
            str(result.done.manifest["model"]["name"]),
        )
        if published == Published.ALREADY:
            standing = await publisher.standing(plan.keys)
            if standing is not None:
                await self._finish(standing.outcome, standing.reason)
                return
        await self._finish(result.outcome, result.why.message if result.why else "", result.why)

    async def _tidy(self) -> None:
        """Removes what was made and not published."""
        if self._uploads is not None:
            await self._uploads.abandon()
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
