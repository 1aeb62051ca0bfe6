"""A long queue is listed whole, in order, and by one reading for many who ask."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from octet.api.state import SHORT
from octet.jobs.queue import JobQueue
from tests.api.songs import name_of

if TYPE_CHECKING:
    import httpx
    import pytest
    import redis

NAMES = [name_of(str(number).encode()) for number in range(20 * SHORT)]


def test_a_long_queue_is_listed_in_its_order(api: httpx.Client, valkey: redis.Redis) -> None:
    valkey.lpush("toWorker", *NAMES)
    assert api.get("/apiv1/queue").json()["queue"] == NAMES
    queue = api.get("/v1/queue?limit=3").json()
    assert queue["depth"] == len(NAMES)
    assert [entry["song"] for entry in queue["waiting"]] == NAMES[:3]
    assert api.get(f"/v1/jobs/{NAMES[-1]}").json()["position"] == len(NAMES) - 1


def test_what_was_pushed_before_the_question_is_in_the_answer(
    api: httpx.Client, valkey: redis.Redis
) -> None:
    valkey.lpush("toWorker", *NAMES)
    with ThreadPoolExecutor(8) as pool:

        def push_and_look(number: int) -> bool:
            name = name_of(f"another {number}".encode())
            valkey.lpush("toWorker", name)
            return name in api.get("/apiv1/queue").json()["queue"]

        assert all(pool.map(push_and_look, range(40)))


def test_many_who_ask_share_a_reading(
    api: httpx.Client, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a queue that takes a while to read
    valkey.lpush("toWorker", *NAMES)
    readings = []
    read = JobQueue.waiting

    async def counted(queue: JobQueue) -> object:
        readings.append(queue)
        time.sleep(0.2)  # noqa: ASYNC251  # in a thread of its own, where it holds up nobody
        return await read(queue)

    monkeypatch.setattr(JobQueue, "waiting", counted)
    # when twenty ask for it at once, and somebody else for something else
    with ThreadPoolExecutor(21) as pool:
        asked = [pool.submit(api.get, "/apiv1/queue") for _ in range(20)]
        time.sleep(0.1)
        begun = time.monotonic()
        assert api.get("/v1/models").status_code == 200
        took = time.monotonic() - begun
        assert {len(answer.result().json()["queue"]) for answer in asked} == {len(NAMES)}
    # then few readings were made, and the other did not wait for them
    assert len(readings) < 8
    assert took < 2
