"""Imports: songs that a client has named by their address, and that somebody has to fetch.

An import is recorded before its client is answered. A fetcher (intake/imports.py) claims what is
due under a lease, and then ends or postpones it. After a crash in between the lease runs out and
it is due again: a song may be fetched more than once, and is submitted once, in the very step
that ends its import.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Literal, cast

from octet.errors import KeyReusedError
from octet.jobs import keys
from octet.jobs.events import JobEvents
from octet.jobs.import_job import LISTED, PREFIX, Import, ImportClaim, import_of
from octet.jobs.message import callback_entry, read_entry, write_message
from octet.jobs.queue import record_fields
from octet.jobs.server import queue_errors, reply_of, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from redis.asyncio import Redis

    from octet.jobs.import_job import ImportRequest, ImportState
    from octet.jobs.job import Callback, JobError, JobRequest

Renewal = Literal["go on", "cancelled", "lost"]
Handover = Literal["created", "joined", "cancelled", "lost"]

MOST_OPEN = 1000
"""Imports that have not ended; those beyond are refused."""

MOST_OF_ONE = 200
"""Of these, those that one API key has asked for."""

_MOST_ENDED = 10_000
"""Records of imports that have ended; the oldest beyond are forgotten."""
_DAY = 86_400.0
_MONTH = 30 * _DAY


class Imports:
    """All imports on one Redis or Valkey. Every method raises QueueUnavailableError when the
    server does not answer; all of them may then be called again without harm.

    Args:
        client: made by server.connect().
        events: of the queue, for those who follow an import.
        keep: seconds for which the record of one that has ended stays.
    """

    def __init__(
        self, client: Redis, events: JobEvents | None = None, *, keep: float = _MONTH
    ) -> None:
        self._redis = client
        self._events = events or JobEvents(client)
        self._keep = keep

    async def add(
        self,
        request: ImportRequest,
        *,
        idempotency_key: str | None = None,
        digest: str = "",
        keep_key: float = _DAY,
        most: int = MOST_OPEN,
        most_of_one: int = MOST_OF_ONE,
    ) -> tuple[Import, bool] | Literal["full", "enough"]:
        """Records an import, due at once (atomic).

        Args:
            request: what to fetch, and what for.
            idempotency_key: the client's own name for this request.
            digest: of the request, to tell apart two under one key.
            keep_key: seconds for which the key is remembered.
            most: imports that may be open at a time.
            most_of_one: of one owner.

        Returns:
            The import, and whether this very request made it; `full` if too many are open, `enough`
            if too many of the same owner are.

        Raises:
            KeyReusedError: the key came before with another digest.
        """
        name = f"{PREFIX}{uuid.uuid4().hex}"
        callbacks = [_marked(callback, name) for callback in request.callbacks]
        answer = await run_script(
            self._redis,
            "import_add",
            name,
            hashlib.sha256(idempotency_key.encode()).hexdigest() if idempotency_key else "",
            digest,
            int(keep_key * 1000),
            most,
            request.owner,
            most_of_one,
            len(callbacks),
            *(callback_entry(callback) for callback in callbacks),
            *(
                "url",
                request.url,
                "host",
                request.host,
                "recipe",
                json.dumps(dict(request.recipe), sort_keys=True),
            ),
            *("key", request.key, "priority", request.priority, "name", request.name),
            *("keep", int(self._keep * 1000), "most", _MOST_ENDED),
        )
        if answer[0] == b"conflict":
            raise KeyReusedError(
                "this Idempotency-Key came before with another request",
                "use a new key for a new request",
            )
        if answer[0] in (b"full", b"enough"):
            return "full" if answer[0] == b"full" else "enough"
        return import_of(answer[1]), answer[0] == b"created"

    async def get(self, import_id: str) -> Import | None:
        """The import as it is recorded now; None when there is no record."""
        record = await reply_of(self._redis.hgetall(keys.JOB + import_id))
        return Import.from_record(record) if record else None

    async def cancel(self, import_id: str) -> Import | None:
        """Asks for an import's end (atomic) and returns it as it is then; None if there is none.

        One that nobody fetches now is cancelled. One that is being fetched is marked
        (`cancelling`), which its fetcher sees when it next renews. What has ended stays.
        """
        answer = await run_script(self._redis, "import_cancel", import_id)
        return import_of(answer) if answer else None

    def watch(self, import_id: str, *, every: float = 15.0) -> AsyncIterator[Import]:
        """The import now, and again whenever it has changed, until it has ended: see JobEvents."""
        return self._events.watch(import_id, lambda: self.get(import_id), every=every)

    async def count(self) -> int:
        """How many have not ended."""
        return int(await reply_of(self._redis.zcard(keys.IMPORTS)))

    async def page(
        self, *, state: ImportState | None = None, limit: int = 50, after: str | None = None
    ) -> list[Import]:
        """Those whose songs have no job, the newest first.

        Args:
            state: only those in this one of LISTED.
            limit: at most so many.
            after: `made` of the last of the page before.
        """
        highest = f"({after}" if after else "+inf"
        async with queue_errors(), self._redis.pipeline(transaction=False) as pipe:
            for each in (state,) if state else LISTED:
                index = keys.IMPORTS_IN_STATE + each
                pipe.zrevrangebyscore(index, highest, "-inf", start=0, num=limit)
            ids = [name.decode() for names in await pipe.execute() for name in names]
            for name in ids:
                pipe.hgetall(keys.JOB + name)
            records = await pipe.execute() if ids else []
        found = [Import.from_record(record) for record in records if b"made" in record]
        return sorted(found, key=lambda one: -one.made)[:limit]

    async def claim(
        self, limit: int, *, lease: float, per_host: int = 0, busy: Mapping[str, int] | None = None
    ) -> list[ImportClaim]:
        """What is due, the longest due first, its attempt counted (atomic).

        Args:
            limit: at most so many.
            lease: seconds for which nobody else gets them.
            per_host: at most so many of one host; 0 for any number.
            busy: how many the caller has of a host already.
        """
        token = uuid.uuid4().hex
        hosts = [part for host in (busy or {}).items() for part in host]
        found = await run_script(
            self._redis, "import_claim", limit, int(lease * 1000), token, per_host, *hosts
        )
        return [
            ImportClaim(import_of(flat), token, tuple(map(read_entry, entries)))
            for flat, entries in found
        ]

    async def next_due(self) -> float | None:
        """Seconds until one is due, 0 when one is; None when there is none."""
        first = await reply_of(self._redis.zrange(keys.IMPORTS, 0, 0, withscores=True))
        seconds, micros = await reply_of(self._redis.time())
        if not first:
            return None
        return float(max(0.0, first[0][1] / 1e3 - (seconds + micros / 1e6)))

    async def renew(
        self, claim: ImportClaim, *, lease: float, arrived: int, size: int | None, song: str = ""
    ) -> Renewal:
        """Keeps a claim, and records how much has come (atomic).

        Args:
            claim: the one to keep.
            lease: seconds from now.
            arrived: bytes so far.
            size: bytes that the server claims there are.
            song: its name, once it is known: from then on `JobQueue.coming` has it.
        """
        answer = await run_script(
            self._redis,
            "import_renew",
            claim.record.id,
            claim.token,
            int(lease * 1000),
            arrived,
            "" if size is None else size,
            song,
        )
        return cast("Renewal", answer.decode())

    async def submit(
        self, claim: ImportClaim, request: JobRequest, *, again: bool = False, answered: bool
    ) -> Handover:
        """Ends an import with its song's job, in one step: the job goes on the queue as by
        `JobQueue.submit`, and the import gets its id.

        Args:
            claim: of the import.
            request: the job.
            again: run also what is done.
            answered: its result is there without a record: only the callbacks are made.

        Returns:
            `created` or `joined`; `cancelled` if that was asked for, `lost` if somebody else has
            the import: nothing was submitted then.
        """
        submission = uuid.uuid4().hex
        message = write_message(request, submission)
        answer = await run_script(
            self._redis,
            "import_submit",
            claim.record.id,
            claim.token,
            int(answered),
            request.job_id,
            request.song,
            submission,
            int(again),
            len(request.callbacks),
            *(callback_entry(callback) for callback in request.callbacks),
            *record_fields(request, message),
        )
        return cast("Handover", answer.decode())

    async def fail(self, claim: ImportClaim, error: JobError) -> ImportState | Literal["lost"]:
        """Ends an import without a job (atomic). Returns how: it may be cancelled meanwhile."""
        return await self._end(claim, "failed", error)

    async def end_cancelled(self, claim: ImportClaim) -> ImportState | Literal["lost"]:
        """Ends an import as its client asked for (atomic)."""
        return await self._end(claim, "cancelled", None)

    async def postpone(
        self, claim: ImportClaim, delay: float, *, counts: bool, error: JobError | None = None
    ) -> ImportState | Literal["lost"]:
        """Lets go of an import, which is due again in `delay` seconds (atomic).

        Args:
            claim: of the import.
            delay: seconds.
            counts: whether the attempt counts.
            error: why; recorded.
        """
        answer = await run_script(
            self._redis,
            "import_postpone",
            claim.record.id,
            claim.token,
            int(delay * 1000),
            int(counts),
            *((error.code, error.message) if error else ("", "")),
        )
        return cast("ImportState", answer.decode())

    async def _end(
        self, claim: ImportClaim, state: str, error: JobError | None
    ) -> ImportState | Literal["lost"]:
        told = (error.code, error.message) if error else ("", "")
        answer = await run_script(
            self._redis, "import_end", claim.record.id, claim.token, state, *told
        )
        return cast("ImportState", answer.decode())


def _marked(callback: Callback, name: str) -> Callback:
    """An event names the import, whose id is all that its client knows."""
    return type(callback)(
        callback.url, callback.data, callback.kind, name if callback.kind == "event" else ""
    )
