"""ASGI: what stands before all routes. Time limits of a connection, addresses, and counting."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import MutableHeaders

from octet.api.errors import RefusedError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLOWEST = 1024.0
"""Bytes a second below which a body, once the time limit for silence is over, is given up."""

_DRAIN_BYTES = 4 * 1024**2
_DRAIN_SECONDS = 2.0
_SILENCE = 0.3
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class TrailingSlash:
    """ASGI: every address works with a slash at its end, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and len(path) > 1 and path.endswith("/"):
            scope["path"] = path.rstrip("/") or "/"
        await self._app(scope, receive, send)


class Measure:
    """ASGI: counts and times requests by their route.

    Args:
        app: what to serve.
        registry: where the figures are kept.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter(
            "octet_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "octet_http_seconds",
            "Time from a request to the end of its answer.",
            ("method", "route"),
            registry=registry,
            buckets=_BUCKETS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, begun = 0, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # Routes, not paths, and of methods those alone that a route has: whatever clients
            # make up must not become a label, which is kept for ever.
            route = getattr(scope.get("route"), "path", "none")
            known = route != "none" and status != 405
            labels = (scope["method"] if known else "any", route)
            self._requests.labels(*labels, str(status)).inc()
            self._seconds.labels(*labels).observe(time.perf_counter() - begun)


class ClientTimeout:
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
