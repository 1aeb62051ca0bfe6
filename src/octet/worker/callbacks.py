"""Has the outbox delivered: each worker takes part in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octet.jobs import keys
from octet.jobs.outbox import Outbox
from octet.jobs.server import queue_errors, reply_of
from octet.outbound.guard import Guard
from octet.outbound.sign import new_secret
from octet.outbound.webhooks import Deliverer
from octet.worker import failpoints

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from octet.jobs.outbox import Delivery
    from octet.settings import ServiceSettings
    from octet.worker.metrics import Metrics

_PATIENCE = 15.0


async def deliver(client: Redis, settings: ServiceSettings, metrics: Metrics) -> None:
    """Delivers until cancelled.

    Args:
        client: of the queue.
        settings: the service's.
        metrics: count the attempts.

    Raises:
        QueueUnavailableError: the server does not answer at the start.
    """
    secret = await service_secret(client, settings)
    await Deliverer(
        _Outbox(client),
        Guard(settings.allow_hosts),
        secret,
        # A delivery whose worker died is due again after three times this.
        patience=min(_PATIENCE, settings.lease / 2),
        on_attempt=lambda attempt: metrics.callbacks.labels(attempt.end).inc(),
    ).run()


async def service_secret(client: Redis, settings: ServiceSettings) -> str:
    """The secret that signs events: the setting's, else one that all processes share.

    Raises:
        QueueUnavailableError: the server does not answer.
    """
    if settings.webhook_secret is not None:
        return settings.webhook_secret.get_secret_value()
    async with queue_errors():
        await reply_of(client.set(keys.WEBHOOK_SECRET, new_secret(), nx=True))
        kept: bytes = await reply_of(client.get(keys.WEBHOOK_SECRET))
    return kept.decode()


class _Outbox(Outbox):
    async def finish(self, delivery: Delivery) -> bool:
        failpoints.reached("callback")
        return await super().finish(delivery)
