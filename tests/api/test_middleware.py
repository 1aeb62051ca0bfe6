"""What a client may cost: bytes and time."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.api.answers import problem
from tests.api.songs import name_of, song
from tests.chaos import rounds

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.api.conftest import Start

MIB = 1024**2


class Wire:
    """A connection without a library, which can behave badly."""

    def __init__(self, api: httpx.Client) -> None:
        url = api.base_url
        assert url.port is not None
        self.socket = socket.create_connection((url.host, url.port), timeout=30)
        self.sent = 0

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send_chunked(self, path: str, data: bytes, most: int, head: bytes = b"") -> None:
        """Begins a request whose body goes on until nobody takes it any more."""
        self.socket.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        try:
            for piece in [head, *[data] * (most // len(data))]:
                if piece:
                    self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.sent += len(piece)
        except (BrokenPipeError, ConnectionResetError):
            return
        self.socket.sendall(b"0\r\n\r\n")

    def answer(self) -> bytes:
        """All that comes back until the server closes the connection."""
        received = b""
        try:
            while data := self.socket.recv(65536):
                received += data
        except ConnectionResetError:
            return received
        return received


@pytest.mark.parametrize(
    ("path", "head", "share"),
    [("/v1/jobs", b"", 1.0), ("/apiv1/separate", b'{"mp3": "', 0.75)],
)
def test_an_upload_is_cut_off_at_the_limit(
    start: Start, store: Path, path: str, head: bytes, share: float
) -> None:
    # given a limit of 8 MiB and a client that sends 160; in full, of 100 MiB and one of 1 GiB
    limit, most = rounds(8, 100) * MIB, rounds(160, 1024) * MIB
    api = start(max_upload=limit)
    data = song(1, 64 * 1024) if path == "/v1/jobs" else b"//uQ" * 16384
    with Wire(api) as wire:
        wire.send_chunked(path, data, most, head)
        answer = wire.answer()

    # then it is told, what was taken is the limit, what is dropped after it, and what lay in
    # the buffers of the connection, and nothing of it is kept
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than" in answer
    assert limit < wire.sent < limit / share + 20 * MIB
    bucket = store / "demucs-bucket"
    assert [path for path in bucket.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_what_says_itself_that_it_is_too_large_is_not_read(start: Start) -> None:
    api = start(max_upload=MIB)
    with Wire(api) as wire:
        wire.socket.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = wire.answer()
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_song_just_within_the_limit(start: Start) -> None:
    api = start(max_upload=MIB)
    assert api.post("/v1/jobs", content=song(1, MIB)).status_code == 202
    assert problem(api.post("/v1/jobs", content=song(2, MIB + 1)), 413) == "limit"
    form = api.post("/v1/jobs", files={"file": ("a.mp3", song(3, MIB + 1))})
    assert problem(form, 413) == "limit"


def test_the_connection_goes_on_after_an_answer_that_needed_no_body(api: httpx.Client) -> None:
    # given a refusal that comes before the body is read, of a body that is small
    assert api.post("/v1/nothing", content=b"x" * 1000).status_code == 404
    answer = api.post("/v1/jobs", content=b"no song")
    assert answer.status_code == 415
    assert "close" not in answer.headers.get("connection", "")


def test_a_client_that_falls_silent_is_told_and_let_go(start: Start) -> None:
    api = start(client_timeout=0.5)
    begun = time.monotonic()
    with Wire(api) as wire:
        wire.socket.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + song(1)
        )
        answer = wire.answer()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.4 < time.monotonic() - begun < 10


def test_a_client_that_trickles_is_let_go(start: Start) -> None:
    api = start(client_timeout=0.6)
    with Wire(api) as wire:
        wire.socket.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        )
        for _ in range(20):
            try:
                wire.socket.sendall(b"\xff")
            except (BrokenPipeError, ConnectionResetError):
                break
            time.sleep(0.1)
        answer = wire.answer()
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_away_leaves_nothing(api: httpx.Client, store: Path) -> None:
    data = song(1, 3 * MIB)
    with Wire(api) as wire:
        wire.socket.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n" + data
        )
    # the same song, sent whole, is taken as if nothing had been
    assert api.post("/v1/jobs", content=data).status_code == 202
    files = [p for p in (store / "demucs-bucket").rglob("*") if p.is_file() and p.name != "lock"]
    until = time.monotonic() + 10
    while len(files) != 1 and time.monotonic() < until:
        time.sleep(0.1)
        files = [
            p for p in (store / "demucs-bucket").rglob("*") if p.is_file() and p.name != "lock"
        ]
    assert [path.name for path in files] == [f"{name_of(data)}.mp3"]
