"""What every route works with: the queue, the buckets and the settings of one process."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import Request  # noqa: TC002  # FastAPI reads it

from octet.api.connection import connections_at_once
from octet.api.errors import busy
from octet.api.estimate import Estimator
from octet.api.health import Health
from octet.errors import QueueError
from octet.intake.imports import Importer
from octet.jobs.dead import DeadLetters
from octet.jobs.imports import Imports
from octet.jobs.outbox import Outbox
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect, queue_url
from octet.outbound.webhooks import deliver
from octet.results import publication
from octet.results.keys import ResultKeys
from octet.results.recipe import Offer
from octet.separation.models.registry import REGISTRY
from octet.storage.open import open_buckets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from octet.jobs.message import Complete
    from octet.jobs.queue import Waiting
    from octet.results.manifest import Manifest
    from octet.settings import SeparationSettings, ServiceSettings
    from octet.storage.open import Buckets

_AGAIN_AFTER = 2.0
SHORT = 100
"""Messages that are read on the spot."""


class QueueReader:
    """Reads the whole queue without holding up anybody else's answer.

    Reading ten thousand messages takes a good part of a second of this process' time. A long
    queue is therefore read by a thread, and all requests that come while it reads share the next
    reading.

    Args:
        queue: the queue, as this process uses it.
        url: of its server.
        complete: completes the recipes of messages that are not Octet's own.
    """

    def __init__(self, queue: JobQueue, url: str, complete: Complete) -> None:
        self._queue = queue
        self._url = url
        self._complete = complete
        self._one_at_a_time = asyncio.Lock()
        self._next: asyncio.Task[list[Waiting]] | None = None

    async def waiting(self) -> list[Waiting]:
        """All messages that waited at some moment after the call, in the order of their turn.

        Raises:
            QueueUnavailableError: the server does not answer.
        """
        if await self._queue.depth() <= SHORT:
            return await self._queue.waiting()
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        return await asyncio.shield(self._next)

    async def songs(self) -> list[str]:
        """The names of the songs among them."""
        return [entry.song for entry in await self.waiting() if entry.song]

    async def find(self, job_id: str) -> Waiting | None:
        """The message of this job that will run first."""
        return next((entry for entry in await self.waiting() if entry.job_id == job_id), None)

    async def _read(self) -> list[Waiting]:
        async with self._one_at_a_time:
            self._next = None  # later requests must see what comes from now on
            return await asyncio.to_thread(lambda: asyncio.run(self._read_all()))

    async def _read_all(self) -> list[Waiting]:
        client = connect(self._url)  # connections belong to a loop, and a thread has its own
        try:
            return await JobQueue(client, self._complete).waiting()
        finally:
            await client.aclose()


@dataclass
class Service:
    """Made once a process.

    Attributes:
        settings: as the operator set them.
        offer: what clients may ask for, and what they get who ask for nothing.
        queue, reader, dead, outbox, imports: on the queue server.
        buckets: the store.
        health: whether these are well.
        estimator: how long songs take.
        streams: of events that there may be at once, besides other requests.
    """

    settings: ServiceSettings
    offer: Offer
    queue: JobQueue
    reader: QueueReader
    dead: DeadLetters
    outbox: Outbox
    buckets: Buckets
    health: Health
    estimator: Estimator
    imports: Imports
    streams: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(connections_at_once() // 2)
    )

    @classmethod
    def of(
        cls, settings: ServiceSettings, separation: SeparationSettings, redis: Redis, url: str
    ) -> Service:
        """The service that these settings describe.

        Raises:
            SettingError: a setting that makes no sense.
        """
        offer = Offer.of(separation, REGISTRY)
        queue = JobQueue(redis, offer.complete)
        buckets = open_buckets(settings)
        return cls(
            settings=settings,
            offer=offer,
            queue=queue,
            reader=QueueReader(queue, url, offer.complete),
            dead=DeadLetters(redis),
            outbox=Outbox(redis),
            buckets=buckets,
            health=Health(redis, queue, buckets, offer.default, settings.max_queue),
            estimator=Estimator(queue, buckets.output),
            imports=Imports(redis, queue.events, keep=settings.keep_days * 86_400),
        )

    async def find_manifest(self, song: str, recipe: str) -> Manifest | None:
        """The manifest of a published result; None where there is none.

        Raises:
            StorageError: the store fails.
        """
        return await publication.read(self.buckets.output, ResultKeys(song, recipe))

    async def check_room(self) -> None:
        """Before a song is taken in.

        Raises:
            RefusedError: 503, too many jobs wait already, or the buckets are not there yet.
        """
        if not self.health.prepared:
            raise busy("the store is not ready yet", "Try again in a few seconds")
        if await self.health.is_full():
            raise busy("too many jobs are waiting")


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
    service = Service.of(settings, separation, redis, url)
    health = service.health
    background = [
        asyncio.create_task(work)
        for work in (
            health.prepare(),
            health.look_at_durability(),
            health.watch(),
            _deliver(redis, service),
            _fetch(service),
        )
    ]
    try:
        yield service
    finally:
        health.closing.set()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await redis.aclose()


async def _deliver(redis: Redis, service: Service) -> None:
    """Delivers callbacks as workers do, so that none waits for a worker to be there."""
    while True:
        try:
            await deliver(redis, service.settings, service.outbox)
        except QueueError:
            await asyncio.sleep(_AGAIN_AFTER)


async def _fetch(service: Service) -> None:
    """Fetches what clients named by its address, as workers do, once there is a place for it."""
    importer = Importer(
        service.imports, service.queue, service.buckets, service.offer, service.settings
    )
    while not service.health.prepared:  # noqa: ASYNC110  # what is awaited lies on a server
        await asyncio.sleep(_AGAIN_AFTER / 10)
    await importer.run()


def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceHere = Annotated[Service, Depends(_service_of)]
"""The service, for a route."""
