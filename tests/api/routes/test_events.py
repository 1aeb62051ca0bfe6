"""Server-sent events of a job."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx

from octet.api.routes import events
from tests.api.answers import problem
from tests.api.conftest import serving
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    import redis

    from octet.settings import ServiceSettings
    from tests.api.worker import StandIn


def jobs_in(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """The jobs in a stream of events."""
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            assert name == "job"
            yield json.loads(line.removeprefix("data: "))


def test_a_job_is_followed_to_its_end(api: httpx.Client, worker: StandIn) -> None:
    job = api.post("/v1/jobs", content=song(1)).json()

    with api.stream("GET", job["links"]["events"]) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        jobs = jobs_in(answer)
        assert next(jobs)["state"] == "waiting"
        finishing = threading.Thread(target=worker.finish)
        finishing.start()
        rest = list(jobs)
        finishing.join()

    last = rest[-1]
    assert (last["state"], last["outcome"], last["percent"]) == ("done", "complete", 100)


def test_what_has_ended_is_told_once(api: httpx.Client, worker: StandIn) -> None:
    job = api.post("/v1/jobs", content=song(1)).json()
    worker.finish()
    with api.stream("GET", job["links"]["events"]) as answer:
        assert [each["state"] for each in jobs_in(answer)] == ["done"]


def test_a_message_of_others_is_followed_from_its_wait(
    api: httpx.Client, worker: StandIn, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_UNRECORDED_EVERY", 0.1)
    name = name_of(song(1))
    valkey.lpush("toWorker", name)
    with api.stream("GET", f"/v1/jobs/{name}/events") as answer:
        jobs = jobs_in(answer)
        assert next(jobs)["state"] == "waiting"
        worker.bury()
        assert [job["state"] for job in jobs][-1] == "failed"


def test_silence_is_filled(
    api: httpx.Client, worker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.05)
    job = api.post("/v1/jobs", content=song(1)).json()
    with api.stream("GET", job["links"]["events"]) as answer:
        assert any(line.startswith(": ") for line in answer.iter_lines())


def test_a_stop_ends_the_streams(settings: ServiceSettings, valkey: redis.Redis) -> None:
    # given a stream that would go on
    with httpx.Client() as client:
        with serving(settings) as url:
            client.post(f"{url}/v1/jobs", content=song(1))
            request = client.build_request("GET", f"{url}/v1/jobs/{name_of(song(1))}/events")
            answer = client.send(request, stream=True)
            begun = time.monotonic()
        # when the service has been stopped, then it did not wait for the stream
        assert time.monotonic() - begun < 5
        assert len(list(jobs_in(answer))) == 1


def test_no_such_job(api: httpx.Client) -> None:
    assert problem(api.get(f"/v1/jobs/{'0' * 64}/events"), 404) == "not-found"


def test_many_streams_take_one_connection_to_the_queue(
    api: httpx.Client, worker: StandIn, valkey: redis.Redis
) -> None:
    # given a hundred streams of one job
    job = api.post("/v1/jobs", content=song(1)).json()
    with ExitStack() as stack:
        streams = [
            jobs_in(stack.enter_context(api.stream("GET", job["links"]["events"])))
            for _ in range(100)
        ]
        for jobs in streams:
            assert next(jobs)["state"] == "waiting"
        # when they listen, then the queue server has one subscriber
        until = time.monotonic() + 20
        while not (subscribers := valkey.client_list(_type="pubsub")):
            assert time.monotonic() < until
        assert len(subscribers) == 1
        # and each of them is told of the job's end
        worker.finish()
        assert {list(jobs)[-1]["state"] for jobs in streams} == {"done"}
