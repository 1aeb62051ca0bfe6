"""`octet logs` and `octet key`, and settings with which no part of the service starts.

The parts themselves have their tests in their rooms.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from octet.logbook import set_up_logging
from octet.settings import ServiceSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis


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


@pytest.mark.parametrize("part", ["api", "worker", "logs"])
def test_a_closed_terminal_ends_every_part_in_order(
    settings: ServiceSettings, valkey: redis.Redis, tmp_path: Path, part: str
) -> None:
    # given a part of the service in a terminal
    assert settings.redis_url is not None
    environment = {
        **os.environ,
        "OCTET_REDIS_URL": settings.redis_url.get_secret_value(),
        "OCTET_STORAGE": settings.storage,
        "OCTET_SCRATCH": str(tmp_path),
        "OCTET_PORT": "0",
        "OCTET_LOG_LEVEL": "info",
    }
    command = [sys.executable, "-m", "octet", part]
    valkey.rpush("logging", "h.rest.info:only")
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            while not any(word in said for word in ("listening", "starts", "only")):
                said = process.stdout.readline()
            # when it is closed, which often sends the signal twice
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGHUP)
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    # then it ends as it does when it is told to
    assert process.returncode in (0, 143)
    assert "Traceback" not in rest
    ended_before_its_handlers = process.returncode == 143
    assert ended_before_its_handlers or part == "logs" or "stop" in rest


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


@pytest.mark.parametrize("command", [["api"], ["worker"], ["up", "--data-dir", "data"]])
@pytest.mark.parametrize(
    ("variable", "value"),
    [("OCTET_ALLOW_HOSTS", "http://hooks.lab"), ("OCTET_WEBHOOK_SECRET", "hunter2")],
)
def test_a_setting_that_would_stop_callbacks_ends_the_start(
    command: list[str], variable: str, value: str, tmp_path: Path
) -> None:
    # when a part of the service is started with it
    done = subprocess.run(
        [sys.executable, "-m", "octet", *command],
        env={**os.environ, variable: value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    # then it ends with one line that names it, and shows no secret
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert variable in done.stderr
    assert "hunter2" not in done.stderr


def test_a_key_and_its_hash_fit_each_other_and_the_settings():
    # given two keys, made one after the other
    printed = [
        subprocess.run(
            [sys.executable, "-m", "octet", "key"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for _ in range(2)
    ]
    for text in printed:
        made = dict(line.split("=", 1) for line in text.splitlines())
        # then the service's settings take the hash, which is the key's
        settings = read_settings(ServiceSettings, api_keys=made["OCTET_API_KEYS"])
        assert settings.api_keys == (hashlib.sha256(made["OCTET_KEY"].encode()).hexdigest(),)
        assert len(made["OCTET_KEY"]) >= 43  # 256 bits
    # and no two are alike
    assert printed[0] != printed[1]
