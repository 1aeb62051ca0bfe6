"""`octet status`, `queue`, `cancel` and `dead`, against a real service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from octet.errors import ServiceError
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
    assert "1 waiting, 1 running, 1 workers" in queue
    assert json.loads(octet("queue", "--json").stdout)["depth"] == 1

    assert "cancelled" in octet("cancel", name_of(song(1))).stdout
    assert "stopping" in octet("cancel", name_of(song(0))).stdout
    with pytest.raises(ServiceError, match="no job"):
        raise octet("cancel", "0" * 64).exception or AssertionError


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
