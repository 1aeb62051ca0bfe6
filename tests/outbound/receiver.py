"""A real HTTP server that does what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass
class Received:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A server; `answer` gives the bytes to answer a request with, None for silence. It lets `drip`
    seconds pass between two bytes, if any, and `linger` before it closes the connection.
    """

    answer: Callable[[Received], bytes | None]
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    drip: float = 0.0
    linger: float = 0.0
    silence: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:-2])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Received(head[0], headers, body)
            self.requests.append(request)
            await self._respond(self.answer(request), writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client or the test has gone
        finally:
            writer.close()

    async def _respond(self, answer: bytes | None, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await self.silence.wait()
            return
        step = 1 if self.drip else len(answer) or 1
        for start in range(0, len(answer), step):
            writer.write(answer[start : start + step])
            await writer.drain()
            await asyncio.sleep(self.drip)
        await asyncio.sleep(self.linger)


def says(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP answer; underscores in names of headers stand for hyphens."""
    named = {"Content-Length": str(len(body)), "Connection": "close"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + body


@contextlib.asynccontextmanager
async def receiver(
    answer: Callable[[Received], bytes | None] = lambda _: says(200), drip: float = 0.0
) -> AsyncIterator[Receiver]:
    """Starts a server on a free port of the loopback."""
    made = Receiver(answer, drip=drip)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.silence.set()
        server.close()
