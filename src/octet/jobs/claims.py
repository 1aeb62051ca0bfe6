"""A worker's side of the queue: take, renew, and end in exactly one way.

A claim ends with `finish`, `retry` (that says yes), `bury`, or `release`. Each of them, and
`renew`, checks the claim's token in the same step (fencing): whoever lost the lease
gets LeaseLostError and has changed nothing. All of them may be called again after a lost reply.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from octet.errors import LeaseLostError, MessageError
from octet.jobs import keys
from octet.jobs.job import Job
from octet.jobs.message import LONGEST, callback_entry, complete_alone, read_message
from octet.jobs.queue import job_of, record_fields
from octet.jobs.server import reply_of, run_script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

    from octet.jobs.job import JobError, Outcome
    from octet.jobs.message import Complete

_LONGEST_WAIT = 1.0
"""Seconds of one blocking wait on `toWorker`; the other lists are looked at in between."""

_LONGEST_REASON = 2000

_MOST_KEPT = LONGEST
"""Bytes of an unreadable message that its dead letter keeps."""


@dataclass(frozen=True)
class Claim:
    """A job in the hands of this worker, until its lease runs out.

    Attributes:
        job: as it was when it was claimed; `attempts` counts this claim.
        token: names the claim (32 hex digits); no other claim ever has it.
        exhausted: all attempts are used up: the job is not to be tried as usual, but to end
            with a fallback (`finish`) or a dead letter (`bury`). When that dies three times
            too, the queue itself buries the job.
    """

    job: Job
    token: str
    exhausted: bool


class Claims:
    """The jobs of one worker.

    Args:
        client: made by server.connect().
        worker: the worker's id, not used by any other living worker.
        lease: seconds after which a claim, and the worker, that has not renewed is lost.
        attempts: claims without an end before a job is exhausted.
        complete: completes the recipes of messages that are not Octet's own.

    `take` is for one task at a time; the rest may be called from several tasks.
    """

    def __init__(
        self,
        client: Redis,
        worker: str,
        *,
        lease: float = 30.0,
        attempts: int = 3,
        complete: Complete = complete_alone,
    ) -> None:
        self._redis = client
        self._worker = worker
        self._lease = int(lease * 1000)
        self._attempts = attempts
        self._complete = complete
        self._inbox = keys.worker_jobs(worker)

    async def heartbeat(self, about: Mapping[str, Any] | None = None) -> None:
        """Says that the worker lives, for the length of a lease.

        Args:
            about: what it announces of itself, ready for JSON (its default recipe, whether it
                is fit for work); None leaves what it announced before.

        Needed about every third of a lease, from the supervisor, also while nothing runs and
        `take` is not being called (`take` says it as well, each second).
        """
        text = "" if about is None else json.dumps(about, sort_keys=True)
        await run_script(self._redis, "heartbeat", self._worker, self._lease, text)

    async def take(self, wait: float = 5.0) -> Claim | None:
        """The next job, claimed: high priority first, then `toWorker`, then low.

        A message moves to the worker's own list in one step and becomes a claim in another;
        dying in between loses nothing (see reaper.py). Unreadable messages become dead letters,
        those of jobs that already run (their callbacks are added to the job's), have been
        cancelled or have ended are dropped, and the next is looked at.

        Args:
            wait: seconds to wait for a message; about 1 more may pass.

        Returns:
            The claim, or None when nothing came. Cancelling the call loses nothing: what had
            been moved is found by the next call, and what had just been claimed comes back when
            its lease runs out (that attempt counts). To stop without it, let the call end.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            message: bytes | None = await run_script(self._redis, "take", self._worker, self._lease)
            if message is None and loop.time() < until:
                message = await self._wait(min(_LONGEST_WAIT, max(until - loop.time(), 0.01)))
            if message is not None:
                claim = await self.claim(message)
                if claim is not None:
                    return claim
            elif loop.time() >= until:
                return None

    async def claim(self, message: bytes) -> Claim | None:
        """Makes a claim of a message in the worker's own list; `take` does it by itself.

        None when the message gives nothing to do: see `take`.
        """
        try:
            read = read_message(message, self._complete)
        except MessageError as error:
            await run_script(
                self._redis, "reject", self._worker, message, error.code, error.message, _MOST_KEPT
            )
            return None
        token = uuid.uuid4().hex
        request = read.request
        answer = await run_script(
            self._redis,
            "claim",
            request.job_id,
            self._worker,
            self._lease,
            token,
            self._attempts,
            message,
            read.submission,
            len(request.callbacks),
            *(callback_entry(callback) for callback in request.callbacks),
            *record_fields(request, message),
        )
        if answer[0] != b"claimed":
            return None
        return Claim(job_of(answer[2]), token, bool(answer[1]))

    async def renew(
        self, claim: Claim, *, percent: float | None = None, left: float | None = None
    ) -> Literal["go on", "cancelled"]:
        """Keeps the lease, and tells how far the work has come. Needed every third of a lease.

        Args:
            claim: the claim.
            percent: 0 to 100.
            left: seconds that remain, if known.

        Returns:
            "cancelled" when somebody wants the job to end: stop, then call `release`.

        Raises:
            LeaseLostError: the job is another's; stop, publish nothing.
        """
        answer = await self._fenced(
            "renew",
            claim,
            "",
            self._worker,
            self._lease,
            "" if percent is None else f"{min(max(percent, 0.0), 100.0):.2f}",
            "" if left is None else f"{max(left, 0.0):.1f}",
        )
        return "cancelled" if answer == b"cancelled" else "go on"

    async def finish(self, claim: Claim, outcome: Outcome, error: JobError | None = None) -> Job:
        """The job is done and its files are published; its callbacks go to the outbox (atomic).

        Args:
            claim: the claim.
            outcome: `fallback` when it is not what was asked for.
            error: then, why.

        Raises:
            LeaseLostError: the job is another's, which will publish or has published it.
        """
        code, text = _error(error)
        await self._fenced("finish", claim, "done", outcome, code, text)
        return await self._read(claim)

    async def retry(self, claim: Claim, error: JobError, *, delay: float = 0.0) -> bool:
        """An attempt failed, with this error.

        Args:
            claim: the claim.
            error: why.
            delay: seconds before the job goes on the queue again; nobody waits for them.

        Returns:
            True: the job waits again, behind the others (or is cancelled, if that was asked
            for), and is not this worker's any more. False: all attempts are used up and
            nothing has changed but the error; the claim still holds, and has to end with
            `finish` (a fallback) or `bury`.

        Raises:
            LeaseLostError: the job is another's.
        """
        answer = await self._fenced(
            "retry", claim, "", self._attempts, *_error(error), int(delay * 1000)
        )
        return answer != b"exhausted"

    async def bury(self, claim: Claim, error: JobError) -> Job:
        """Gives the job up: state `failed`, a dead letter with the reason (atomic).

        For what will never work (not audio, no such object) at once, without further attempts.

        Raises:
            LeaseLostError: the job is another's.
        """
        await self._fenced("bury", claim, "failed", *_error(error))
        return await self._read(claim)

    async def release(self, claim: Claim) -> Job:
        """Hands the job back unharmed, to be taken next; the attempt does not count.

        Also the end of work that was stopped because `renew` answered "cancelled": the job is
        cancelled then, unless it has been submitted again in the meantime.

        Raises:
            LeaseLostError: the job is another's already.
        """
        await self._fenced("release", claim, "")
        return await self._read(claim)

    async def leave(self) -> None:
        """The worker goes: what it has moved and not claimed goes back, its heartbeat ends.

        Claims are not touched: end them before.
        """
        await run_script(self._redis, "leave", self._worker)

    async def _wait(self, seconds: float) -> bytes | None:
        """Waits for a message on `toWorker`, which moves it to the worker's list by itself."""
        message: bytes | None = await reply_of(
            self._redis.blmove(
                keys.QUEUE,
                self._inbox,
                seconds,  # type: ignore[arg-type]  # servers take fractions, the type is int
                "RIGHT",
                "LEFT",
            )
        )
        return message

    async def _fenced(
        self, script: str, claim: Claim, expected: str, *arguments: str | int
    ) -> bytes:
        """Runs a script that checks the token; another answer than `expected` is a loss too."""
        answer: bytes = await run_script(self._redis, script, claim.job.id, claim.token, *arguments)
        if answer == b"lost" or (expected and answer != expected.encode()):
            raise LeaseLostError(
                f"job {claim.job.id} belongs to another worker by now", "publish nothing of it"
            )
        return answer

    async def _read(self, claim: Claim) -> Job:
        """The job after its end; without a record (it was discarded at once) as it was."""
        record = await reply_of(self._redis.hgetall(keys.JOB + claim.job.id))
        return Job.from_record(record) if record else claim.job


def _error(error: JobError | None) -> tuple[str, str]:
    if error is None:
        return "", ""
    return error.code, error.message[:_LONGEST_REASON].encode("utf-8", "replace").decode()
