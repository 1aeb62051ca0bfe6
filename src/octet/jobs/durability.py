"""What the promise needs of the queue server: that it keeps what it has answered for.

Octet's own Valkey is set up so (embedded.py). A server of others is looked at when a process
starts: one that evicts, that does not write to disk, or that is no primary loses accepted jobs.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from octet.errors import QueueError, QueueUnavailableError
from octet.jobs.server import reply_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

_AGAIN = 2.0
"""Seconds between two tries to reach the server."""

_UNSEEN = (
    "nothing can be said of {names}: the server does not allow {command}, as managed services"
    " often do; look there that it does not evict and that it writes to disk"
    " (docs/reliability.md)"
)


async def durability(client: Redis) -> list[str]:
    """Why the server may lose accepted jobs; empty when nothing speaks for that.

    Each entry begins with the name of the server's setting and says what to do. `everysec` is
    taken as it is: a crash of the server's machine costs its last second at most.

    Raises:
        QueueUnavailableError: the server does not answer.
    """
    try:
        facts = await reply_of(client.info("all"))
    except QueueUnavailableError:
        raise
    except QueueError:
        return [_UNSEEN.format(names="maxmemory-policy and appendonly", command="INFO")]
    found = _of_facts({name: str(fact) for name, fact in facts.items()})
    if str(facts.get("aof_enabled")) == "1":
        found += await _of_fsync(client)
    return found


async def log_durability(client: Redis) -> list[str]:
    """Logs what `durability` says, as soon as the server answers, and returns it."""
    while True:
        try:
            found = await durability(client)
        except QueueUnavailableError:
            await asyncio.sleep(_AGAIN)
        else:
            for warning in found:
                log.warning("%s", warning)
            return found


def _of_facts(facts: dict[str, str]) -> list[str]:
    found = []
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys"):
        found.append(
            f"maxmemory-policy is {policy}: the server evicts accepted jobs when its memory is"
            " full; set it to noeviction"
        )
    elif policy != "noeviction":
        found.append(
            f"maxmemory-policy is {policy}: the server forgets the keys of idempotent requests"
            " when its memory is full, and what is sent again may run again; set it to noeviction"
        )
    if facts.get("aof_enabled", "1") == "0":
        found.append(
            "appendonly is no: accepted jobs are lost when the server ends; set it to yes, with"
            " appendfsync always or everysec"
        )
    mode = facts.get("redis_mode") or facts.get("server_mode") or "standalone"
    if mode != "standalone":
        found.append(f"redis_mode is {mode}: name one server that holds all keys, no {mode}")
    if facts.get("role") == "slave":
        found.append("role is replica: nothing can be written here; name the primary")
    return found


async def _of_fsync(client: Redis) -> list[str]:
    try:
        fsync = (await reply_of(client.config_get("appendfsync"))).get("appendfsync")
    except QueueUnavailableError:
        raise
    except QueueError:
        return [_UNSEEN.format(names="appendfsync", command="CONFIG")]
    if fsync == "no":
        return [
            "appendfsync is no: a crash of the server's machine loses what the system had not"
            " written yet, half a minute of accepted jobs; set it to always or everysec"
        ]
    return []
