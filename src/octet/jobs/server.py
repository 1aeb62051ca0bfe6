"""The server behind the queue: its address, a client of it, and the scripts that run there."""

from __future__ import annotations

import hashlib
import re
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from octet.errors import QueueError, QueueUnavailableError, SettingError
from octet.jobs import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from octet.settings import ServiceSettings

_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError)

_ANSWER_WITHIN = 10.0
"""Seconds for a reply. Longer than any blocking wait of this package."""


_MOST_CONNECTIONS = 64
"""Of one client; a command beyond them waits for one that is free, where it would fail else."""


def queue_url(settings: ServiceSettings) -> str:
    """The address of the queue server: OCTET_REDIS_URL, else REDIS_HOST and REDIS_PORT.

    Raises:
        SettingError: it makes no sense; the message names the variable.
    """
    if settings.redis_url is not None:
        variable, url = "OCTET_REDIS_URL", settings.redis_url.get_secret_value()
    else:
        host = f"[{settings.redis_host}]" if ":" in settings.redis_host else settings.redis_host
        variable, url = "REDIS_HOST", f"redis://{host}:{settings.redis_port}/0"
    if re.match(r"[\w+-]*(sentinel|cluster)[\w+-]*:", url):
        raise SettingError(
            f"{variable} names a Redis Sentinel or a Redis Cluster, which Octet does not speak to",
            "Name one server, or an address that follows the primary (docs/reliability.md)",
        )
    try:
        connect(url)
    except SettingError as error:
        raise SettingError(f"{variable} is {error.message}", error.hint) from None
    return url


def connect(url: str) -> Redis:
    """A client, which connects when it is first used. Close it with `await client.aclose()`.

    Commands are repeated a few times (within about 2 s) when the connection breaks. That is
    safe with the classes of this package: each of their steps may run twice. A client has a
    bounded number of connections, for which commands wait.

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
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MOST_CONNECTIONS,
            timeout=_ANSWER_WITHIN,
            socket_timeout=_ANSWER_WITHIN,
            socket_connect_timeout=5.0,
            health_check_interval=30,
            retry=retry,
            decode_responses=False,
        )
        # Refuses unknown options, and connects to nothing yet.
        pool.make_connection()  # type: ignore[no-untyped-call]  # the client's
    except (ValueError, TypeError):  # their texts may hold a part of the password
        raise SettingError(
            "no address of a queue server",
            "It is redis://user:password@host:port/0, rediss://... or unix:///path, without other"
            " options; signs such as / in a password are written %2F",
        ) from None
    return Redis.from_pool(pool)


@asynccontextmanager
async def queue_errors() -> AsyncIterator[None]:
    """Turns the client's errors inside of it into QueueUnavailableError and QueueError."""
    try:
        yield
    except _AWAY as error:
        raise QueueUnavailableError(
            f"the queue server does not answer ({error})",
            "check that Redis or Valkey runs, and REDIS_HOST and REDIS_PORT",
        ) from error
    except exceptions.RedisError as error:
        raise QueueError(f"the queue server refused a command ({error})") from error


async def reply_of(command: Awaitable[Any] | Any) -> Any:
    """The reply of a command, of which the client says that it may not be awaitable.

    Raises:
        QueueUnavailableError: the server does not answer; the command may or may not have run.
        QueueError: the server refused.
    """
    async with queue_errors():
        return await command


async def run_script(client: Redis, name: str, *arguments: str | bytes | int) -> Any:
    """The reply of the script lua/NAME.lua with these ARGV, which runs as one atomic step.

    Raises:
        QueueUnavailableError: the server does not answer; the script may or may not have run.
        QueueError: the server refused.
    """
    text = script_text(name)
    async with queue_errors():
        try:
            return await client.evalsha(_sha1(text), 0, *arguments)
        except exceptions.NoScriptError:
            # Not SCRIPT LOAD and again: the server may be another one by then.
            return await client.eval(text, 0, *arguments)


@cache
def script_text(name: str) -> str:
    """The script lua/NAME.lua, after the table of key names `K` and lua/common.lua."""
    table = ", ".join(f"{key} = '{value}'" for key, value in vars(keys).items() if key.isupper())
    folder = files("octet.jobs").joinpath("lua")
    common = folder.joinpath("common.lua").read_text("utf-8")
    return f"local K = {{{table}}}\n{common}\n{folder.joinpath(f'{name}.lua').read_text('utf-8')}"


@cache
def _sha1(text: str) -> str:
    """What the server calls a script."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
