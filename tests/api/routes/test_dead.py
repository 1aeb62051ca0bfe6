"""/v1/dead: dead letters, looked at, put back and forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.answers import problem
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    import httpx
    import redis

    from tests.api.worker import StandIn


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
