"""`octet status`, `queue`, `cancel` and `dead`, against a real service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from octet.cli.jobs import describe, short_id
from octet.client import Client
from octet.errors import ServiceError, SettingError
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.worker import StandIn
    from tests.cli.conftest import Octet


def test_a_fallback_is_said(octet: Octet, worker: StandIn, songs: list[Path]) -> None:
    octet("submit", songs[0])
    worker.finish("fallback")
    done = octet("status", name_of(song(0)))
    assert "only a fallback" in done.stdout


def test_status_queue_and_cancel(octet: Octet, worker: StandIn, songs: list[Path]) -> None:
    assert "no jobs" in octet("status").stdout
    octet("submit", songs[0], songs[1])
    worker.progress(42)

    assert "running, 42 %, 7 s left" in octet("status", name_of(song(0))).stdout
    listed = octet("status").stdout
    assert "Lied.mp3" in listed
    assert "waiting" in listed
    queue = octet("queue").stdout
    assert "1 waiting, 1 running, 1 worker\n" in queue
    assert json.loads(octet("queue", "--json").stdout)["depth"] == 1

    assert "cancelled" in octet("cancel", name_of(song(1))).stdout
    assert "stopping" in octet("cancel", name_of(song(0))).stdout
    with pytest.raises(ServiceError, match="no job"):
        raise octet("cancel", "0" * 64).exception or AssertionError


def test_workers_that_are_sick_are_named(octet: Octet, worker: StandIn) -> None:
    worker.announce(sick="the disk is full")

    for command in ("status", "queue"):
        assert "worker stand-in takes no jobs: the disk is full" in octet(command).stderr


def test_dead_letters(octet: Octet, worker: StandIn, songs: list[Path]) -> None:
    assert "no dead letters" in octet("dead").stdout
    octet("submit", songs[0])
    worker.bury("limit", "too long\x1b[2J")
    assert "limit: too long\\x1b[2J" in octet("dead", "list").stdout
    assert "failed: too long" in octet("status", name_of(song(0))).stdout
    late = octet("cancel", name_of(song(0)))
    assert late.exit_code == 1
    assert "ended before" in late.stderr

    assert "back on the queue" in octet("dead", "replay", name_of(song(0))).stdout
    assert "1 waiting" in octet("queue").stdout


def test_tables_fit_80_columns_whatever_the_songs_are_called(
    octet: Octet, worker: StandIn, shared_url: str, songs: list[Path]
) -> None:
    # given jobs whose names are markup, and one with a recipe of its own
    with Client(shared_url) as client:
        plain = client.submit(songs[0], name="[bold]x.mp3")["id"]
        other = client.submit(songs[0], name="[x.mp3", format="flac")["id"]
        second = client.submit(songs[1])["id"]
    # when the jobs and the queue are shown, then ids are short, and each has one line
    for command in ("status", "queue"):
        lines = octet(command).stdout.splitlines()
        assert sum(line.startswith(f"{plain[:12]} ") for line in lines) == 1
        assert sum(line.startswith(f"{plain[:12]}-") for line in lines) == 1
        assert len(lines) == 4
        assert max(map(len, lines)) <= 80
    assert "[bold]x.mp3" in octet("status").stdout
    # and a reason that is markup for the terminal's library is shown as it is
    worker.bury("limit", "[/foo] is too long")
    assert "[/foo] is" in octet("status").stdout
    assert "[/foo] is too long" in octet("dead").stdout
    # and JSON has the whole ids
    assert {job["id"] for job in json.loads(octet("status", "--json").stdout)} == {
        plain,
        other,
        second,
    }


def test_a_short_id_is_understood(octet: Octet, worker: StandIn, songs: list[Path]) -> None:
    # given two results of one song, and another song
    first, second = name_of(song(0)), name_of(song(1))
    octet("submit", songs[0], songs[1])
    octet("submit", songs[0], "--format", "flac")
    # when a job is named by what the tables show, or by less
    recipe = next(
        word for word in octet("status").stdout.split() if word.startswith(f"{first[:12]}-")
    )
    assert json.loads(octet("status", first[:12], "--json").stdout)["id"] == first
    assert json.loads(octet("status", recipe, "--json").stdout)["recipe"]["format"] == "flac"
    assert second in octet("cancel", second[:7]).stdout
    # then what is not clear, or is nobody's, is said
    with pytest.raises(SettingError, match="2 jobs begin with"):
        raise octet("cancel", first[:7]).exception or AssertionError
    with pytest.raises(ServiceError, match="no such job"):
        raise octet("status", "nobody").exception or AssertionError
    # and dead letters are named in the same way
    worker.bury("limit", "too long")
    assert "back on the queue" in octet("dead", "replay", first[:12]).stdout


def test_an_import_says_how_much_has_come() -> None:
    fetching = {"state": "fetching", "bytes": 1_500_000, "size": 3_000_000}
    assert describe(fetching) == "fetching, 1.5 of 3.0 MB"
    assert describe({**fetching, "size": None}) == "fetching, 1.5 MB"
    assert describe({**fetching, "cancelling": True}).endswith("MB, stopping")
    failing = {"state": "fetching", "bytes": 0, "error": {"message": "it answered 503"}}
    assert describe(failing) == "fetching: it answered 503"
    assert short_id(f"import-{'0123456789abcdef' * 2}") == "import-0123456789ab"
