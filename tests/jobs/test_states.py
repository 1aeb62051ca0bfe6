"""Reliability 13: whatever happens in whatever order, each job is in exactly one state.

Hypothesis makes up sequences of what producers, workers, the reaper and crashes do. A model in
Python says what has to become of each job; after every step the server's records, lists and
listings must agree with it, all of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from octet.errors import LeaseLostError
from octet.jobs import keys
from octet.jobs.claims import Claim, Claims
from octet.jobs.dead import DeadLetters
from octet.jobs.job import STATES, JobError
from octet.jobs.message import read_message
from octet.jobs.queue import JobQueue
from octet.jobs.reaper import Reaper
from octet.jobs.server import connect
from tests.chaos import FULL, rounds
from tests.jobs.songs import request, song

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from octet.jobs.job import Outcome

WRONG = JobError("model", "it went wrong")
OURS, OTHERS = range(2), range(2, 3)
WORKERS = ("worker-1", "worker-2")
LISTS = (keys.QUEUE_HIGH, keys.QUEUE, keys.QUEUE_LOW)

ours = st.sampled_from(OURS)
anyone = st.sampled_from([*OURS, *OTHERS])
worker = st.sampled_from(WORKERS)
pick = st.integers(0, 1_000)
late = st.sampled_from(["renew", "release", "finish", "bury"])


@dataclass
class Model:
    """What has to be true of one job."""

    state: str | None = None
    queued: bool = False  # its message lies in a queue
    moved: str | None = None  # its message lies in the list of this worker
    attempts: int = 0
    rescues: int = 0
    cancel: bool = False
    claim: Claim | None = None
    lost: list[Claim] = field(default_factory=list)
    replayed: bool = False  # a letter of it was: asked for again, that has worked

    @property
    def ended(self) -> bool:
        return self.state in (None, "done", "failed", "cancelled")

    def wait(self) -> None:
        """Put back, or cancelled if that was asked for."""
        self.claim = None
        if self.cancel:
            self.end("cancelled")
        else:
            self.state, self.queued = "waiting", True

    def end(self, state: str) -> None:
        self.state, self.queued, self.moved, self.cancel = state, False, None, False
        self.claim = None

    def take(self) -> str:
        """A worker claims the message; what comes of it."""
        self.queued, self.moved = False, None
        if self.ended:
            self.attempts = self.rescues = 0
        if self.cancel:
            self.end("cancelled")
            return "nothing"
        if self.attempts < 3:
            self.attempts += 1
        else:
            self.rescues += 1
            if self.rescues > 3:
                self.end("failed")
                return "nothing"
        self.state = "running"
        return "claim"

    def uncount(self) -> None:
        if self.rescues:
            self.rescues -= 1
        else:
            self.attempts -= 1


class QueueMachine(RuleBasedStateMachine):
    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = connect(self.url)
        self.queue = JobQueue(self.client)
        self.claims = {name: Claims(self.client, name) for name in WORKERS}
        self.reaper = Reaper(self.client)
        self.models = {song(number): Model() for number in (*OURS, *OTHERS)}
        self.run(self.client.flushall())

    def run(self, work: Awaitable[Any]) -> Any:
        async def waited() -> Any:
            return await work

        return self.runner.run(waited())

    def teardown(self) -> None:
        self.run(self.client.aclose())
        self.runner.close()

    @initialize()
    def some_work(self) -> None:
        """All songs wait, and one runs: sequences begin where something can happen."""
        for number in OURS:
            self.submit(number, "normal", False)
        for number in OTHERS:
            self.push(number)
        self.take(WORKERS[0])

    @rule(number=ours, priority=st.sampled_from(["high", "normal", "low"]), again=st.booleans())
    def submit(self, number: int, priority: str, again: bool) -> None:
        model = self.models[song(number)]
        submission = self.run(self.queue.submit(request(number, priority=priority), again=again))
        fresh = model.ended and (model.state != "done" or again)
        assert submission.created == fresh
        if fresh:
            kept = {"lost": model.lost, "replayed": model.replayed}
            model.__init__(state="waiting", queued=True, **kept)  # type: ignore[misc]  # anew
        elif not model.ended:
            model.cancel = False

    @rule(number=st.sampled_from(OTHERS))
    def push(self, number: int) -> None:
        model = self.models[song(number)]
        if model.ended and not model.queued and model.moved is None:
            self.run(self.client.lpush(keys.QUEUE, song(number)))
            model.queued = True

    @rule(name=worker)
    def take(self, name: str) -> None:
        waiting = self.run(self.queue.queue())
        inbox = [song for song, model in self.models.items() if model.moved == name]
        expected = None
        for next_song in inbox + waiting:
            if self.models[next_song].take() == "claim":
                expected = next_song
                break
        claim = self.run(self.claims[name].take(wait=0))
        assert (claim.job.id if claim else None) == expected
        if claim is not None:
            model = self.models[claim.job.id]
            model.claim = claim
            assert claim.exhausted == (model.rescues > 0)

    @rule(name=worker)
    def only_move(self, name: str) -> None:
        """A worker is held up between the move and the claim."""
        if any(model.moved == name for model in self.models.values()):
            return
        self.run(self.claims[name].heartbeat())
        move = self.client.lmove(keys.QUEUE, keys.worker_jobs(name), "RIGHT", "LEFT")
        message = self.run(move)
        if message is not None:
            model = self.models[read_message(message).request.job_id]
            model.queued, model.moved = False, name

    @rule(name=worker)
    def die_between(self, name: str) -> None:
        """The worker's heartbeat has run out; what it had moved goes back."""
        self.run(self.client.zadd(keys.WORKERS, {name: 1}))
        self.run(self.reaper.reap(thorough=True))
        for model in self.models.values():
            if model.moved == name:
                model.queued, model.moved = True, None

    @rule(number=anyone)
    def cancel(self, number: int) -> None:
        model = self.models[song(number)]
        self.run(self.queue.cancel(song(number)))
        if model.state == "running" or (model.state == "waiting" and model.moved):
            model.cancel = True
        elif model.state == "waiting" or (model.state is None and model.queued):
            model.end("cancelled")

    @precondition(lambda self: self.running())
    @rule(chosen=pick, how=late)
    def expire(self, chosen: int, how: str) -> None:
        """A lease runs out; its worker does not know, and tries to go on or to end."""
        name, model, claim = self.chosen(chosen)
        self.run(self.client.hset(keys.JOB + name, "lease", 1))
        self.run(self.reaper.reap(thorough=True))
        model.lost.append(claim)
        model.wait()
        self.come_late(how)

    @precondition(lambda self: self.running())
    @rule(chosen=pick)
    def renew(self, chosen: int) -> None:
        _, model, claim = self.chosen(chosen)
        answer = self.run(self.claims["worker-1"].renew(claim, percent=50))
        assert answer == ("cancelled" if model.cancel else "go on")

    @precondition(lambda self: self.running())
    @rule(chosen=pick, outcome=st.sampled_from(["complete", "fallback"]))
    def finish(self, chosen: int, outcome: Outcome) -> None:
        _, model, claim = self.chosen(chosen)
        self.run(self.claims["worker-1"].finish(claim, outcome))
        model.end("done")

    @precondition(lambda self: self.running())
    @rule(chosen=pick)
    def retry(self, chosen: int) -> None:
        _, model, claim = self.chosen(chosen)
        over = self.run(self.claims["worker-1"].retry(claim, WRONG))
        assert over == (model.attempts < 3)
        if over:
            model.wait()

    @precondition(lambda self: self.running())
    @rule(chosen=pick)
    def bury(self, chosen: int) -> None:
        _, model, claim = self.chosen(chosen)
        self.run(self.claims["worker-1"].bury(claim, WRONG))
        model.end("failed")

    @precondition(lambda self: self.running())
    @rule(chosen=pick)
    def hand_back(self, chosen: int) -> None:
        _, model, claim = self.chosen(chosen)
        self.run(self.claims["worker-1"].release(claim))
        model.uncount()
        model.wait()

    @precondition(lambda self: any(model.lost for model in self.models.values()))
    @rule(how=late)
    def come_late(self, how: str) -> None:
        """Whoever lost a lease tries to end what is not his any more."""
        arguments = {"finish": ("complete",), "bury": (WRONG,)}.get(how, ())
        for claim in [claim for model in self.models.values() for claim in model.lost]:
            with pytest.raises(LeaseLostError):
                self.run(getattr(self.claims["worker-1"], how)(claim, *arguments))

    @rule(number=anyone)
    def replay(self, number: int) -> None:
        model = self.models[song(number)]
        # A song that others have pushed again has a message of its own by now.
        if model.state == "failed" and (model.queued or model.moved):
            return
        worked = self.run(DeadLetters(self.client).replay(song(number)))
        assert worked == (model.state == "failed" or model.replayed)
        if model.state == "failed":
            model.replayed = True
            model.attempts = model.rescues = 0
            model.wait()

    def running(self) -> list[str]:
        return [name for name, model in self.models.items() if model.claim is not None]

    def chosen(self, chosen: int) -> tuple[str, Model, Claim]:
        running = self.running()
        name = running[chosen % len(running)]
        model = self.models[name]
        assert model.claim is not None
        return name, model, model.claim

    @invariant()
    def each_job_is_in_exactly_one_state(self) -> None:
        self.run(self.check())

    async def check(self) -> None:
        async with self.client.pipeline() as pipe:
            for name in LISTS:
                pipe.lrange(name, 0, -1)
            for name in WORKERS:
                pipe.lrange(keys.worker_jobs(name), 0, -1)
            for state in STATES:
                pipe.zrange(keys.JOBS_IN_STATE + state, 0, -1)
            pipe.zrange(keys.JOBS, 0, -1)
            pipe.zrange(keys.DEAD, 0, -1)
            pipe.lrange(keys.INFLIGHT, 0, -1)
            for name in self.models:
                pipe.hmget(keys.JOB + name, "state", "attempts", "cancel")
            found = await pipe.execute()
        models = self.models.items()
        queued = [m for messages in found[:3] for m in messages]
        assert ids(queued) == sorted(name for name, model in models if model.queued)
        for worker_name, messages in zip(WORKERS, found[3:5], strict=True):
            there = sorted(name for name, model in models if model.moved == worker_name)
            assert ids(messages) == there
        for state, listed in zip(STATES, found[5:10], strict=True):
            assert names(listed) == sorted(n for n, model in models if model.state == state)
        assert names(found[10]) == sorted(name for name, model in models if model.state)
        assert names(found[11]) == sorted(n for n, model in models if model.state == "failed")
        assert names(found[12]) == sorted(n for n, model in models if model.state == "running")
        for (_, model), (state, attempts, cancel) in zip(models, found[13:], strict=True):
            assert (state.decode() if state else None) == model.state
            assert (cancel == b"1") == model.cancel
            if model.state in ("waiting", "running"):
                assert int(attempts) == model.attempts


def ids(messages: list[bytes]) -> list[str]:
    return sorted(read_message(message).request.job_id for message in messages)


def names(members: list[bytes]) -> list[str]:
    return sorted(member.decode() for member in members)


@pytest.mark.timeout(rounds(120, 7200))
def test_each_job_is_always_in_exactly_one_state(
    queue_url: str, record_property: Callable[[str, object], None]
) -> None:
    sequences = rounds(20, 10_000)

    class OnThisServer(QueueMachine):
        url = queue_url

    run_machine(
        OnThisServer,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=25,
            deadline=None,
            derandomize=not FULL,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("figure", f"{sequences} sequences of up to 25 steps on a server")
