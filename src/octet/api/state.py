"""What every route works with: the queue, the buckets and the settings of one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002  # FastAPI reads it

from octet.api.errors import busy
from octet.api.listing import Listing
from octet.errors import ObjectMissingError, OctetError, QueueUnavailableError, StorageError
from octet.jobs.dead import DeadLetters
from octet.jobs.durability import log_durability
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect, queue_url
from octet.results.publication import sweep
from octet.results.recipe import Offer
from octet.separation.models.registry import REGISTRY
from octet.storage.open import open_buckets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from redis.asyncio import Redis

    from octet.api.estimate import Rate
    from octet.settings import SeparationSettings, ServiceSettings
    from octet.storage.open import Buckets

logger = logging.getLogger("octet.api")

_LOOK_EVERY = 2.0
_ANSWERS_WITHIN = 2.0
_UPLOADS_END_WITHIN = timedelta(days=1)


@dataclass
class Service:
    """Made once a process.

    Attributes:
        settings: as the operator set them.
        offer: what clients may ask for, and what they get who ask for nothing.
        queue, listing, dead, outbox: on the queue server.
        buckets: the store.
        closing: set when the process has been asked to end.
        prepared: whether the buckets are there.
        warnings: why the queue server may lose jobs, once it has been looked at.
        rate: how long recent jobs took, once somebody has asked.
    """

    settings: ServiceSettings
    offer: Offer
    redis: Redis
    queue: JobQueue
    listing: Listing
    dead: DeadLetters
    outbox: Outbox
    buckets: Buckets
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    prepared: bool = False
    warnings: tuple[str, ...] = ()
    rate: Rate | None = None
    _looked: float = -_LOOK_EVERY
    _trouble: str = ""

    async def prepare(self) -> None:
        """Creates the buckets where they are missing; goes on until the store answers."""
        pause = 0.2
        while not self.prepared:
            try:
                await self.buckets.ensure()
            except OctetError as error:
                logger.warning("the buckets are not ready: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 5.0)
            else:
                self.prepared = True
        with contextlib.suppress(OctetError):
            await sweep(self.buckets.queue, _UPLOADS_END_WITHIN)

    async def look_at_durability(self) -> None:
        """Fills in `warnings`, and logs them, once the queue server answers."""
        self.warnings = tuple(await log_durability(self.redis))

    async def trouble(self) -> str:
        """Why no job can be accepted now; empty when one can. Looked up every 2 s at most."""
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._trouble = await self._look()
            self._looked = time.monotonic()
        return self._trouble

    async def _look(self) -> str:
        if not self.prepared:
            return "the buckets are not ready"
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                await self.queue.depth()
        except (QueueUnavailableError, TimeoutError):
            return "the queue does not answer"
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                await self.buckets.queue.head("queue/none")
        except ObjectMissingError:
            return ""
        except (StorageError, TimeoutError):
            return "the store does not answer"
        return ""

    async def disagreements(self) -> list[str]:
        """What workers announce that does not fit this API's settings, one line each.

        Raises:
            QueueUnavailableError: the queue does not answer.
        """
        ours, theirs = self.offer.default.to_dict(), {}
        for worker, state in (await self.queue.workers()).items():
            recipe = state.about.get("recipe", ours)
            if recipe != ours:
                theirs[worker] = recipe
        return [
            f"worker {worker} has another default than this API ({_differences(ours, recipe)}); "
            "it applies to messages of other producers alone"
            for worker, recipe in theirs.items()
        ]

    async def check_room(self) -> None:
        """Before a song is taken in.

        Raises:
            RefusedError: 503, too many jobs wait already, or the buckets are not there yet.
        """
        if not self.prepared:
            raise busy("the store is not ready yet", "Try again in a few seconds")
        if await self.queue.depth() >= self.settings.max_queue:
            raise busy("too many jobs are waiting")


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {theirs.get(name)}, here {ours.get(name)}" for name in names)


@contextlib.asynccontextmanager
async def open_service(
    settings: ServiceSettings, separation: SeparationSettings
) -> AsyncIterator[Service]:
    """The service of this process, from start to end.

    Raises:
        SettingError: an address that makes no sense.
    """
    url = queue_url(settings)
    redis = connect(url)
    offer = Offer.of(separation, REGISTRY)
    queue = JobQueue(redis, offer.complete)
    service = Service(
        settings=settings,
        offer=offer,
        redis=redis,
        queue=queue,
        listing=Listing(queue, url, offer.complete),
        dead=DeadLetters(redis),
        outbox=Outbox(redis),
        buckets=open_buckets(settings),
    )
    preparing = [
        asyncio.create_task(service.prepare()),
        asyncio.create_task(service.look_at_durability()),
    ]
    try:
        yield service
    finally:
        service.closing.set()
        for task in preparing:
            task.cancel()
        await asyncio.gather(*preparing, return_exceptions=True)
        await redis.aclose()


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceHere = Annotated[Service, Depends(_service_of)]
"""The service, for a route."""
