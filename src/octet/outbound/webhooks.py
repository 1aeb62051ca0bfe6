"""Delivers what the outbox holds: the lab's callbacks and the signed events of /v1.

An attempt succeeds with a 2xx status. 410 and a forbidden address end a delivery; all else,
redirects included, is a failure and is tried again by the schedule, which the outbox keeps
across restarts. No failure here ever reaches the job.

Each host gets a few attempts at a time; what else is due for it waits, up to a number of
deliveries and for a bounded time. What is above the number, or waits too long, is let go
without an attempt: its lease runs out and it is due again. So one slow receiver takes nobody
else's turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import SystemRandom
from typing import TYPE_CHECKING, Literal

import httpx

from octet.errors import ForbiddenAddressError, OctetError, QueueError
from octet.jobs import keys
from octet.jobs.server import reply_of
from octet.outbound.guard import Guard
from octet.outbound.schedule import EVENTS, LAB, Schedule, retry_after
from octet.outbound.sign import check_secret, new_secret, signed_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

    from octet.jobs.outbox import Delivery, Outbox
    from octet.settings import ServiceSettings

_log = logging.getLogger(__name__)

_MOST_CLAIMED = 2000
"""Deliveries that one deliverer holds a claim on, waiting for their host's turn included."""
_MOST_PER_HOST = 500
"""Of these, those to one host."""
_PATIENCE = 15.0
"""Seconds for one attempt."""


@dataclass(frozen=True)
class Attempt:
    """How an attempt ended.

    Attributes:
        delivery: what was to be delivered.
        end: `delivered`; `failed`, to be tried again; `given up`, for good.
        status: the receiver's status, 0 without an answer.
        reason: what went wrong, empty if nothing did.
    """

    delivery: Delivery
    end: Literal["delivered", "failed", "given up"]
    status: int
    reason: str = ""


class Deliverer:
    """Takes due deliveries from an outbox and makes them.

    Args:
        outbox: shared by any number of deliverers.
        guard: decides where requests may go.
        secret: signs events (`whsec_...`).
        concurrency: attempts at a time.
        per_host: attempts at a time to one host.
        patience: seconds for one attempt, all in all.
        events: schedule of signed events.
        lab: schedule of the lab's callbacks.
        idle: the longest pause between two looks into the outbox, in seconds.
        on_attempt: called with the end of each attempt (metrics, the log list).

    Raises:
        SettingError: if the secret is not usable.
    """

    def __init__(
        self,
        outbox: Outbox,
        guard: Guard,
        secret: str,
        *,
        concurrency: int = 32,
        per_host: int = 8,
        patience: float = _PATIENCE,
        events: Schedule = EVENTS,
        lab: Schedule = LAB,
        idle: float = 1.0,
        on_attempt: Callable[[Attempt], None] | None = None,
    ) -> None:
        self._outbox = outbox
        self._guard = guard
        self._secret = check_secret(secret)
        self._patience = patience
        self._schedules = {"event": events, "lab": lab}
        self._idle = idle
        self._on_attempt = on_attempt
        self._slots = asyncio.Semaphore(concurrency)
        self._gates: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(per_host)
        )
        self._held: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Delivers until cancelled. Attempts under way are then broken off; they stay due."""
        async with self._guard.client(patience=self._patience) as client:
            try:
                # The task's own flag is read too: a client library may swallow the exception.
                while not _stopped():
                    await self._turn(client)
                raise asyncio.CancelledError
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _turn(self, client: httpx.AsyncClient) -> None:
        """Claims what is due and starts it, or waits a moment."""
        free = _MOST_CLAIMED - len(self._tasks)
        if free <= 0:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            return
        try:
            claimed = await self._outbox.claim(min(free, 32), lease=self._lease())
            for delivery in claimed:
                task = asyncio.create_task(self._handle(client, delivery))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            if not claimed:
                due = await self._outbox.next_due()
                await asyncio.sleep(min(self._idle, max(0.01, due or self._idle)))
        except QueueError as error:
            _log.warning("deliveries wait: %s", error.message)
            await asyncio.sleep(self._idle)

    def _lease(self) -> float:
        """Seconds: enough to wait for the host's turn, and then for the attempt."""
        return 3 * self._patience

    async def _handle(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        host = _host(delivery.url)
        if self._held[host] >= _MOST_PER_HOST:
            return
        self._held[host] += 1
        try:
            async with AsyncExitStack() as held:
                async with asyncio.timeout(self._patience):
                    await held.enter_async_context(self._gates[host])
                    await held.enter_async_context(self._slots)
                await self._deliver(client, delivery)
        except TimeoutError:
            return  # its turn did not come; it is due again when its lease has run out
        except QueueError as error:  # its lease runs out, and it is due again
            _log.warning("a delivery to %s will be made again: %s", host, error.message)
        finally:
            self._held[host] -= 1
            if not self._held[host]:
                del self._held[host], self._gates[host]

    async def _deliver(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        attempt, wait = await self._attempt(client, delivery)
        pause = None
        if attempt.end == "failed":
            schedule = self._schedules[delivery.kind]
            pause = schedule.next_pause(
                delivery.attempts + 1,
                chance=SystemRandom().random(),
                retry_after=wait,
            )
            if pause is None:
                attempt = Attempt(delivery, "given up", attempt.status, attempt.reason)
        if pause is None:
            await self._outbox.finish(delivery)
        else:
            await self._outbox.reschedule(delivery, pause)
        if attempt.end == "given up":
            _log.warning(
                "%s to %s given up after %d attempts: %s",
                *(delivery.id, _host(delivery.url), delivery.attempts + 1, attempt.reason),
            )
        if self._on_attempt is not None:
            self._on_attempt(attempt)

    async def _attempt(
        self, client: httpx.AsyncClient, delivery: Delivery
    ) -> tuple[Attempt, float | None]:
        """One attempt, and the pause in seconds that the receiver asks for, if any."""
        now = datetime.now(UTC)
        try:
            headers = self._headers(delivery, now)
            async with (
                asyncio.timeout(self._patience),
                client.stream(
                    "POST",
                    self._guard.parse(delivery.url),
                    content=delivery.body.encode(),
                    headers=headers,
                ) as answer,
            ):
                # The body means nothing: it is not read, and the connection is closed.
                return _judged(delivery, answer, now)
        except (httpx.HTTPError, TimeoutError) as error:
            return Attempt(delivery, "failed", 0, _reason(error)), None
        except OctetError as error:
            final = isinstance(error, ForbiddenAddressError)
            return Attempt(delivery, "given up" if final else "failed", 0, error.message), None
        except Exception as error:  # it counts too: what is not counted is repeated for ever
            _log.exception("an unforeseen fault of a delivery to %s", _host(delivery.url))
            return Attempt(delivery, "failed", 0, type(error).__name__), None

    def _headers(self, delivery: Delivery, now: datetime) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Octet-Outcome": delivery.outcome}
        if delivery.kind == "lab":
            # Its body is the client's own, so only the headers say how the job ended.
            return {**headers, "webhook-id": delivery.id}
        return {**headers, **signed_headers(self._secret, delivery.id, now, delivery.body)}


async def deliver(
    client: Redis,
    settings: ServiceSettings,
    outbox: Outbox,
    on_attempt: Callable[[Attempt], None] | None = None,
) -> None:
    """Delivers what the outbox holds until cancelled, as the service's settings say.

    Workers and the API all do so, side by side: a delivery is claimed by one of them.

    Args:
        client: of the queue.
        settings: the service's.
        outbox: on that queue.
        on_attempt: called with the end of each attempt.

    Raises:
        QueueUnavailableError: the server does not answer at the start.
        SettingError: the secret or the allowed hosts make no sense.
    """
    await Deliverer(
        outbox,
        Guard(settings.allow_hosts),
        await service_secret(client, settings),
        # A delivery whose deliverer died is due again after three times this.
        patience=min(_PATIENCE, settings.lease / 2),
        on_attempt=on_attempt,
    ).run()


async def service_secret(client: Redis, settings: ServiceSettings) -> str:
    """The secret that signs events: the setting's, else one that all processes share.

    Raises:
        QueueUnavailableError: the server does not answer.
    """
    if settings.webhook_secret is not None:
        return settings.webhook_secret.get_secret_value()
    await reply_of(client.set(keys.WEBHOOK_SECRET, new_secret(), nx=True))
    kept: bytes = await reply_of(client.get(keys.WEBHOOK_SECRET))
    return kept.decode()


def check_outbound(settings: ServiceSettings) -> None:
    """Refuses settings with which callbacks and imports could never work, at the start.

    Raises:
        SettingError: OCTET_ALLOW_HOSTS or OCTET_WEBHOOK_SECRET is not usable.
    """
    Guard(settings.allow_hosts)
    if settings.webhook_secret is not None:
        check_secret(settings.webhook_secret.get_secret_value())


def _judged(
    delivery: Delivery, answer: httpx.Response, now: datetime
) -> tuple[Attempt, float | None]:
    status = answer.status_code
    if answer.is_success:
        return Attempt(delivery, "delivered", status), None
    if status == 410:
        return Attempt(delivery, "given up", status, "the receiver is gone (410)"), None
    reason = "it redirects" if answer.is_redirect else f"it answered {status}"
    wait = retry_after(answer.headers.get("retry-after"), now)
    return Attempt(delivery, "failed", status, reason), wait


def _reason(error: httpx.HTTPError | TimeoutError) -> str:
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "it was too slow"
    return "no connection" if isinstance(error, httpx.ConnectError) else "it broke off its answer"


def _host(url: str) -> str:
    """The host and port, for grouping and for logs; the rest of a URL may hold secrets."""
    try:
        return httpx.URL(url).netloc.decode("ascii", "replace")
    except (httpx.InvalidURL, TypeError):
        return "?"


def _stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
