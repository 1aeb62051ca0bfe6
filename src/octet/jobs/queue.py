"""The queue as its clients see it: submit, cancel, read, watch.

A worker's side is claims.py; jobs that were given up are in dead.py, deliveries to others in
outbox.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octet.errors import KeyReusedError, MessageError
from octet.jobs import keys
from octet.jobs.events import JobEvents
from octet.jobs.job import STATES, Job, JobRequest, Priority, State
from octet.jobs.message import callback_entry, complete_alone, read_message, write_message
from octet.jobs.server import queue_errors, reply_of, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from redis.asyncio import Redis

    from octet.jobs.message import Complete

_LISTS: tuple[tuple[str, Priority], ...] = (
    (keys.QUEUE_HIGH, "high"),
    (keys.QUEUE, "normal"),
    (keys.QUEUE_LOW, "low"),
)
_DAY = 86_400.0
_MONTH = 30 * _DAY


@dataclass(frozen=True)
class Submission:
    """What became of a request: its job, and whether this very request put it on the queue."""

    job: Job
    created: bool


@dataclass(frozen=True)
class Waiting:
    """A message that waits, readable or not: `song` and `job_id` are empty when it is not."""

    song: str
    job_id: str
    priority: Priority
    message: bytes


@dataclass(frozen=True)
class Worker:
    """A worker that is alive: seconds until its heartbeat runs out, and what it announces."""

    left: float
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """Some jobs.

    Attributes:
        jobs: the newest first.
        next: goes into the next call; None at the end.
        places: of each, when it was recorded, in microseconds: they are listed by it.
    """

    jobs: Sequence[Job]
    next: str | None
    places: Sequence[int] = ()


class JobQueue:
    """The queue on one Redis or Valkey. Every method raises QueueUnavailableError when the
    server does not answer; all of them may then be called again without harm.

    Args:
        client: made by server.connect(); answers in bytes (decode_responses off).
        complete: completes the recipes of messages that are not Octet's own.

    Attributes:
        events: the changes of jobs, and of imports.
    """

    def __init__(self, client: Redis, complete: Complete = complete_alone) -> None:
        self._redis = client
        self._complete = complete
        self.events = JobEvents(client)

    async def submit(
        self,
        request: JobRequest,
        *,
        again: bool = False,
        idempotency_key: str | None = None,
        digest: str = "",
        keep_key: float = _DAY,
    ) -> Submission:
        """Puts a job on the queue, once (atomic).

        The same song and recipe while it waits or runs is the same job: nothing is queued, and
        the request's callbacks are added to the job's (each only once). Another recipe under the
        same name (the service's default has changed) takes the place of the one that waits or
        runs: the worker that has it is told to stop, and what it should publish all the same
        does not end the job. A job that failed or
        was cancelled runs anew with attempts at 0. A job that is done stays done and is
        returned as it is, `created` False. The caller checks whether its files are still there
        (and says `again` if not), and makes the callbacks, which are not kept in that case.

        Args:
            request: what to do.
            again: run also what is done.
            idempotency_key: the client's own name for this request.
            digest: of the request's body, to tell apart two requests under one key.
            keep_key: seconds for which the key is remembered.

        Raises:
            KeyReusedError: the key came before with another digest.
        """
        submission = uuid.uuid4().hex
        message = write_message(request, submission)
        key = hashlib.sha256(idempotency_key.encode()).hexdigest() if idempotency_key else ""
        fields = record_fields(request, message)
        answer = await run_script(
            self._redis,
            "submit",
            request.job_id,
            submission,
            int(again),
            key,
            digest,
            int(keep_key * 1000),
            len(request.callbacks),
            *(callback_entry(callback) for callback in request.callbacks),
            *fields,
        )
        if answer[0] == b"conflict":
            raise KeyReusedError(
                "this Idempotency-Key came before with another request",
                "use a new key for a new request",
            )
        return Submission(job_of(answer[1]), answer[0] == b"created")

    async def get(self, job_id: str) -> Job | None:
        """The job as it is recorded now; None when there is no record.

        A message that somebody else pushed has no record until a worker claims it: see
        `find_waiting`.
        """
        record = await reply_of(self._redis.hgetall(keys.JOB + job_id))
        return Job.from_record(record) if record else None

    async def cancel(self, job_id: str) -> Job | None:
        """Asks for a job's end (atomic) and returns it as it is then; None when there is none.

        A waiting job leaves the queue and is cancelled. A running one is marked (`cancelling`),
        which its worker sees when it next renews. What has ended stays as it is. Works for
        waiting messages of others too; that takes time with the length of the queue.
        """
        answer = await run_script(self._redis, "cancel", job_id)
        if answer:
            return job_of(answer)
        found = await self.find_waiting(job_id)
        if found is None:
            return None
        request = read_message(found.message, self._complete).request
        fields = record_fields(request, found.message)
        answer = await run_script(self._redis, "cancel", job_id, *fields)
        return job_of(answer) if answer else None

    async def queue(self) -> list[str]:
        """The names of the songs that wait, in the order in which they will run."""
        return [entry.song for entry in await self.waiting() if entry.song]

    async def coming(self) -> set[str]:
        """The names of the songs that imports are about to submit, which may lie in their place
        already: nobody may delete them.
        """
        ids = await reply_of(self._redis.zrange(keys.IMPORTS, 0, -1))
        async with queue_errors(), self._redis.pipeline(transaction=False) as pipe:
            for name in ids:
                pipe.hget(keys.JOB + name.decode(), "noted")
            names = await pipe.execute() if ids else []
        return {name.decode() for name in names if name}

    async def waiting(self) -> list[Waiting]:
        """All messages that wait, in the order in which they will run."""
        async with queue_errors(), self._redis.pipeline(transaction=True) as pipe:
            for name, _ in _LISTS:
                pipe.lrange(name, 0, -1)
            lists = await pipe.execute()
        return [
            _waiting(message, priority, self._complete)
            for (_, priority), messages in zip(_LISTS, lists, strict=True)
            for message in reversed(messages)
        ]

    async def find_waiting(self, job_id: str) -> Waiting | None:
        """The message of this job that will run first, also one without a record."""
        return next((entry for entry in await self.waiting() if entry.job_id == job_id), None)

    async def depth(self) -> int:
        """How many messages wait."""
        async with queue_errors(), self._redis.pipeline(transaction=True) as pipe:
            for name, _ in _LISTS:
                pipe.llen(name)
            return sum(await pipe.execute())

    async def position(self, job_id: str) -> int | None:
        """How many messages will be taken before this job's; None when it does not wait."""
        answer = await run_script(self._redis, "position", job_id)
        if answer is not None:
            return int(answer) if answer >= 0 else None
        ids = [entry.job_id for entry in await self.waiting()]
        return ids.index(job_id) if job_id in ids else None

    async def jobs(
        self, *, state: State | None = None, limit: int = 50, after: str | None = None
    ) -> Page:
        """Recorded jobs, the newest first.

        Args:
            state: only those in this state.
            limit: at most so many.
            after: `next` of the page before.
        """
        index = keys.JOBS_IN_STATE + state if state else keys.JOBS
        highest = f"({after}" if after else "+inf"
        async with queue_errors():
            ids = await reply_of(
                self._redis.zrevrangebyscore(
                    index, highest, "-inf", start=0, num=limit + 1, withscores=True
                )
            )
            found = await self._jobs({name.decode(): int(place) for name, place in ids[:limit]})
        return Page(
            [job for _, job in found],
            str(int(ids[limit - 1][1])) if len(ids) > limit else None,
            [place for place, _ in found],
        )

    async def counts(self) -> dict[State, int]:
        """How many recorded jobs there are in each state.

        `waiting` counts all messages that wait, recorded or not.
        """
        async with queue_errors(), self._redis.pipeline(transaction=True) as pipe:
            for state in STATES:
                pipe.zcard(keys.JOBS_IN_STATE + state)
            numbers = await pipe.execute()
        counts = dict(zip(STATES, numbers, strict=True))
        return {**counts, "waiting": await self.depth()}

    async def choose(self, song: str, key: str, fingerprint: str, *, keep: float = _MONTH) -> None:
        """Notes which recipe of a song was last asked for by a client that knows songs alone.

        Args:
            song: its name.
            key: of the recipe, empty for the default.
            fingerprint: of the recipe.
            keep: seconds for which it is remembered.
        """
        await reply_of(
            self._redis.set(keys.CHOSEN + song, f"{key} {fingerprint}", px=int(keep * 1000))
        )

    async def chosen(self, song: str) -> tuple[str, str] | None:
        """Key and fingerprint of that recipe; None if nobody has asked, or long ago."""
        found = await reply_of(self._redis.get(keys.CHOSEN + song))
        key, _, fingerprint = found.decode().partition(" ") if found else ("", "", "")
        return (key, fingerprint) if found else None

    async def workers(self) -> dict[str, Worker]:
        """The workers that are alive, by their ids."""
        found = await reply_of(self._redis.zrange(keys.WORKERS, 0, -1, withscores=True))
        seconds, micros = await reply_of(self._redis.time())
        about = await reply_of(self._redis.hgetall(keys.WORKERS_ABOUT))
        now = seconds + micros / 1e6
        return {
            name.decode(): Worker(expiry / 1e3 - now, json.loads(about.get(name, b"{}")))
            for name, expiry in found
            if expiry / 1e3 > now
        }

    def watch(self, job_id: str, *, every: float = 15.0) -> AsyncIterator[Job]:
        """The job now, and again each time that it has changed, until it has ended.

        See `JobEvents.watch`. Ends at once when there is no record. All who watch over one
        JobQueue share one connection for it.
        """
        return self.events.watch(job_id, lambda: self.get(job_id), every=every)

    async def _jobs(self, places: Mapping[str, int]) -> list[tuple[int, Job]]:
        """Those of them that have a record; one that somebody else has damaged is left out."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in places:
                pipe.hgetall(keys.JOB + name)
            records = await pipe.execute(raise_on_error=False)
        jobs = []
        for place, record in zip(places.values(), records, strict=True):
            with contextlib.suppress(KeyError, ValueError, AttributeError):
                jobs.append((place, Job.from_record(record)))
        return jobs


def record_fields(request: JobRequest, message: bytes) -> list[str | bytes]:
    """The fields of a record that come from the request, as name, value, name, value ..."""
    return [
        *("id", request.job_id, "song", request.song, "priority", request.priority),
        *("recipe", json.dumps(request.recipe, sort_keys=True)),
        *("bucket", request.bucket or "", "object", request.object or ""),
        *("name", request.name, "message", message),
    ]


def job_of(flat: Sequence[bytes]) -> Job:
    """A job from a record as a script returns it: name, value, name, value ..."""
    return Job.from_record(dict(zip(flat[::2], flat[1::2], strict=True)))


def _waiting(message: bytes, priority: Priority, complete: Complete) -> Waiting:
    try:
        request = read_message(message, complete).request
    except MessageError:
        return Waiting("", "", priority, message)
    return Waiting(request.song, request.job_id, priority, message)
