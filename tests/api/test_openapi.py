"""The API does what its OpenAPI document says, whatever is asked."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from octet.api.app import create_app
from octet.api.auth import OPEN_PATHS, hash_key
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from tests.api.songs import name_of, song
from tests.chaos import rounds

if TYPE_CHECKING:
    import httpx

    from tests.api.conftest import Start
    from tests.api.worker import StandIn

DOCUMENT = create_app(read_settings(ServiceSettings), read_settings(SeparationSettings)).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schemathesis.serializer("audio/mpeg")
def _bytes(context: Any, value: Any) -> Any:
    del context
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@SCHEMA.parametrize()
@settings(
    max_examples=rounds(6, 100),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_is_undocumented(case: Any, shared_url: str) -> None:
    case.call_and_validate(base_url=shared_url, checks=CHECKS)


@pytest.mark.parametrize("state", ["waiting", "running", "done", "failed", "cancelled"])
def test_answers_about_real_jobs_are_as_documented(
    api: httpx.Client, worker: StandIn, state: str
) -> None:
    job_id = api.post("/v1/jobs", content=song(1)).json()["id"]
    act = {
        "waiting": lambda: None,
        "running": lambda: worker.progress(5),
        "done": worker.finish,
        "failed": worker.bury,
        "cancelled": lambda: api.delete(f"/v1/jobs/{job_id}"),
    }
    act[state]()
    assert api.get(f"/v1/jobs/{job_id}").json()["state"] == state
    url = str(api.base_url).rstrip("/")
    for path, method in [
        ("/v1/jobs", "GET"),
        ("/v1/jobs/{job_id}", "GET"),
        ("/v1/songs/{song_id}", "GET"),
        ("/v1/songs/{song_id}/tracks/{track}", "GET"),
        ("/v1/songs/{song_id}/archive", "GET"),
        ("/v1/queue", "GET"),
        ("/v1/dead", "GET"),
        ("/apiv1/queue", "GET"),
        ("/apiv1/track/{song}/{track}", "GET"),
        ("/v1/jobs/{job_id}", "DELETE"),
        ("/v1/songs/{song_id}", "DELETE"),
    ]:
        names = {"job_id": job_id, "song_id": job_id, "song": job_id, "track": "vocals"}
        known = {name: value for name, value in names.items() if f"{{{name}}}" in path}
        case = SCHEMA[path][method].Case(path_parameters=known)
        case.call_and_validate(base_url=url, checks=CHECKS)


def ask(api: httpx.Client, method: str, path: str, status: int, **case: Any) -> Any:
    """The answer to a request, whose status is this one and which is as documented."""
    url = str(api.base_url).rstrip("/")
    checks = [check for check in CHECKS if check is not not_a_server_error or status < 500]
    answer = SCHEMA[path][method].Case(**case).call_and_validate(base_url=url, checks=checks)
    assert answer.status_code == status, (method, path, answer.text)
    return answer


def test_what_was_accepted_is_answered_as_documented(api: httpx.Client, worker: StandIn) -> None:
    # given a song as a body, as a form, and as an object that is there; new and known
    raw = {"body": song(1), "media_type": "application/octet-stream"}
    ask(api, "POST", "/v1/jobs", 202, **raw)
    ask(api, "POST", "/v1/jobs", 200, **raw)
    form = {"body": {"file": song(2)}, "media_type": "multipart/form-data"}
    ask(api, "POST", "/v1/jobs", 202, **form)
    there = {"body": {"object": f"queue/{name_of(song(1))}.mp3"}, "media_type": "application/json"}
    ask(api, "POST", "/v1/jobs", 200, **there)
    base64song = {"body": {"mp3": b64encode(song(3)).decode()}, "media_type": "application/json"}
    ask(api, "POST", "/apiv1/separate", 200, **base64song)
    # when the first is done and the second is given up, then all that is said of them is, too
    worker.finish()
    worker.bury()
    done, dead = ({"job_id": name_of(song(number))} for number in (1, 2))
    for job in (done, dead):
        ask(api, "GET", "/v1/jobs/{job_id}", 200, path_parameters=job)
        ask(api, "GET", "/v1/jobs/{job_id}/events", 200, path_parameters=job)
    track = {"song_id": done["job_id"], "track": "vocals"}
    lab = {"song": done["job_id"], "track": "vocals"}
    for path, names in (
        ("/v1/songs/{song_id}/tracks/{track}", track),
        ("/apiv1/track/{song}/{track}", lab),
    ):
        [etag] = ask(api, "GET", path, 200, path_parameters=names).headers["etag"]
        for status, name, value in (
            (206, "Range", "bytes=1-2"),
            (416, "Range", "bytes=9999999-"),
            (304, "If-None-Match", etag),
        ):
            ask(api, "GET", path, status, path_parameters=names, headers={name: value})
    ask(api, "GET", "/v1/queue", 200)
    ask(api, "GET", "/v1/models", 200)
    ask(api, "GET", "/metrics", 200)
    letter = {"letter_id": dead["job_id"]}
    ask(api, "POST", "/v1/dead/{letter_id}/replay", 204, path_parameters=letter)
    ask(api, "DELETE", "/v1/songs/{song_id}", 409, path_parameters={"song_id": dead["job_id"]})
    worker.progress(5)
    worker.bury()
    ask(api, "DELETE", "/apiv1/remove/{song}/{track}", 200, path_parameters=lab)
    ask(api, "DELETE", "/v1/songs/{song_id}", 204, path_parameters={"song_id": done["job_id"]})
    ask(api, "DELETE", "/v1/jobs/{job_id}", 200, path_parameters=dead)


def test_refusals_for_want_of_room_or_a_key_are_as_documented(start: Start) -> None:
    small = start(max_upload=1000, max_queue=1)
    raw = {"body": song(1, 5000), "media_type": "application/octet-stream"}
    ask(small, "POST", "/v1/jobs", 413, **raw)
    ask(small, "POST", "/v1/jobs", 202, **{**raw, "body": song(2, 900)})
    ask(small, "POST", "/v1/jobs", 503, **raw)
    closed = start(api_keys=(hash_key("a key"),))
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            if path in OPEN_PATHS:
                continue
            names = dict.fromkeys(re.findall(r"{(.*?)}", path), "vocals")
            body = {"media_type": "application/json", "body": {}} if method == "post" else {}
            body = {} if "{" in path else body
            ask(closed, method.upper(), path, 401, path_parameters=names, **body)


def test_every_error_has_an_example() -> None:
    counted = 0
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if int(status) < 400 or path in ("/healthz", "/readyz"):
                    continue
                for content in answer.get("content", {}).values():
                    counted += 1
                    assert content["example"], (path, status)
    assert counted > 80


def test_errors_of_the_labs_api_are_documented_as_reasons() -> None:
    for path, operations in DOCUMENT["paths"].items():
        if path.startswith("/apiv1/"):
            for operation in operations.values():
                assert "422" not in operation["responses"]
                assert "ProblemView" not in str(operation)
