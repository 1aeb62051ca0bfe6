from __future__ import annotations

import hashlib
import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from octet.errors import ModelDamagedError, ModelUnavailableError
from octet.separation.models.demucs import hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Hub(http.server.ThreadingHTTPServer):
    """A hub that can be told to misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.break_after: list[int] = []
        self.statuses: list[int] = []
        self.ranges = True
        self.announce = ""
        self.content = CONTENT
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.safetensors"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        hub, asked = self.server, self.headers.get("Range", "")
        hub.asked.append(asked)
        if self.path != "/stored" and hub.announce:
            # As the true hub does: the hash comes with the redirect to the store.
            self.send_response(302)
            self.send_header("Location", "/stored")
            self.send_header("X-Linked-ETag", f'"{hub.announce}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if hub.statuses:
            self.send_error(hub.statuses.pop(0))
            return
        start = int(asked[6:-1]) if asked and hub.ranges else 0
        if start >= len(hub.content):
            self.send_error(416)
            return
        body = hub.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            end = len(hub.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.end_headers()
        self.wfile.write(body[: hub.break_after.pop(0)] if hub.break_after else body)

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Hub]:
    with Hub() as hub_server:
        thread = threading.Thread(target=hub_server.serve_forever, args=(0.01,))
        thread.start()
        yield hub_server
        hub_server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_a_file_is_fetched_and_checked(server: Hub, target: Path) -> None:
    told: list[tuple[int, int]] = []

    got = hub.fetch(server.url, target, sha256=SHA256, on_progress=lambda *at: told.append(at))

    assert got == SHA256
    assert target.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_connection_that_breaks_is_taken_up_again_where_it_broke(
    server: Hub, target: Path
) -> None:
    server.break_after = [100_000, 50_000]

    hub.fetch(server.url, target, sha256=SHA256, pause=0)

    assert target.read_bytes() == CONTENT
    assert server.asked == ["", "bytes=100000-", "bytes=150000-"]


def test_a_later_run_goes_on_where_an_earlier_one_was_ended(server: Hub, target: Path) -> None:
    target.with_name(target.name + ".partial").write_bytes(CONTENT[:70_000])

    hub.fetch(server.url, target, sha256=SHA256)

    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=70000-"]


def test_a_server_that_ignores_the_range_is_read_from_the_start(server: Hub, target: Path) -> None:
    server.ranges = False
    server.break_after = [100_000]

    hub.fetch(server.url, target, sha256=SHA256, pause=0)

    assert target.read_bytes() == CONTENT


def test_a_part_of_another_version_is_thrown_away(server: Hub, target: Path) -> None:
    # Given a part of a file that has changed on the server since, or is longer by now.
    for part in (b"x" * 1000, b"x" * (len(CONTENT) + 5)):
        target.with_name(target.name + ".partial").write_bytes(part)

        hub.fetch(server.url, target, sha256=SHA256, pause=0)

        assert target.read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_not_kept(server: Hub, target: Path) -> None:
    server.content = b"<html>Please sign in</html>"

    with pytest.raises(ModelDamagedError, match=SHA256):
        hub.fetch(server.url, target, sha256=SHA256, pause=0)

    assert list(target.parent.iterdir()) == []


def test_without_a_pinned_hash_the_announced_one_counts(server: Hub, target: Path) -> None:
    server.announce = SHA256
    assert hub.fetch(server.url, target) == SHA256

    server.announce = "0" * 64
    with pytest.raises(ModelDamagedError, match="0000"):
        hub.fetch(server.url, target, pause=0)


def test_a_busy_server_is_asked_again(server: Hub, target: Path) -> None:
    server.statuses = [503, 429]

    assert hub.fetch(server.url, target, sha256=SHA256, pause=0) == SHA256


def test_a_server_that_stays_busy_is_given_up(server: Hub, target: Path) -> None:
    server.statuses = [500] * 50

    with pytest.raises(ModelUnavailableError, match="500"):
        hub.fetch(server.url, target, sha256=SHA256, pause=0)

    assert len(server.asked) == hub.ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_file_that_is_not_there_is_not_asked_for_again(
    server: Hub, target: Path, status: int
) -> None:
    server.statuses = [status]

    with pytest.raises(ModelUnavailableError, match=str(status)):
        hub.fetch(server.url, target, sha256=SHA256, pause=0)

    assert len(server.asked) == 1


def test_a_hub_out_of_reach_is_a_clear_error(target: Path) -> None:
    with Hub() as gone:
        url = gone.url

    with pytest.raises(ModelUnavailableError, match="cannot be fetched"):
        hub.fetch(url, target, pause=0)


def test_a_target_that_cannot_be_written_is_a_clear_error(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be stored"):
        hub.fetch(server.url, tmp_path / "missing" / "file", sha256=SHA256)


def test_a_mirror_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert hub.address() == "https://huggingface.co"

    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    assert hub.address() == "https://mirror.example"
