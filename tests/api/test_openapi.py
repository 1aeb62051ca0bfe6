"""The API does what its OpenAPI document says, whatever is asked."""

from __future__ import annotations

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
from octet.settings import SeparationSettings, ServiceSettings, read_settings
from tests.api.songs import song
from tests.chaos import rounds

if TYPE_CHECKING:
    import httpx

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
