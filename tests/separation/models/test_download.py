"""Downloads go on where they broke off, and are held to their hash."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.errors import ModelDamagedError
from octet.separation.models.cache import silent
from octet.separation.models.download import download, partial_of, shown
from tests.separation.models.conftest import FILE, REPOSITORY, Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = 2 * 1024**2

# Fetches as `octet models pull` does, and is killed on its way.
PROGRAM = """
import sys
from pathlib import Path
from octet.separation.models.cache import silent
from octet.separation.models.download import download
download(sys.argv[1], Path(sys.argv[2]), silent, sha256=sys.argv[3], size=int(sys.argv[4]))
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server that has the file, and nobody waits between two attempts."""
    monkeypatch.setattr("octet.separation.models.download._PAUSE", 0.0)
    with Hub(CONTENT) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


def stored(server: Hub) -> str:
    return f"{server.address}/stored"


def test_a_file_appears_whole(server: Hub, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    target = tmp_path / "model.bin"

    download(stored(server), target, lambda *at: told.append(at), sha256=SHA256)

    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]
    assert told[-1] == ("model.bin", len(CONTENT), len(CONTENT))


def test_what_a_killed_process_fetched_is_taken_up(server: Hub, tmp_path: Path) -> None:
    # given a process that is killed with part of the file on disk
    target = tmp_path / "model.bin"
    partial = partial_of(target, SHA256)
    server.break_after, server.stalls = [HALF], True
    command = [sys.executable, "-c", PROGRAM, stored(server), str(target), SHA256]
    process = subprocess.Popen([*command, str(len(CONTENT))])
    until = time.monotonic() + 30
    while not partial.exists() or partial.stat().st_size < HALF:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not target.exists()

    # when another one wants it, then only the rest is fetched
    told: list[int] = []
    size = len(CONTENT)
    download(
        stored(server),
        target,
        lambda _name, done, _total: told.append(done),
        sha256=SHA256,
        size=size,
    )
    assert server.ranges == ["", f"bytes={HALF}-"]
    assert told[0] > HALF
    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]


def test_a_connection_that_breaks_is_taken_up(server: Hub, tmp_path: Path) -> None:
    server.break_after = [HALF, HALF]
    download(stored(server), tmp_path / "model.bin", silent, sha256=SHA256)
    assert server.ranges == ["", f"bytes={HALF}-", f"bytes={2 * HALF}-"]
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_part_that_is_wrong_costs_a_second_download(
    server: Hub, tmp_path: Path, knows_ranges: bool
) -> None:
    target = tmp_path / "model.bin"
    partial_of(target, SHA256).write_bytes(b"something else")
    server.knows_ranges = knows_ranges
    download(stored(server), target, silent, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ["bytes=14-", ""][: 2 if knows_ranges else 1]


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more"], ids=["whole", "longer"])
def test_a_part_that_lacks_nothing(server: Hub, tmp_path: Path, left: bytes) -> None:
    target = tmp_path / "model.bin"
    partial_of(target, SHA256).write_bytes(left)
    download(stored(server), target, silent, sha256=SHA256, size=len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert (server.ranges == []) == (left == CONTENT)


def test_parts_of_other_files_are_not_taken_up(server: Hub, tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    for other in ("0" * 64, ""):
        partial_of(target, other).write_bytes(CONTENT[:10])
    download(stored(server), target, silent, sha256=SHA256)
    assert server.ranges == [""]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("sha256", "size", "told"),
    [("0" * 64, 0, SHA256), (SHA256, 1000, "more than the 1000 bytes")],
    ids=["another hash", "longer"],
)
def test_another_file_is_refused_and_not_kept(
    server: Hub, tmp_path: Path, sha256: str, size: int, told: str
) -> None:
    with pytest.raises(ModelDamagedError, match=told):
        download(stored(server), tmp_path / "model.bin", silent, sha256=sha256, size=size)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sha256", [SHA256, ""])
def test_a_server_that_goes_on_breaking_off_is_given_up(
    server: Hub, tmp_path: Path, sha256: str
) -> None:
    server.break_after = [HALF, *[0] * 9]
    target = tmp_path / "model.bin"

    with pytest.raises(httpx.RemoteProtocolError):
        download(stored(server), target, silent, sha256=sha256)

    assert len(server.ranges) == 6
    # what has come stays if it can be held against a hash
    assert [path.stat().st_size for path in tmp_path.iterdir()] == ([HALF] if sha256 else [])


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (503, 5)])
def test_an_error_is_told_and_what_has_come_stays(
    server: Hub, tmp_path: Path, status: int, asked: int
) -> None:
    target = tmp_path / "model.bin"
    partial_of(target, SHA256).write_bytes(CONTENT[:10])
    server.statuses = [status] * 9
    with pytest.raises(httpx.HTTPStatusError, match=str(status)):
        download(stored(server), target, silent, sha256=SHA256)
    assert len(server.ranges) == asked
    assert partial_of(target, SHA256).read_bytes() == CONTENT[:10]


def test_a_token_is_not_sent_on_to_another_host(server: Hub, tmp_path: Path) -> None:
    url = f"{server.address}/{REPOSITORY}/resolve/main/{FILE}"
    headers = {"Authorization": "Bearer secret"}
    download(url, tmp_path / "model.bin", silent, sha256=SHA256, headers=headers)
    assert [token for *_, token in server.requests] == ["Bearer secret", ""]


def test_an_address_is_shown_without_its_secrets() -> None:
    assert shown("https://me:word@example.org/a?sig=1") == "https://example.org/a"
