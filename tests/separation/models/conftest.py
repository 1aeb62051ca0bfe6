"""A hub on this machine that speaks what the Hugging Face hub speaks, and a model that is on it."""

from __future__ import annotations

import hashlib
import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from octet.separation.models.cache import Cache
from octet.separation.models.registry import REGISTRY, Checkpoint, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REPOSITORY = "adefossez/Tiny"
SIGNATURE = "0123abcd"
FILE = f"{SIGNATURE}.safetensors"


class Hub(http.server.ThreadingHTTPServer):
    """Serves `content` as the one file of a repository, and can be told to misbehave.

    As on the true hub, the file's own address answers with a redirect to a store, and names
    the SHA-256 by which the store knows it. Where it breaks off, it `stalls` if it is told to,
    until it may `go_on`.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.announced = ""
        self.break_after: list[int] = []
        self.statuses: list[int] = []
        self.knows_ranges = True
        self.stalls = False
        self.go_on = threading.Event()
        self.requests: list[tuple[str, str, str, str]] = []
        """Method, path, Range and Authorization."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def ranges(self) -> list[str]:
        """Of the requests to the store."""
        return [r for method, path, r, _ in self.requests if (method, path) == ("GET", "/stored")]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, wanted = self.server, self.headers.get("Range", "")
        token = self.headers.get("Authorization", "")
        hub.requests.append((self.command, self.path, wanted, token))
        if hub.statuses:
            self.send_error(hub.statuses.pop(0))
        elif self.path == f"/{REPOSITORY}/resolve/main/{FILE}":
            announced = hub.announced or hashlib.sha256(hub.content).hexdigest()
            self.send_response(302)
            # Another host, as the true hub's store is: redirects within the hub mean a renaming.
            self.send_header("Location", f"http://localhost:{hub.server_port}/stored")
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("X-Linked-ETag", f'"{announced}"')
            self.send_header("X-Linked-Size", str(len(hub.content)))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/stored":
            self._send(int(wanted[6:-1]) if wanted and self.server.knows_ranges else 0)
        else:
            self.send_error(404)

    def _send(self, start: int) -> None:
        hub = self.server
        body, size = hub.content[start:], len(hub.content)
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"stored"')
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if self.command == "GET":
            breaks = bool(hub.break_after)
            self.wfile.write(body[: hub.break_after.pop(0)] if breaks else body)
            if breaks and hub.stalls:
                self.wfile.flush()
                hub.go_on.wait(30)

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra `demucs`")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    with Hub(bytes(range(256)) * 2000) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Entry]:
    """Registers the model `tiny`, whose checkpoint has this SHA-256 (empty: not pinned)."""

    def add(sha256: str) -> Entry:
        entry = Entry(
            name="tiny",
            description="For tests.",
            licence="CC0-1.0",
            commercial=True,
            source="a test",
            repository=REPOSITORY,
            checkpoints=(Checkpoint(SIGNATURE, sha256, "00000000"),),
        )
        monkeypatch.setitem(REGISTRY, "tiny", entry)
        return entry

    return add
