"""A process that does nothing but fetch imports, and can die at any step of it, as by `kill -9`.

    python -m tests.intake.program REDIS_URL STORAGE [STEP]

STEP is when it dies: `fetching` (some of the song has come), `staged` (all of it, its name is
noted), `placed` (workers could find it), `submitted` (the script has run, nobody has heard).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from octet.intake.imports import Importer
from octet.jobs.imports import Imports
from octet.jobs.queue import JobQueue
from octet.jobs.server import connect
from octet.results.recipe import Offer
from octet.separation.models.registry import REGISTRY
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from octet.storage.open import open_buckets

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = ("fetching", "staged", "placed", "submitted")
LEASE = 2.0


def main(url: str, storage: str, step: str = "") -> None:
    """Fetches until it is killed."""
    asyncio.run(_run(url, storage, step))


async def _run(url: str, storage: str, step: str) -> None:
    settings = read_settings(
        ServiceSettings, redis_url=url, storage=storage, allow_hosts=("127.0.0.1",)
    )
    client = connect(url)
    imports, buckets = Imports(client), open_buckets(settings)
    offer = Offer.of(read_settings(SeparationSettings), REGISTRY)
    if step in ("staged", "placed"):
        _dying(buckets.queue, "copy", before=step == "staged")
    elif step in ("fetching", "submitted"):
        dies = (lambda arrived=0, **_: arrived > 0) if step == "fetching" else _always
        _dying(imports, "renew" if step == "fetching" else "submit", before=False, when=dies)
    importer = Importer(
        imports, JobQueue(client, offer.complete), buckets, offer, settings, lease=LEASE
    )
    await importer.run()


def _always(**_: Any) -> bool:
    return True


def _dying(thing: Any, name: str, *, before: bool, when: Callable[..., bool] = _always) -> None:
    """Has a method kill the process, before or after it has done its work."""
    method = getattr(thing, name)

    async def dying(*given: Any, **named: Any) -> Any:
        answer = None if before else await method(*given, **named)
        if when(**named):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(thing, name, dying)


if __name__ == "__main__":
    main(*sys.argv[1:])
