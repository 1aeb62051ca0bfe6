"""ASGI: what a connection may cost. Time without a byte, and bodies that nobody reads."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from octet.api.errors import RefusedError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLOWEST = 1024.0
"""Bytes a second below which a body, after a while of patience, is given up."""

_DRAIN_BYTES = 4 * 1024**2
_DRAIN_SECONDS = 2.0
_SILENCE = 0.3


class Patience:
    """ASGI: a request's body has to keep coming (408 otherwise), and its answer to be read.

    When an answer is complete before the body was (an upload that is refused), a little more of
    the body is read and dropped, so that the client gets to see the answer, and then the
    connection is closed: the rest is never read.

    Args:
        app: what to serve.
        seconds: for the next bytes to come or to be taken.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "http":
            exchange = _Exchange(scope, receive, send, self._seconds)
            await self._app(scope, exchange.receive, exchange.send)
        else:
            await self._app(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._begun = time.monotonic()
        self._bytes = 0
        names = {name for name, _ in scope["headers"]}
        self._read_all = not names & {b"content-length", b"transfer-encoding"}
        self._waits = b"expect" in names  # it sends its body only once somebody asks for it

    async def receive(self) -> Message:
        if self._read_all:
            return await self._receive()  # waits for the client to go away, which may take long
        left = self._begun + self._seconds + self._bytes / SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, min(left, self._seconds))):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(408, "too-slow", "the request comes too slowly") from None
        self._waits = False
        self._count(message)
        return message

    async def send(self, message: Message) -> None:
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("x-content-type-options", "nosniff")
            await self._drain(0.01)  # a small body that nobody has asked for is here already
            if not self._read_all:
                headers["connection"] = "close"
        elif last and not self._read_all:
            await self._pass_on({**message, "more_body": True})
            await self._drain(_DRAIN_SECONDS)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._send(message)
        except TimeoutError:
            raise RefusedError(408, "too-slow", "the answer is not being read") from None

    async def _drain(self, seconds: float) -> None:
        before = self._bytes
        try:
            async with asyncio.timeout(seconds):
                while not (self._read_all or self._waits) and self._bytes - before < _DRAIN_BYTES:
                    async with asyncio.timeout(_SILENCE):
                        self._count(await self._receive())
        except TimeoutError:
            return

    def _count(self, message: Message) -> None:
        self._bytes += len(message.get("body", b""))
        self._read_all = not message.get("more_body", False)
