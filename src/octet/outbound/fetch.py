"""Import by URL: a download from a server that a client chose."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from octet.errors import LimitError, RemoteRefusedError, RemoteUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from octet.outbound.guard import Guard

_CHUNK = 64 * 1024
_MOST_REDIRECTS = 5
_TRY_AGAIN = (408, 425, 429)
"""Statuses of 4xx that may be otherwise in a while, as those of 5xx may."""


@dataclass(frozen=True)
class Remote:
    """A download under way.

    Attributes:
        chunks: its bytes, to be read once; raises LimitError and RemoteUnavailableError.
        size: what the server claims it is, if it claims anything.
        content_type: what the server calls it. Not to be trusted.
    """

    chunks: AsyncIterator[bytes]
    size: int | None
    content_type: str


@asynccontextmanager
async def fetch(
    url: str, guard: Guard, *, limit: int, patience: float = 20.0, total: float = 1800.0
) -> AsyncIterator[Remote]:
    """Opens a download, and closes it however the block ends.

    Args:
        url: as a client gave it.
        guard: decides where it may lead, and where each redirect may, of which at most 5 are
            followed.
        limit: largest number of bytes; counted while they arrive.
        patience: seconds to wait for the connection, and for each further piece.
        total: seconds for the whole block, so that a server that sends a byte now and then
            cannot hold it forever.

    Raises:
        ForbiddenAddressError: if the guard refuses the address, or that of a redirect.
        LimitError: if there is more than `limit`.
        RemoteRefusedError: if the server has something else to say than the file, or needs
            longer than `total`.
        RemoteUnavailableError: if it does not answer now, or not with all of the bytes.
    """
    parsed = guard.parse(url)
    host = parsed.host
    try:
        async with (
            asyncio.timeout(total),
            guard.client(patience=patience) as client,
            AsyncExitStack() as held,
        ):
            answer = await held.enter_async_context(client.stream("GET", parsed))
            for _ in range(_MOST_REDIRECTS):
                if answer.next_request is None:
                    break
                await held.aclose()
                parsed = guard.parse(str(answer.next_request.url))
                host = parsed.host
                answer = await held.enter_async_context(client.stream("GET", parsed))
            _check(answer, host)
            size = _claimed(answer)
            if size is not None and size > limit:
                raise _too_large(limit)
            yield Remote(_pieces(answer, host, limit), size, answer.headers.get("content-type", ""))
    except TimeoutError:
        raise RemoteRefusedError(
            f"{host} sends so slowly that it would take longer than {total:.0f} s"
        ) from None
    except httpx.HTTPError as error:
        raise _broken(host, error) from None


def _check(answer: httpx.Response, host: str) -> None:
    if answer.next_request is not None:
        raise RemoteRefusedError(
            f"{host} redirects once more, after {_MOST_REDIRECTS} redirects",
            "give the address at which the song itself is",
        )
    status = answer.status_code
    if status >= 500 or status in _TRY_AGAIN:
        raise RemoteUnavailableError(f"{host} answered {status}")
    if status != 200:
        raise RemoteRefusedError(f"{host} answered {status}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise RemoteRefusedError(f"{host} compressed its answer although it was not asked to")


def _claimed(answer: httpx.Response) -> int | None:
    claim = answer.headers.get("content-length", "")
    return int(claim) if claim.isascii() and claim.isdecimal() and len(claim) < 20 else None


async def _pieces(answer: httpx.Response, host: str, limit: int) -> AsyncIterator[bytes]:
    arrived = 0
    try:
        async for piece in answer.aiter_raw(_CHUNK):
            arrived += len(piece)
            if arrived > limit:
                raise _too_large(limit)
            yield piece
    except httpx.HTTPError as error:
        raise _broken(host, error) from None


def _too_large(limit: int) -> LimitError:
    return LimitError(f"the song is larger than {limit} bytes", "OCTET_MAX_UPLOAD is the limit")


def _broken(host: str, error: httpx.HTTPError) -> RemoteUnavailableError:
    if isinstance(error, httpx.TimeoutException):
        return RemoteUnavailableError(f"{host} was too slow")
    if isinstance(error, httpx.ConnectError):
        return RemoteUnavailableError(f"{host} cannot be reached")
    return RemoteUnavailableError(f"{host} broke off its answer")
