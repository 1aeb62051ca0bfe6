"""What a connection may cost before, between and around its requests."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from octet.api import connection
from octet.api.connection import connections_at_once
from tests.api.songs import song

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.api.conftest import Start

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Connections that there may be, and half as many streams."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 10)
    return 10


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head has half a second."""
    monkeypatch.setattr(connection, "HEAD_WITHIN", 0.5)


def connect(api: httpx.Client) -> socket.socket:
    assert api.base_url.port is not None
    return socket.create_connection((api.base_url.host, api.base_url.port), timeout=10)


def everything(wire: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    received = b""
    try:
        while data := wire.recv(65536):
            received += data
    except ConnectionResetError:
        return received
    return received


def one_answer(wire: socket.socket) -> bytes:
    received = b""
    while b"ok" not in received.partition(b"\r\n\r\n")[2]:
        data = wire.recv(65536)
        assert data, received
        received += data
    return received


def body_of(answer: bytes) -> dict[str, object]:
    body: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return body


def send(wire: socket.socket, *pieces: bytes) -> None:
    """Sends until nobody takes it any more."""
    try:
        for piece in pieces:
            wire.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        return


def test_a_body_in_pieces_of_a_byte_is_refused_and_nobody_waits_for_it(api: httpx.Client) -> None:
    # given a client without an end, of pieces of one byte
    with connect(api) as wire:
        send(wire, POST, *[b"1\r\nI\r\n" * 10_000] * 100)
        # when another one asks meanwhile
        begun = time.perf_counter()
        assert api.get("/healthz").status_code == 200
        # then it is answered at once, and the first one is told
        assert time.perf_counter() - begun < 0.5
        answer = everything(wire)
    assert not answer or answer.startswith(b"HTTP/1.1 4")


def test_small_pieces_are_told_from_small_bodies(api: httpx.Client) -> None:
    # given a song in pieces of 100 bytes, and one of which 900 pieces are single bytes
    data = song(1, 64 * 1024)
    pieces = [b"64\r\n" + data[at : at + 100] + b"\r\n" for at in range(0, 50_000, 100)]
    single = [b"1\r\n" + data[at : at + 1] + b"\r\n" for at in range(900)]
    for sent in (pieces, [*single, b"%x\r\n" % len(data[900:]), data[900:], b"\r\n"]):
        with connect(api) as wire:
            send(wire, POST, b"".join(sent), b"0\r\n\r\n")
            # then both are taken
            assert wire.recv(65536).startswith((b"HTTP/1.1 202 ", b"HTTP/1.1 200 "))


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 400_000, id="head"),
        pytest.param(b"GET /" + b"a" * 400_000, id="address"),
        pytest.param(POST + b"5;" + b"a" * 400_000, id="chunk extension"),
        pytest.param(POST + b"5\r\nhello\r\n0\r\nA: " + b"a" * 400_000, id="trailer"),
    ],
)
def test_what_is_around_a_body_has_a_limit(api: httpx.Client, around: bytes) -> None:
    with connect(api) as wire:
        send(wire, *(around[at : at + 65536] for at in range(0, len(around), 65536)))
        answer = everything(wire)
    assert not answer or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ", b"HTTP/1.1 415 "))


def test_what_is_no_http_is_told_in_the_form_of_all_errors(api: httpx.Client) -> None:
    with connect(api) as wire:
        send(wire, b"HELO example.org\r\n\r\n")
        answer = everything(wire)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert body_of(answer)["code"] == "bad-request"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("begin", [b"", b"G", GET + b"G", GET + GET[:-2]])
def test_a_head_that_does_not_come_is_not_waited_for(api: httpx.Client, begin: bytes) -> None:
    # given a connection whose first, or second, request does not come whole
    with connect(api) as wire:
        if begin.startswith(GET):
            send(wire, GET)
            one_answer(wire)
        begun = time.monotonic()
        send(wire, begin.removeprefix(GET))
        # then it is closed after its time, and not before
        everything(wire)
        assert 0.3 < time.monotonic() - begun < 5


@pytest.mark.usefixtures("hasty")
def test_a_connection_between_two_requests_is_kept(api: httpx.Client) -> None:
    with connect(api) as wire:
        for _ in range(2):
            send(wire, GET)
            one_answer(wire)
            time.sleep(0.8)
        send(wire, GET)
        assert one_answer(wire).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def idle(few: int, start: Start) -> Iterator[tuple[httpx.Client, list[socket.socket]]]:
    """A service whose connections are all taken by clients that send nothing."""
    api = start()
    wires = [connect(api) for _ in range(few)]
    yield api, wires
    for wire in wires:
        wire.close()


def test_idle_connections_make_room(idle: tuple[httpx.Client, list[socket.socket]]) -> None:
    # given as many idle connections as there may be, when somebody comes who asks something
    api, wires = idle
    with connect(api) as wire:
        send(wire, GET)
        # then he is answered, and the one that was idle for longest is gone
        assert one_answer(wire).startswith(b"HTTP/1.1 200 ")
        assert wires[0].recv(1) == b""
        wires[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            wires[-1].recv(1)


def test_busy_connections_make_no_room_and_the_next_is_told(few: int, start: Start) -> None:
    # given as many requests under way as there may be connections
    api = start()
    wires = [connect(api) for _ in range(few)]
    for wire in wires:
        send(wire, POST.replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1))
        assert wire.recv(65536).startswith(b"HTTP/1.1 100 ")
    # when one more comes, then it is told to come again
    with connect(api) as another:
        answer = everything(another)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 5\r\n" in answer.lower()
    assert body_of(answer)["code"] == "busy"
    for wire in wires:
        wire.close()


def test_streams_of_events_leave_room_for_requests(few: int, start: Start) -> None:
    # given half as many streams as there may be connections
    api = start()
    job = api.post("/v1/jobs", content=song(1)).json()["id"]
    ask = f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    wires = [connect(api) for _ in range(few // 2)]
    for wire in wires:
        send(wire, ask)
        assert wire.recv(15) == b"HTTP/1.1 200 OK"
    # when one more is asked for, then it is refused, and all else goes on
    answer = api.get(f"/v1/jobs/{job}/events")
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert api.get(f"/v1/jobs/{job}").status_code == 200
    # and a stream that ends makes room for the next
    wires.pop().close()
    until = time.monotonic() + 20
    status = b""
    while status != b"HTTP/1.1 200 OK" and time.monotonic() < until:
        with connect(api) as wire:
            send(wire, ask)
            status = wire.recv(15)
    assert status == b"HTTP/1.1 200 OK"
    for wire in wires:
        wire.close()


def test_connections_stay_below_the_limit_of_descriptors() -> None:
    # given a process that may have 256 descriptors, and no more
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
        "from octet.api.connection import allow_connections, connections_at_once\n"
        "allow_connections(); print(connections_at_once())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # then two descriptors a connection leave some for all else
    assert ran.stdout.strip() == "96"
    assert connections_at_once() <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def test_the_limit_of_descriptors_is_raised_as_far_as_needed() -> None:
    # given a process that may raise its limit
    code = (
        "import resource; most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))\n"
        "from octet.api.connection import allow_connections\n"
        "allow_connections(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], most)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    now, most = map(int, ran.stdout.split())
    assert now == (8064 if most < 0 else min(8064, most))
