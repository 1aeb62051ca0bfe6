"""Servers that cut their answers to pieces, and connections that fail in every way."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from octet.outbound.transport import BoundedTransport
from tests.outbound.receiver import receiver, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

FLOOD = """
import socket, sys, threading
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
first, rest = (bytes.fromhex(text) for text in sys.argv[1:])
def flood(line):
    try:
        line.recv(9999)
        line.sendall(first)
        while True:
            line.sendall(rest * 10_000)
    except OSError:
        pass
while True:
    threading.Thread(target=flood, args=(server.accept()[0],), daemon=True).start()
"""


@contextlib.asynccontextmanager
async def flooding(first: bytes, rest: bytes) -> AsyncIterator[str]:
    """A server, in a process of its own, that begins its answer and goes on for ever."""
    server = subprocess.Popen(  # noqa: ASYNC220  # a moment in a test
        [sys.executable, "-c", FLOOD, first.hex(), rest.hex()], stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    port = int(await asyncio.to_thread(server.stdout.readline))
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


async def read_all(url: str) -> str:
    """How the reading of an answer ends."""
    client = httpx.AsyncClient(transport=BoundedTransport(), timeout=10)
    try:
        async with asyncio.timeout(20), client, client.stream("GET", url) as answer:
            async for _ in answer.aiter_raw():
                pass
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return "whole"


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (CHUNKED, b"1\r\na\r\n"),
        (CHUNKED, b"10\r\n0123456789abcdef\r\n"),
        (CHUNKED, b"1;" + b"x" * 200 + b"\r\na\r\n"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"),
    ],
)
async def test_an_answer_cut_to_pieces_ends_and_holds_up_nobody(first: bytes, rest: bytes) -> None:
    longest = 0.0
    async with flooding(first, rest) as url:
        reading = asyncio.gather(*(read_all(url) for _ in range(4)))
        while not reading.done():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)
    assert set(await reading) == {"ReadError: the answer is cut too small"}
    assert longest < 1.0


async def test_a_long_answer_in_pieces_of_a_hundred_bytes_is_whole() -> None:
    body = b"64\r\n" + b"x" * 100 + b"\r\n"
    async with receiver(lambda _: CHUNKED + body * 20_000 + b"0\r\n\r\n") as server:
        assert await read_all(server.url()) == "whole"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "RemoteProtocolError"),
        (b"SSH-2.0-OpenSSH\r\n", "RemoteProtocolError"),
        (says(200, b"short", Content_Length="100"), "RemoteProtocolError"),
        (None, "ReadTimeout"),
    ],
)
async def test_what_fails_is_an_error_of_httpx(answer: bytes | None, error: str) -> None:
    async with receiver(lambda _: answer) as server:
        client = httpx.AsyncClient(transport=BoundedTransport(), timeout=0.5)
        async with client:
            with pytest.raises(httpx.TransportError) as caught:
                await client.get(server.url())
    assert type(caught.value).__name__ == error


async def test_no_connection_is_left_and_none_is_used_twice() -> None:
    async with receiver(lambda _: says(200, b"ab", Connection="keep-alive")) as server:
        async with httpx.AsyncClient(transport=BoundedTransport()) as client:
            for _ in range(3):
                assert (await client.get(server.url())).content == b"ab"
        assert len(server.requests) == 3
