"""The queue, the models, estimates, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from octet.separation.models.registry import REGISTRY
from tests.api.answers import problem
from tests.api.conftest import serving
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    import redis

    from octet.settings import ServiceSettings
    from tests.api.worker import StandIn


def test_the_queue(api: httpx.Client, worker: StandIn) -> None:
    for number, priority in enumerate(["low", "normal", "high", "high"]):
        api.post(f"/v1/jobs?priority={priority}", content=song(number))
    worker.progress(5)

    queue = api.get("/v1/queue?limit=2").json()

    assert [job["song"] for job in queue["running"]] == [name_of(song(2))]
    assert [entry["song"] for entry in queue["waiting"]] == [name_of(song(3)), name_of(song(1))]
    assert queue["depth"] == 3
    assert queue["counts"]["waiting"] == 3
    assert queue["workers"] == 1
    assert queue["sick"] == {}


def test_the_queue_names_workers_that_are_sick(api: httpx.Client, worker: StandIn) -> None:
    worker.announce(sick="the disk is full")

    assert api.get("/v1/queue").json()["sick"] == {"stand-in": "the disk is full"}


def test_the_models(api: httpx.Client) -> None:
    models = {model["name"]: model for model in api.get("/v1/models").json()["models"]}
    assert set(models) == set(REGISTRY)
    assert models["pocket"]["default"] is True
    assert models["pocket"]["commercial"] is True
    assert models["htdemucs"]["commercial"] is False
    assert "guitar" in models["htdemucs_6s"]["stems"]


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


def test_dead_letters(api: httpx.Client, worker: StandIn, valkey: redis.Redis) -> None:
    # given a job that was given up, and a message that makes no sense
    name = api.post("/v1/jobs", content=song(1)).json()["id"]
    worker.bury("not-audio", "this is not audio")
    valkey.lpush("toWorker", "{nonsense", name_of(song(2)))
    worker.bury("limit", "too long")

    page = api.get("/v1/dead").json()
    assert page["count"] == 3
    letters = {letter["id"]: letter for letter in page["letters"]}
    assert letters[name]["code"] == "not-audio"
    [unreadable] = [letter for letter in page["letters"] if letter["job"] is None]
    assert unreadable["message"] == "{nonsense"

    assert api.post(f"/v1/dead/{name}/replay").status_code == 204
    assert api.get(f"/v1/jobs/{name}").json()["state"] == "waiting"
    assert api.delete(f"/v1/dead/{unreadable['id']}").status_code == 204
    assert api.get("/v1/dead").json()["count"] == 1
    # what worked may be repeated, for its answer may have been lost
    assert api.post(f"/v1/dead/{name}/replay").status_code == 204
    assert problem(api.post("/v1/dead/none/replay"), 404) == "not-found"
    assert problem(api.delete("/v1/dead/none"), 404) == "not-found"
