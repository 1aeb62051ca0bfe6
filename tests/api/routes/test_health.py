"""Health, figures, and troubles that are not the client's."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from octet.jobs.claims import Claims
from octet.jobs.server import connect
from tests.api.answers import problem
from tests.api.songs import song
from tests.api.worker import offer_of

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    import pytest

    from octet.settings import ServiceSettings
    from tests.api.conftest import Start


def test_healthy(api: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        health = api.get(path).json()
        assert (health["status"], health["reason"]) == ("ok", None)
        assert api.head(path).status_code == 200


def test_readiness_names_settings_of_the_queue_server_that_lose_jobs(api: httpx.Client) -> None:
    # given a queue server that writes nothing to disk, as those of the tests are
    until = time.monotonic() + 20
    # when it has been looked at, then the service is ready, and says so
    while len(warnings := api.get("/readyz").json()["warnings"]) < 2:
        assert time.monotonic() < until
    assert [warning.partition(":")[0] for warning in warnings] == [
        "appendonly is no",
        "no worker is alive",
    ]


def test_readiness_and_log_name_workers_that_are_sick_or_have_another_default(
    api: httpx.Client, settings: ServiceSettings, caplog: pytest.LogCaptureFixture
) -> None:
    # given a service, and a worker of another format, which is not fit for work
    recipe = {**offer_of(settings).default.to_dict(), "format": "flac", "bitrate": None}
    announce(settings, "far", {"recipe": recipe, "sick": "the disk is full"})
    # when it is looked at, then both are said, and the service is ready all the same
    answer = api.get("/readyz")
    assert answer.status_code == 200
    warnings = answer.json()["warnings"][-2:]
    assert warnings[0] == "worker far is not fit for work: the disk is full"
    assert "worker far has another default than the API (format flac, here mp3" in warnings[1]
    # and the log says each of them once, and that they are over once they are
    with caplog.at_level("INFO", "octet.api"):
        until = time.monotonic() + 30
        while caplog.text.count("another default than the API") < 1:
            assert time.monotonic() < until
            time.sleep(0.1)
        announce(settings, "far", {})
        while "no longer: worker far is not fit" not in caplog.text:
            assert time.monotonic() < until
            time.sleep(0.1)
    assert len([line for line in caplog.messages if line == warnings[0]]) == 1


def announce(settings: ServiceSettings, worker: str, about: dict[str, Any]) -> None:
    """A worker's heartbeat."""

    async def beat() -> None:
        assert settings.redis_url is not None
        async with connect(settings.redis_url.get_secret_value()) as client:
            await Claims(client, worker, lease=60).heartbeat(about)

    asyncio.run(beat())


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

    monkeypatch.setattr("octet.api.imports.plain_view", bug)
    api.post("/v1/jobs", content=song(1))
    with caplog.at_level("ERROR", "octet"):
        answer = api.get("/v1/jobs")
    assert problem(answer, 500) == "internal"
    assert "file.py" not in answer.text
    assert "ZeroDivisionError" in caplog.text
