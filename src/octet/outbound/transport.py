"""Connections to servers that mean harm: none of them can keep this process busy.

A server chooses how it cuts its answer. Single bytes as chunks, or interim answers without end
(1xx), cost the reader's processor a thousand times what they cost the sender. So little is
read in one turn of the event loop, and an answer that costs too much for what it brings ends
with httpx.ReadError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import httpcore
import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_TURN = 16 * 1024
"""Bytes that are parsed in one turn of the event loop."""
_FREE = 256 * 1024
_PER_PIECE = 256
_WORTH = 4
"""An answer may cost `_FREE` and `_WORTH` for each byte of its body; it costs one for each byte on
the wire, and `_PER_PIECE` for each piece of the body: pieces of 100 bytes are never too small."""


class BoundedTransport(httpx.AsyncBaseTransport):
    """Sends requests, each over a connection of its own, and bounds what an answer costs.

    No connection is used twice: a pool goes by address, and another name behind the same
    address must not get a connection that was made, and verified, for the first.
    """

    def __init__(self) -> None:
        self._context = httpx.create_ssl_context(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request; raises httpx.TransportError and its kinds."""
        cost = _Cost()
        pool = httpcore.AsyncConnectionPool(
            self._context, max_keepalive_connections=0, network_backend=_Backend(cost)
        )
        url = request.url
        try:
            answer = await pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except BaseException as error:
            await pool.aclose()
            _raise(error)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer, pool, cost)
        )


class _Cost:
    """What an answer has cost so far, and what it may."""

    def __init__(self) -> None:
        self._left = _FREE

    def add(self, cost: int, worth: int = 0) -> None:
        self._left += _WORTH * worth - cost
        if self._left < 0:
            raise httpcore.ReadError("the answer is cut too small")


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response, pool: Any, cost: _Cost) -> None:
        self._answer, self._pool, self._cost = answer, pool, cost

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._answer.aiter_stream():
                self._cost.add(_PER_PIECE, len(piece))
                yield piece
        except Exception as error:  # of httpcore, or of whoever reads
            _raise(error)

    async def aclose(self) -> None:
        await self._answer.aclose()
        await self._pool.aclose()


class _Backend(httpcore.AnyIOBackend):
    def __init__(self, cost: _Cost) -> None:
        self._cost = cost

    async def connect_tcp(self, *given: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await super().connect_tcp(*given, **named), self._cost)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream, cost: _Cost) -> None:
        self._inner, self._cost = inner, cost

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # httpcore names it
        data = await self._inner.read(min(max_bytes, _TURN), timeout)
        self._cost.add(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as above
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(self, *given: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(*given, **named), self._cost)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _raise(error: BaseException) -> NoReturn:
    """Raises the error of httpcore as httpx's of the same name, any other as it is."""
    kind = getattr(httpx, type(error).__name__, None)
    if type(error).__module__.startswith("httpcore") and kind is not None:
        raise kind(str(error)) from None
    raise error
