"""How long a song will take, by the jobs that finished lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from octet.api.estimate import Rate
from tests.api.answers import problem
from tests.api.conftest import serving
from tests.api.songs import song

if TYPE_CHECKING:
    import redis

    from octet.settings import ServiceSettings
    from tests.api.worker import StandIn


def test_a_rate_weighs_jobs_by_their_songs() -> None:
    # given a job of 10 s for 100 s of song in 1 MB, and one of 2 s for 20 s in 3 MB
    rate = Rate([(10.0, 100.0, 1_000_000), (2.0, 20.0, 3_000_000)])

    assert rate.jobs == 2
    assert rate.per_second == pytest.approx(0.1)
    assert rate.per_byte == pytest.approx(3e-6)
    assert rate.mean == 6.0


def test_an_estimate_goes_by_what_finished(
    settings: ServiceSettings, valkey: redis.Redis, store: object, worker: StandIn
) -> None:
    with serving(settings) as url, httpx.Client(base_url=url) as api:
        unknown = api.post("/v1/estimate", json={"seconds": 60}).json()
        assert unknown == {"seconds": None, "wait": None, "basis": 0}

        api.post("/v1/jobs", content=song(1))
        worker.finish()
        # a job that was answered by a result that was there already says nothing
        api.post("/v1/jobs?shifts=1", content=song(1))
        worker.finish(total=60)
        known = api.post("/v1/estimate", json={"seconds": 60}).json()
        by_size = api.post("/v1/estimate", json={"bytes": 6000}).json()

    assert known["basis"] == 1
    assert known["seconds"] > 0
    assert by_size["seconds"] == pytest.approx(known["seconds"])
    assert known["wait"] == 0


@pytest.mark.parametrize("body", [{"seconds": -1}, {"bytes": 0}, {"seconds": "long"}])
def test_an_estimate_of_nothing(api: httpx.Client, body: dict[str, object]) -> None:
    assert problem(api.post("/v1/estimate", json=body), 422) == "invalid-request"
