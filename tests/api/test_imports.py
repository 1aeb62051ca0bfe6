"""Imports over a real connection: songs that lie at an address, on a real server."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from octet.api.auth import hash_key
from octet.jobs.imports import Imports
from tests.api.addresses import HALF, SLOW, serving_songs
from tests.api.answers import problem
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    import redis

    from octet.settings import ServiceSettings
    from tests.api.addresses import Songs
    from tests.api.conftest import Start
    from tests.api.worker import StandIn

NAME = name_of(SLOW)


@pytest.fixture
def songs() -> Iterator[Songs]:
    """A server that has songs."""
    with serving_songs() as server:
        yield server


@pytest.fixture(scope="session")
def settings(near_settings: ServiceSettings) -> ServiceSettings:
    """Those of all here."""
    return near_settings


@pytest.fixture
def near(start: Start) -> httpx.Client:
    """An API that may fetch from this machine."""
    return start()


def until(api: httpx.Client, address: str, *states: str) -> dict[str, Any]:
    """The job, once it is in one of these states."""
    deadline = time.monotonic() + 20
    while (job := api.get(address).json())["state"] not in states:
        assert time.monotonic() < deadline, job
        time.sleep(0.02)
    return dict(job)


@contextmanager
def followed(api: httpx.Client, job: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
    """The job's events."""
    with api.stream("GET", job["links"]["events"]) as answer:
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        yield (json.loads(line.removeprefix("data: ")) for line in lines)


def test_a_song_at_an_address_from_start_to_end(
    near: httpx.Client, songs: Songs, worker: StandIn
) -> None:
    # given an address whose server takes its time, then the answer does not wait for it
    answer = near.post("/v1/jobs", json={"url": songs.url("/slow"), "name": "Lied"})
    job = answer.json()
    assert answer.status_code == 202
    assert re.fullmatch("import-[0-9a-f]{32}", job["id"])
    assert (job["state"], job["song"], job["job"], job["name"]) == ("fetching", None, None, "Lied")
    assert answer.headers["location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert (job["links"]["song"], job["links"]["archive"]) == (None, None)
    assert problem(near.get(f"/v1/songs/{job['id']}"), 404) == "not-found"

    # its events tell how much has come
    with followed(near, job) as events:
        half = next(event for event in events if event["bytes"])
        assert (half["bytes"], half["size"]) == (HALF, len(SLOW))
        assert near.get("/v1/queue").json()["fetching"] == 1
        assert "octet_imports 1.0" in near.get("/metrics").text
        # and once it is all there, of the song's own job, to its end
        songs.go_on.set()
        waiting = next(event for event in events if event["state"] == "waiting")
        assert (waiting["job"], waiting["song"], waiting["position"]) == (NAME, NAME, 0)
        finishing = threading.Thread(target=worker.finish)
        finishing.start()
        last = list(events)[-1]
        finishing.join()
    assert (last["state"], last["outcome"], last["id"]) == ("done", "complete", job["id"])

    # the import's id is as good as the job's
    view, direct = (near.get(f"/v1/jobs/{name}").json() for name in (job["id"], NAME))
    assert {**view, "id": NAME, "job": None, "links": None} == {**direct, "links": None}
    track = near.get(f"{view['links']['song']}/tracks/vocals")
    assert track.content == near.get(f"/v1/songs/{job['id']}/tracks/vocals").content != b""
    assert near.get("/v1/queue").json()["fetching"] == 0


def test_the_same_song_from_two_addresses_is_one_job(
    near: httpx.Client, songs: Songs, valkey: redis.Redis
) -> None:
    first = near.post("/v1/jobs", json={"url": songs.url("/7")}).json()
    second = near.post("/v1/jobs", json={"url": songs.url("/007")}).json()
    assert first["id"] != second["id"]
    for job in (first, second):
        assert until(near, job["links"]["self"], "waiting")["job"] == name_of(song(7))
    assert valkey.llen("toWorker") == 1


def test_what_is_published_is_done_at_once(
    near: httpx.Client, songs: Songs, worker: StandIn, valkey: redis.Redis
) -> None:
    near.post("/v1/jobs", content=song(7))
    worker.finish()
    valkey.flushall()

    job = near.post("/v1/jobs", json={"url": songs.url("/7")}).json()
    with followed(near, job) as events:
        assert [event["state"] for event in events][-1] == "done"


def test_an_import_is_cancelled_on_its_way(near: httpx.Client, songs: Songs) -> None:
    job = near.post("/v1/jobs", json={"url": songs.url("/slow")}).json()
    with followed(near, job) as events:
        next(event for event in events if event["bytes"])
        asked = near.delete(job["links"]["self"]).json()
        assert (asked["state"], asked["cancelling"]) == ("fetching", True)
        assert list(events)[-1]["state"] == "cancelled"
    songs.go_on.set()
    assert near.get("/apiv1/queue").json() == {"queue": []}
    assert problem(near.delete(f"/v1/jobs/import-{'0' * 32}"), 404) == "not-found"


def test_a_cancel_of_what_was_fetched_is_its_jobs(near: httpx.Client, songs: Songs) -> None:
    address = near.post("/v1/jobs", json={"url": songs.url("/7")}).headers["location"]
    until(near, address, "waiting")
    assert near.delete(address).json()["state"] == "cancelled"
    assert near.get(f"/v1/jobs/{name_of(song(7))}").json()["state"] == "cancelled"


def test_a_song_that_is_not_there_fails_and_says_so(
    near: httpx.Client, songs: Songs, valkey: redis.Redis
) -> None:
    given = {"url": songs.url("/none"), "webhook": "http://example.invalid/told"}
    job = near.post("/v1/jobs", json=given).json()
    failed = until(near, job["links"]["self"], "failed")
    assert failed["error"] == {
        "code": "remote-refused",
        "message": "127.0.0.1 answered 404",
    }
    assert failed["finished"].endswith("Z")
    assert valkey.zcard("octet:webhooks") == 1


def test_all_are_listed_in_the_order_of_their_requests(near: httpx.Client, songs: Songs) -> None:
    # given jobs, and imports that failed, were cancelled, and are on their way
    made = []
    for number in range(3):
        made.append(near.post("/v1/jobs", content=song(number)).json()["id"])
        made.append(near.post("/v1/jobs", json={"url": songs.url("/none")}).json()["id"])
        until(near, f"/v1/jobs/{made[-1]}", "failed")
    made.append(near.post("/v1/jobs", json={"url": songs.url("/slow")}).json()["id"])

    pages, after = [], None
    while True:
        page = near.get("/v1/jobs", params={"limit": 2, **({"after": after} if after else {})})
        pages += [job["id"] for job in page.json()["jobs"]]
        if (after := page.json()["next"]) is None:
            break
    assert pages == made[::-1]
    for state, ids in (
        ("failed", made[5:0:-2]),
        ("waiting", made[4::-2]),
        ("fetching", made[6:]),
        ("done", []),
    ):
        listed = near.get("/v1/jobs", params={"state": state}).json()
        assert [job["id"] for job in listed["jobs"]] == ids
        assert listed["next"] is None


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"url": "http://10.0.0.1/a.mp3"}, 422, "forbidden-address"),
        ({"url": "file:///etc/passwd"}, 422, "forbidden-address"),
        ({"url": "http://example.org/a.mp3", "model": "nobody"}, 422, "unknown-model"),
        ({"url": "http://example.org/a.mp3", "colour": "blue"}, 422, "invalid-request"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(
    near: httpx.Client, given: dict[str, str], status: int, code: str
) -> None:
    assert problem(near.post("/v1/jobs", json=given), status) == code
    assert near.get("/v1/jobs").json()["jobs"] == []


def test_a_request_can_be_repeated(near: httpx.Client, songs: Songs) -> None:
    key = {"Idempotency-Key": "once"}
    first = near.post("/v1/jobs", json={"url": songs.url("/7")}, headers=key)
    again = near.post("/v1/jobs", json={"url": songs.url("/7")}, headers=key)
    other = near.post("/v1/jobs", json={"url": songs.url("/8")}, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert problem(other, 422) == "key-reused"


def test_one_key_cannot_take_all_places(
    start: Start, songs: Songs, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = {**(Imports.add.__kwdefaults__ or {}), "most_of_one": 1, "most": 2}
    monkeypatch.setattr(Imports.add, "__kwdefaults__", bounds)
    api = start(api_keys=tuple(map(hash_key, ("a", "b", "c"))))

    def asks(key: str) -> httpx.Response:
        given = {"url": songs.url("/slow")}
        return api.post("/v1/jobs", json=given, headers={"X-API-Key": key})

    assert asks("a").status_code == 202
    refused = asks("a")
    assert problem(refused, 429) == "too-many"
    assert int(refused.headers["retry-after"]) > 0
    assert asks("b").status_code == 202
    assert problem(asks("c"), 503) == "busy"
