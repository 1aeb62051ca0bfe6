"""Runs the Lua scripts in lua/, and turns the client's errors into Octet's."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis import exceptions

from octet.errors import QueueError, QueueUnavailableError
from octet.jobs import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from redis.asyncio import Redis

_NAMES = {
    "queue": keys.QUEUE,
    "high": keys.QUEUE_HIGH,
    "low": keys.QUEUE_LOW,
    "straight": keys.STRAIGHT,
    "inflight": keys.INFLIGHT,
    "workers": keys.WORKERS,
    "worker": keys.WORKER_JOBS,
    "job": keys.JOB,
    "callbacks": keys.CALLBACKS,
    "jobs": keys.JOBS,
    "state": keys.JOBS_IN_STATE,
    "ended": keys.ENDED,
    "dead": keys.DEAD,
    "letter": keys.DEAD_LETTER,
    "dead_count": keys.DEAD_COUNT,
    "idempotency": keys.IDEMPOTENCY,
    "outbox": keys.OUTBOX,
    "delivery": keys.DELIVERY,
    "events": keys.EVENTS,
    "reaped": keys.REAPED,
    "logging": keys.LOGGING,
}

_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError)


@cache
def script_text(name: str) -> str:
    """The script lua/NAME.lua, after the table of key names `K` and lua/common.lua."""
    table = ", ".join(f"{short} = '{key}'" for short, key in _NAMES.items())
    folder = files("octet.jobs").joinpath("lua")
    common = folder.joinpath("common.lua").read_text("utf-8")
    return f"local K = {{{table}}}\n{common}\n{folder.joinpath(f'{name}.lua').read_text('utf-8')}"


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
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


async def reply_of(reply: Awaitable[Any] | Any) -> Any:
    """The reply of a command, of which the client says that it may not be awaitable."""
    return await reply


class Scripts:
    """The scripts on one client; each runs as one atomic step on the server."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def run(self, name: str, *arguments: str | bytes | int) -> Any:
        """Runs lua/NAME.lua with these ARGV.

        Raises:
            QueueUnavailableError: the server does not answer; the script may or may not have
                run.
            QueueError: the server refused.
        """
        text = script_text(name)
        async with reaching():
            try:
                return await reply_of(self._redis.evalsha(_hash_of(text), 0, *arguments))
            except exceptions.NoScriptError:
                # Not SCRIPT LOAD and again: the server may be another one by then.
                return await reply_of(self._redis.eval(text, 0, *arguments))


@cache
def _hash_of(text: str) -> str:
    """What the server calls a script."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
