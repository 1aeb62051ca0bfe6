"""/metrics: what Prometheus reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.api.songs import song

if TYPE_CHECKING:
    import httpx

    from tests.api.worker import StandIn


def test_methods_that_clients_make_up_are_no_labels(api: httpx.Client) -> None:
    for method in ("MADE", "UP"):  # which is no HTTP to the parser
        assert api.request(method, "/v1/jobs").status_code == 400
    for method in ("PURGE", "PROPFIND"):
        assert api.request(method, "/v1/jobs").status_code == 405
        assert api.request(method, "/nowhere").status_code == 404
    assert not {"MADE", "UP", "PURGE", "PROPFIND"} & {*re.findall(r"\w+", api.get("/metrics").text)}


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
