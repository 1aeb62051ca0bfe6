"""A long queue is listed whole, in order, and by one reading for many who ask."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from octet.api.state import SHORT
from octet.jobs.queue import JobQueue
from tests.api.songs import name_of, song
from tests.api.worker import StandIn

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    import pytest
    import redis

    from octet.settings import ServiceSettings
    from tests.api.conftest import Start

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


def test_callbacks_are_delivered_without_a_worker(
    start: Start, settings: ServiceSettings, tmp_path: Path
) -> None:
    # given a receiver, and a song whose result is published, on a queue of their own
    assert settings.redis_url is not None
    place = urlsplit(settings.redis_url.get_secret_value())._replace(path="/7")
    its = settings.model_copy(update={"redis_url": SecretStr(place.geturl())})
    worker = StandIn(its, tmp_path)
    received: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class' name
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        api = start(redis_url=its.redis_url, allow_hosts=("127.0.0.1",))
        api.post("/v1/jobs", content=song(1))
        worker.finish()
        # when it is sent again with a callback, whose data holds half a character, and again
        url = f"http://127.0.0.1:{server.server_port}/"
        callback = json.dumps({"url": url, "data": {"half": "\ud83d"}})
        for _ in range(2):
            answer = api.post("/v1/jobs", files={"file": song(1)}, data={"callback": callback})
            assert answer.status_code == 200, answer.text
        # then both are delivered, though no worker is there
        until = time.monotonic() + 30
        while len(received) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert set(received) == {b'{"half": "\\ud83d"}'}
