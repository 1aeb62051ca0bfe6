"""Clients of Redis and Valkey, made in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from octet.errors import SettingError

if TYPE_CHECKING:
    from octet.settings import ServiceSettings

_ANSWER_WITHIN = 10.0
"""Seconds for a reply. Longer than any blocking wait of this package."""


def queue_url(settings: ServiceSettings) -> str:
    """The address of the queue server: OCTET_REDIS_URL, else REDIS_HOST and REDIS_PORT."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    host = f"[{settings.redis_host}]" if ":" in settings.redis_host else settings.redis_host
    return f"redis://{host}:{settings.redis_port}/0"


def connect(url: str) -> Redis:
    """A client, which connects when it is first used. Close it with `await client.aclose()`.

    Commands are repeated a few times (within about 2 s) when the connection breaks. That is
    safe with the classes of this package: each of their steps may run twice.

    Args:
        url: redis://, rediss:// (TLS) or unix://, with user, password and database.

    Raises:
        SettingError: the address makes no sense. The message does not hold the password.
    """
    retry = Retry(
        ExponentialBackoff(cap=1.0, base=0.05),
        retries=5,
        supported_errors=(
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            exceptions.BusyLoadingError,
        ),
    )
    try:
        return Redis.from_url(
            url,
            socket_timeout=_ANSWER_WITHIN,
            socket_connect_timeout=5.0,
            health_check_interval=30,
            retry=retry,
            decode_responses=False,
        )
    except ValueError as error:
        raise SettingError(
            f"the address of the queue server makes no sense ({error})",
            "it is redis://host:port/0, rediss://... or unix:///path",
        ) from None
