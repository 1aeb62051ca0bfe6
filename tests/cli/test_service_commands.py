"""The commands that talk to a service: submit, status, queue, cancel, dead, logs."""

# ruff: noqa: F811 - the fixtures of the API's tests are imported by their names

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from octet.cli import app
from octet.errors import ServiceError
from octet.logbook import set_up_logging
from octet.tracks import TRACKS
from tests.api.conftest import (  # noqa: F401 - fixtures
    settings,
    shared_url,
    store,
    store_folder,
    valkey,
    worker,
)
from tests.api.songs import name_of, song

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import redis
    from typer.testing import Result

    from octet.settings import ServiceSettings
    from tests.api.worker import StandIn

    Octet = Callable[..., Result]


@pytest.fixture
def octet(
    shared_url: str, store: Path, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> Octet:
    """Runs a command against a service with nothing in it."""
    monkeypatch.setenv("OCTET_URL", shared_url)
    monkeypatch.delenv("OCTET_KEY", raising=False)

    def octet(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return octet


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    """Two songs of one name, and something that is none."""
    paths = []
    for number, folder in enumerate(["a", "b"]):
        path = tmp_path / folder / "Lied.mp3"
        path.parent.mkdir()
        path.write_bytes(song(number))
        paths.append(path)
    text = tmp_path / "text.mp3"
    text.write_text("only text")
    return [*paths, text]


def finish_all(worker: StandIn, count: int) -> threading.Thread:
    def finish() -> None:
        for _ in range(count):
            worker.finish()

    thread = threading.Thread(target=finish)
    thread.start()
    return thread


def test_submit_says_what_became_of_each(octet: Octet, songs: list[Path]) -> None:
    done = octet("submit", *songs)
    assert done.exit_code == 1
    assert f"{name_of(song(0))}  waiting, 0 before it" in done.stdout
    assert f"{name_of(song(1))}  waiting, 1 before it" in done.stdout
    assert "this is not audio" in done.stderr
    missing = octet("submit", "none.mp3")
    assert missing.exit_code == 1
    assert "none.mp3: No such file" in missing.stderr


def test_submit_fetches_the_tracks(
    octet: Octet, worker: StandIn, songs: list[Path], tmp_path: Path
) -> None:
    finishing = finish_all(worker, 2)
    done = octet("submit", *songs[:2], "-o", tmp_path / "out", "--json")
    finishing.join()
    assert done.exit_code == 0, done.output
    jobs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [job["state"] for job in jobs] == ["done", "done"]
    for folder in ("Lied", "Lied (2)"):
        files = {path.name for path in (tmp_path / "out" / folder).iterdir()}
        assert files == {f"{track}.mp3" for track in TRACKS} | {"manifest.json"}


def test_submit_passes_options_on(octet: Octet, songs: list[Path]) -> None:
    done = octet(
        "submit", songs[0], "--json", "--format", "flac", "--tracks", "vocals", "--priority", "low"
    )
    job: dict[str, Any] = json.loads(done.stdout)
    assert job["recipe"] == {"format": "flac", "tracks": ["vocals"]}
    assert job["priority"] == "low"


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


def test_nobody_there(octet: Octet, monkeypatch: pytest.MonkeyPatch, songs: list[Path]) -> None:
    monkeypatch.setenv("OCTET_URL", "http://127.0.0.1:1")
    done = octet("submit", *songs)
    assert done.exit_code == 1
    assert done.stderr.count("does not answer") == 1  # it is not tried for each


def test_logs_prints_the_lines_in_their_order(
    settings: ServiceSettings, valkey: redis.Redis
) -> None:
    # given lines of ours, and one of an implementation that pushes on the left
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    set_up_logging("rest", "info", url)
    for number in range(3):
        logging.getLogger("octet.test").info("line %d", number)
    set_up_logging("rest", "info")  # closes the first, which carries its lines to the list
    valkey.lpush("logging", "other.worker.debug:first")
    # when they are read by the command, until it is told to end
    with _following(url) as process:
        assert process.stdout is not None
        read = [process.stdout.readline().rstrip("\n") for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=30)
    # then each comes once, in order
    assert read[0] == "other.worker.debug:first"
    assert [line.partition(".rest.info:")[2] for line in read[1:]] == ["line 0", "line 1", "line 2"]
    # and the exit status tells what ended it
    assert status == 128 + signal.SIGTERM


def test_logs_ends_at_ctrl_c(settings: ServiceSettings, valkey: redis.Redis) -> None:
    # given a reader that waits for more
    assert settings.redis_url is not None
    valkey.rpush("logging", "h.rest.info:only")
    with _following(settings.redis_url.get_secret_value()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "h.rest.info:only\n"
        # when Ctrl-C is pressed
        process.send_signal(signal.SIGINT)
        # then its exit status says so
        status = process.wait(timeout=30)
    assert status == 130


@contextmanager
def _following(url: str) -> Iterator[subprocess.Popen[str]]:
    """The command at work; it is gone afterwards, also where it did not end as it should."""
    command = [sys.executable, "-m", "octet", "logs"]
    environment = {**os.environ, "OCTET_REDIS_URL": url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
