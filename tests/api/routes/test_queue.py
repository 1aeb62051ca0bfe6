"""The queue, the models, estimates, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.songs import name_of, song

if TYPE_CHECKING:
    import httpx

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
