"""All names of keys stand in one module: none is used twice, and the scripts use no others."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from octet.jobs import keys
from octet.jobs.claims import Claims
from octet.jobs.job import Callback, JobError
from octet.jobs.outbox import Outbox
from octet.jobs.reaper import Reaper
from octet.jobs.server import reply_of, run_script
from tests.jobs.songs import request

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from octet.jobs.queue import JobQueue

NAMES = {name: value for name, value in vars(keys).items() if name.isupper()}
CONTRACT = {"toWorker", "logging"}
SCRIPTS = {
    script.name: script.read_text("utf-8")
    for script in files("octet.jobs").joinpath("lua").iterdir()
    if script.name.endswith(".lua")
}


def test_no_two_names_are_the_same_or_can_become_the_same() -> None:
    assert len(set(NAMES.values())) == len(NAMES) > 20
    # A name that ends with a colon is followed by an id, which could be anything.
    clashes = [
        (one, other)
        for one, other in permutations(NAMES, 2)
        if NAMES[one].endswith(":") and NAMES[other].startswith(NAMES[one])
    ]
    assert not clashes


def test_all_but_the_contracts_two_begin_with_octet() -> None:
    assert {value for value in NAMES.values() if not value.startswith("octet:")} == CONTRACT


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_names_only_keys_that_there_are(script: str) -> None:
    code = re.sub(r"--.*", "", SCRIPTS[script])

    # One that there is not would be nil, which fails only when that line runs.
    assert set(re.findall(r"\bK\.(\w+)", code)) <= set(NAMES)
    # and none is written out
    literals = re.findall(r"'([^'\n]*)'", code) + re.findall(r'"([^"\n]*)"', code)
    assert not [text for text in literals if text.startswith("octet:") or text in CONTRACT]


@pytest.mark.anyio
async def test_what_lies_on_the_server_has_one_of_these_names(
    client: Redis, queue: JobQueue
) -> None:
    # given jobs in every state, with callbacks and keys of clients, and what nobody can read
    claims, hook = Claims(client, "worker-1"), (Callback("http://x/"),)
    for number in range(4):
        await queue.submit(
            request(number, callbacks=hook, priority="high"), idempotency_key=f"k{number}"
        )
    for _ in range(3):
        claim = await claims.take(wait=0)
        assert claim is not None
        if claim.job.id == request(0).job_id:
            await claims.finish(claim, "complete")
        elif claim.job.id == request(1).job_id:
            await claims.bury(claim, JobError("model", "it went wrong"))
    await queue.submit(request(5, priority="low"))
    await client.lpush(keys.QUEUE, b"no job")
    await claims.take(wait=0)
    await claims.take(wait=0)
    await claims.heartbeat({"model": "pocket"})
    await queue.choose(request(0).song, "", "f" * 16)
    await Outbox(client).claim()
    await Reaper(client).reap(thorough=True)
    # when all keys are listed
    found = {key.decode() for key in await reply_of(client.keys("*"))}
    # then each is a name, or a name and an id
    strange = {
        key
        for key in found
        if not any(
            key.startswith(name) if name.endswith(":") else key == name for name in NAMES.values()
        )
    }
    assert not strange
    assert {keys.JOBS, keys.DEAD, keys.OUTBOX, keys.INFLIGHT, keys.ENDED} < found


@pytest.mark.anyio
async def test_scripts_and_claims_mean_the_same_list_of_a_worker(client: Redis) -> None:
    await client.lpush(keys.QUEUE, b"a message")

    assert await run_script(client, "take", "worker-1", 1000) == b"a message"

    assert await client.lrange(keys.worker_jobs("worker-1"), 0, -1) == [b"a message"]
