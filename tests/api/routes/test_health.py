"""Health, figures, and troubles that are not the client's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.api.answers import problem
from tests.api.songs import song

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    import pytest

    from tests.api.conftest import Start
    from tests.api.worker import StandIn


def test_healthy(api: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        health = api.get(path).json()
        assert (health["status"], health["reason"]) == ("ok", None)
        assert api.head(path).status_code == 200


def test_readiness_names_settings_of_the_queue_server_that_lose_jobs(api: httpx.Client) -> None:
    # given a queue server that writes nothing to disk, as those of the tests are
    until = time.monotonic() + 20
    # when it has been looked at, then the service is ready, and says so
    while not (warnings := api.get("/readyz").json()["warnings"]):
        assert time.monotonic() < until
    assert [warning.partition(":")[0] for warning in warnings] == ["appendonly is no"]


def test_without_a_queue_nothing_is_accepted(start: Start) -> None:
    api = start(redis_url=None, redis_host="127.0.0.1", redis_port=1, ready=False)
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    # which is no reason to start the process anew
    for path in ("/", "/healthz"):
        assert api.get(path).status_code == 200
    answer = api.get("/v1/jobs")
    assert problem(answer, 503) == "queue-unavailable"
    assert "127.0.0.1" not in answer.text
    assert "octet_queue_up 0.0" in api.get("/metrics").text


def test_without_a_store_nothing_is_accepted(start: Start) -> None:
    # given an S3 service that is not there
    api = start(storage="s3", minio_endpoint="127.0.0.1:1", ready=False)
    assert api.get("/readyz").status_code == 503
    assert api.get("/healthz").status_code == 200
    assert problem(api.post("/v1/jobs", content=song(1)), 503) == "busy"
    answer = api.post("/apiv1/separate", content=b"{}")
    assert answer.status_code == 503
    assert list(answer.json()) == ["reason"]


def test_no_path_and_no_trace_in_an_answer(
    api: httpx.Client, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given a store in which something is badly wrong: a file lies where a folder should be
    (store / "demucs-bucket" / "queue").write_text("in the way")

    with caplog.at_level("ERROR", "octet"):
        answer = api.post("/v1/jobs", content=song(1))

    assert problem(answer, 503)
    assert str(store) not in answer.text
    assert "Traceback" not in answer.text
    assert "POST /v1/jobs" in caplog.text


def test_an_unforeseen_error_is_told_without_details(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # given a bug
    def bug(*_: object) -> None:
        raise ZeroDivisionError("in /some/file.py")

    monkeypatch.setattr("octet.api.routes.jobs.plain_view", bug)
    api.post("/v1/jobs", content=song(1))
    with caplog.at_level("ERROR", "octet"):
        answer = api.get("/v1/jobs")
    assert problem(answer, 500) == "internal"
    assert "file.py" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_figures(api: httpx.Client, worker: StandIn) -> None:
    api.post("/v1/jobs", content=song(1))
    api.post("/v1/jobs", content=song(2))
    worker.finish()
    api.get("/v1/jobs/made-up")

    text = api.get("/metrics").text

    assert "octet_queue_up 1.0" in text
    assert "octet_queue_depth 1.0" in text
    assert 'octet_jobs{state="done"} 1.0' in text
    assert 'octet_http_requests_total{method="POST",route="/v1/jobs",status="202"} ' in text
    assert "made-up" not in text
