"""/v1/jobs, over a real connection."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import fastapi.routing
import httpx
import pytest

from octet.api.routes import jobs
from tests.api.answers import problem
from tests.api.conftest import serving
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from octet.settings import ServiceSettings
    from tests.api.conftest import Start
    from tests.api.worker import StandIn


def test_a_raw_body_is_a_job(api: httpx.Client, store: Path) -> None:
    data = song(1)

    answer = api.post("/v1/jobs", content=data, headers={"Content-Type": "audio/mpeg"})

    assert answer.status_code == 202
    job = answer.json()
    assert job["id"] == job["song"] == name_of(data)
    assert (job["state"], job["position"], job["percent"]) == ("waiting", 0, 0)
    assert answer.headers["location"] == f"/v1/jobs/{name_of(data)}"
    stored = store / "demucs-bucket" / "queue" / f"{name_of(data)}.mp3"
    assert stored.read_bytes() == data


def test_nothing_else_is_left_in_the_store(api: httpx.Client, store: Path) -> None:
    api.post("/v1/jobs", content=song(1))
    api.post("/v1/jobs", content=b"this is no song")

    bucket = store / "demucs-bucket"
    files = [path for path in bucket.rglob("*") if path.is_file() and ".octet" not in path.parts]
    assert [path.name for path in files] == [f"{name_of(song(1))}.mp3"]


def test_a_form_carries_file_and_options(api: httpx.Client) -> None:
    answer = api.post(
        "/v1/jobs",
        files={"file": ('../..\\Müller\'s "Lied".mp3', song(1), "audio/mpeg")},
        data={"format": "flac", "bits": "24", "tracks": "vocals, drums", "priority": "high"},
    )

    job = answer.json()
    assert answer.status_code == 202
    assert job["recipe"] == {
        "model": "pocket",
        "format": "flac",
        "bits": 24,
        "bitrate": None,
        "overlap": None,
        "shifts": 0,
        "damaged": "skip",
        "tracks": ["vocals", "drums"],
    }
    assert job["id"].startswith(f"{name_of(song(1))}-")
    assert job["priority"] == "high"
    assert "/" not in job["name"]
    assert "Müller" in job["name"]


def test_what_equals_the_defaults_is_the_default_recipe(api: httpx.Client) -> None:
    answer = api.post(
        "/v1/jobs?model=pocket&format=mp3&shifts=0"
        "&tracks=vocals,drums,bass,other,original,full,instrumental,acapella",
        content=song(1),
    )
    assert answer.json()["id"] == name_of(song(1))
    assert answer.json()["recipe"]["model"] == "pocket"
    assert "tracks" not in answer.json()["recipe"]


def test_a_song_that_lies_in_the_bucket(api: httpx.Client, store: Path) -> None:
    (store / "demucs-bucket" / "mine").mkdir()
    (store / "demucs-bucket" / "mine" / "a b.mp3").write_bytes(song(1))

    answer = api.post("/v1/jobs", json={"object": "mine/a b.mp3"})

    assert answer.status_code == 202
    assert answer.json()["song"] == name_of(song(1))
    assert problem(api.post("/v1/jobs", json={"object": "mine/none.mp3"}), 404)
    assert problem(api.post("/v1/jobs", json={"object": "../../etc/passwd"}), 422)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "169.254.169.254", "[::1]", "2130706433"])
def test_inside_addresses_are_not_fetched(api: httpx.Client, host: str) -> None:
    answer = api.post("/v1/jobs", json={"url": f"http://{host}/song.mp3"})
    assert problem(answer, 422) == "forbidden-address"


def test_the_same_song_is_the_same_job(api: httpx.Client) -> None:
    first, second = (api.post("/v1/jobs", content=song(1)) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert api.get("/apiv1/queue").json() == {"queue": [name_of(song(1))]}


def test_fifty_posts_of_one_song_at_once_are_one_job(
    api: httpx.Client, valkey: redis.Redis
) -> None:
    """Reliability 12."""
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: api.post("/v1/jobs", content=song(1)), range(50)))

    assert sorted({answer.status_code for answer in answers}) == [200, 202]
    assert sum(answer.status_code == 202 for answer in answers) == 1
    assert valkey.llen("toWorker") == 1


def test_an_idempotency_key(api: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    first = api.post("/v1/jobs", content=song(1), headers=key)
    again = api.post("/v1/jobs", content=song(1), headers=key)
    other = api.post("/v1/jobs", content=song(2), headers=key)

    assert (first.status_code, again.status_code) == (202, 200)
    assert problem(other, 422) == "key-reused"


def test_what_is_published_answers_at_once(
    api: httpx.Client, worker: StandIn, valkey: redis.Redis
) -> None:
    api.post("/v1/jobs", content=song(1))
    worker.finish()

    again = api.post("/v1/jobs?webhook=http://example.org/told", content=song(1))

    assert again.status_code == 200
    assert (again.json()["state"], again.json()["outcome"]) == ("done", "complete")
    assert valkey.llen("toWorker") == 0
    assert valkey.zcard("octet:webhooks") == 1


def test_a_result_without_a_record_answers_at_once(
    api: httpx.Client, worker: StandIn, valkey: redis.Redis
) -> None:
    # given a result whose record has expired
    api.post("/v1/jobs", content=song(1))
    worker.finish()
    valkey.flushall()

    answer = api.post(
        "/v1/jobs",
        files={"file": ("a.mp3", song(1))},
        data={"callback": json.dumps({"url": "http://example.org/", "data": {"a": [1]}})},
    )

    assert answer.status_code == 200
    assert answer.json()["state"] == "done"
    assert api.get(f"/v1/jobs/{name_of(song(1))}").json()["state"] == "done"
    [delivery] = valkey.zrange("octet:webhooks", 0, -1)
    assert isinstance(delivery, bytes)
    body = valkey.hget(f"octet:webhooks:{delivery.decode()}", "body")
    assert body == b'{"a": [1]}'


def test_a_fallback_is_tried_again(api: httpx.Client, worker: StandIn) -> None:
    api.post("/v1/jobs", content=song(1))
    worker.finish("fallback")
    assert api.post("/v1/jobs", content=song(1)).status_code == 202
    assert worker.finish().outcome == "complete"


def test_what_was_deleted_is_computed_again(api: httpx.Client, worker: StandIn) -> None:
    api.post("/v1/jobs", content=song(1))
    worker.finish()
    assert api.delete(f"/v1/songs/{name_of(song(1))}").status_code == 204
    assert api.get(f"/v1/songs/{name_of(song(1))}").status_code == 404

    assert api.post("/v1/jobs", content=song(1)).status_code == 202
    assert worker.finish().state == "done"


def test_a_job_can_be_looked_at_from_start_to_end(api: httpx.Client, worker: StandIn) -> None:
    address = api.post("/v1/jobs", content=song(1)).headers["location"]
    worker.progress(42)

    job = api.get(address).json()
    assert (job["state"], job["percent"], job["seconds_left"]) == ("running", 42, 7)
    assert job["attempts"] == 1
    assert job["started"].endswith("Z")
    assert api.get("/v1/queue").json()["running"][0]["id"] == name_of(song(1))


def test_a_job_that_was_given_up_says_why(api: httpx.Client, worker: StandIn) -> None:
    address = api.post("/v1/jobs", content=song(1)).headers["location"]
    worker.bury()
    job = api.get(address).json()
    assert (job["state"], job["error"]["code"]) == ("failed", "not-audio")


def test_what_others_pushed_is_a_job_too(api: httpx.Client, valkey: redis.Redis) -> None:
    valkey.lpush("toWorker", name_of(song(1)))

    job = api.get(f"/v1/jobs/{name_of(song(1))}").json()
    assert (job["state"], job["position"]) == ("waiting", 0)
    assert api.delete(f"/v1/jobs/{name_of(song(1))}").json()["state"] == "cancelled"
    assert valkey.llen("toWorker") == 0


def test_cancel(api: httpx.Client, worker: StandIn) -> None:
    waiting = api.post("/v1/jobs", content=song(2)).headers["location"]
    running = api.post("/v1/jobs?priority=high", content=song(1)).headers["location"]
    worker.progress(10)

    assert api.delete(waiting).json()["state"] == "cancelled"
    assert api.delete(running).json()["cancelling"] is True
    assert problem(api.delete(f"/v1/jobs/{'0' * 64}"), 404) == "not-found"


def test_jobs_are_listed_in_pages(api: httpx.Client, worker: StandIn) -> None:
    for number in range(5):
        api.post("/v1/jobs", content=song(number))
    worker.finish()

    first = api.get("/v1/jobs?limit=3").json()
    rest = api.get("/v1/jobs", params={"limit": 3, "after": first["next"]}).json()
    names = [job["id"] for job in first["jobs"] + rest["jobs"]]
    assert names == [name_of(song(number)) for number in (4, 3, 2, 1, 0)]
    assert rest["next"] is None
    done = api.get("/v1/jobs?state=done").json()["jobs"]
    assert [job["id"] for job in done] == [name_of(song(0))]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"model": "../../etc/passwd"}, "unknown-model"),
        ({"model": "$(touch x)"}, "unknown-model"),
        ({"format": "exe"}, "invalid-request"),
        ({"format": "mp3", "bits": "24"}, "setting"),
        ({"format": "flac", "bitrate": "128"}, "setting"),
        ({"tracks": "vocals,tuba"}, "setting"),
        ({"overlap": "nan"}, "invalid-request"),
        ({"shifts": "1000"}, "invalid-request"),
        ({"webhook": "ftp://example.org/"}, "invalid-request"),
        ({"webhook": "http://user:word@example.org/"}, "invalid-request"),
        ({"callback": "{"}, "invalid-request"),
        ({"colour": "blue"}, "invalid-request"),
    ],
)
def test_options_without_sense(api: httpx.Client, options: dict[str, str], word: str) -> None:
    assert problem(api.post("/v1/jobs", params=options, content=song(1)), 422) == word
    form = api.post("/v1/jobs", files={"file": ("a.mp3", song(1))}, data=options)
    assert problem(form, 422) == word


def test_a_cascade_is_a_model(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs?model=pocket%2Bpocket", content=song(1))
    assert answer.status_code == 202
    assert answer.json()["recipe"]["model"] == "pocket+pocket"
    # and the part of one that is unknown is named
    refused = api.post("/v1/jobs?model=pocket%2Bnobody", content=song(1))
    assert problem(refused, 422) == "unknown-model"
    assert "'nobody'" in refused.json()["detail"]


def test_a_model_whose_licence_does_not_fit(settings: ServiceSettings) -> None:
    with serving(settings, model_policy="commercial") as url, httpx.Client(base_url=url) as api:
        answer = api.post("/v1/jobs?model=htdemucs", content=song(1))
        assert problem(answer, 422) == "model-policy"
        names = [model["name"] for model in api.get("/v1/models").json()["models"]]
        assert names == ["pocket", "spleeter+pocket"]


@pytest.mark.parametrize(
    "data",
    [b"", b"#EXTM3U\nhttp://example.org/a.mp3\n" * 50, b"%PDF-1.7", b"\x89PNG\r\n\x1a\n" * 99],
)
def test_what_is_not_audio(api: httpx.Client, data: bytes) -> None:
    assert problem(api.post("/v1/jobs", content=data), 415) == "not-audio"
    assert api.get("/apiv1/queue").json() == {"queue": []}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b"{}"),
        ("application/json", b'{"url": 1}'),
        ("application/json", b'{"url": "http://a/", "object": "b"}'),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Dis"),
        ("multipart/form-data; boundary=x", b"nonsense"),
    ],
)
def test_bodies_without_a_song(api: httpx.Client, kind: str, body: bytes) -> None:
    answer = api.post("/v1/jobs", content=body, headers={"Content-Type": kind})
    assert problem(answer, 400) in ("malformed", "no-song")


def test_a_full_queue_takes_no_more(start: Start) -> None:
    api = start(max_queue=1)
    assert api.post("/v1/jobs", content=song(1)).status_code == 202
    answer = api.post("/v1/jobs", content=song(2))
    assert problem(answer, 503) == "busy"
    assert int(answer.headers["retry-after"]) > 0
    assert api.get("/readyz").status_code == 503
    assert api.get("/healthz").status_code == 200


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
        told = jobs_in(answer)
        assert next(told)["state"] == "waiting"
        finishing = threading.Thread(target=worker.finish)
        finishing.start()
        rest = list(told)
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
    monkeypatch.setattr(jobs, "_UNRECORDED_EVERY", 0.1)
    name = name_of(song(1))
    valkey.lpush("toWorker", name)
    with api.stream("GET", f"/v1/jobs/{name}/events") as answer:
        told = jobs_in(answer)
        assert next(told)["state"] == "waiting"
        worker.bury()
        assert [job["state"] for job in told][-1] == "failed"


def test_silence_is_filled(
    api: httpx.Client, worker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.05)
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


def test_there_are_no_events_of_no_job(api: httpx.Client) -> None:
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
        for told in streams:
            assert next(told)["state"] == "waiting"
        # when they listen, then the queue server has one subscriber
        until = time.monotonic() + 20
        while not (subscribers := valkey.client_list(_type="pubsub")):
            assert time.monotonic() < until
        assert len(subscribers) == 1
        # and each of them is told of the job's end
        worker.finish()
        assert {list(told)[-1]["state"] for told in streams} == {"done"}
