from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from octet.errors import (
    ForbiddenAddressError,
    LimitError,
    RemoteRefusedError,
    RemoteUnavailableError,
)
from octet.outbound.fetch import fetch
from octet.outbound.guard import Guard
from tests.outbound.receiver import Received, receiver, says

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

LOOPBACK = Guard(["127.0.0.1"])


async def fetched(
    url: str, *, limit: int = 10**9, patience: float = 5.0, total: float = 9
) -> bytes:
    async with fetch(url, LOOPBACK, limit=limit, patience=patience, total=total) as remote:
        return b"".join([chunk async for chunk in remote.chunks])


async def test_a_song_arrives_in_pieces() -> None:
    song = bytes(range(256)) * 20_000
    async with receiver(lambda _: says(200, song, Content_Type="audio/mpeg")) as server:
        async with fetch(server.url("/a.mp3"), LOOPBACK, limit=len(song)) as remote:
            assert (remote.size, remote.content_type) == (len(song), "audio/mpeg")
            pieces = [piece async for piece in remote.chunks]

        assert b"".join(pieces) == song
        assert len(pieces) > 1
        request = server.requests[0]
        assert request.line == "GET /a.mp3 HTTP/1.1"
        assert request.headers["accept-encoding"] == "identity"
        assert "authorization" not in request.headers


async def test_a_song_that_says_it_is_too_large_is_not_fetched() -> None:
    async with receiver(lambda _: says(200, b"", Content_Length=str(10**12))) as server:
        with pytest.raises(LimitError, match="larger than 1000 bytes"):
            await fetched(server.url(), limit=1000)


async def test_a_song_that_does_not_say_its_size_is_cut_off_at_the_limit() -> None:
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(50_000_000)
    async with (
        receiver(lambda _: endless) as server,
        fetch(server.url(), LOOPBACK, limit=1_000_000) as remote,
    ):
        assert remote.size is None
        with pytest.raises(LimitError):
            _ = [piece async for piece in remote.chunks]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (says(503), "answered 503"),
        (says(429), "answered 429"),
        (says(302, Location="http://127.0.0.1:1/other"), "cannot be reached"),
        (says(307, Location="http://a:b/"), "broke off"),
        (says(200, b"short", Content_Length="100"), "broke off"),
        (b"SSH-2.0-OpenSSH\r\n", "broke off"),
        (b"", "broke off"),
        (None, "too slow"),
    ],
)
async def test_what_may_be_otherwise_in_a_while_is_told_apart(
    answer: bytes | None, told: str
) -> None:
    async with receiver(lambda _: answer) as server:
        with pytest.raises(RemoteUnavailableError, match=told) as caught:
            await fetched(server.url("/secret-token"), patience=0.5)
        assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (says(404), "answered 404"),
        (says(206, b"part"), "answered 206"),
        (says(301), "answered 301"),
        (says(200, b"zip", Content_Encoding="gzip"), "compressed"),
    ],
)
async def test_what_will_stay_so_too(answer: bytes, told: str) -> None:
    async with receiver(lambda _: answer) as server:
        with pytest.raises(RemoteRefusedError, match=told) as caught:
            await fetched(server.url("/secret-token"))
        assert "secret-token" not in str(caught.value)


async def test_a_server_that_drips_is_left_in_the_end() -> None:
    async with receiver(lambda _: says(200, b"x" * 1000), drip=0.02) as server:
        began = time.monotonic()
        with pytest.raises(RemoteRefusedError, match="longer than 1 s"):
            await fetched(server.url(), total=1.0)
        assert time.monotonic() - began < 5


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(RemoteUnavailableError, match="cannot be reached"):
        await fetched("http://127.0.0.1:1/")


def redirecting(times: int, target: str | None = None) -> Callable[[Received], bytes]:
    """Redirects so many times, by turns with whole and partial addresses, then is the song."""

    def answer(request: Received) -> bytes:
        number = int(request.line.split()[1].lstrip("/"))
        if number >= times:
            return says(200, b"song")
        host = f"http://{request.headers['host']}" if number % 2 else ""
        return says(302, Location=target or f"{host}/{number + 1}")

    return answer


@pytest.mark.parametrize("times", [1, 5])
async def test_a_few_redirects_are_followed(times: int) -> None:
    async with receiver(redirecting(times)) as server:
        assert await fetched(server.url("/0")) == b"song"
        assert len(server.requests) == times + 1


async def test_the_sixth_redirect_is_one_too_many() -> None:
    async with receiver(redirecting(6)) as server:
        with pytest.raises(RemoteRefusedError, match="after 5 redirects"):
            await fetched(server.url("/0"))
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "http://user:word@127.0.0.1/",
        "http://2130706433/",
    ],
)
async def test_each_redirect_is_checked_before_it_is_followed(
    target: str, connections: list[Any]
) -> None:
    async with receiver(redirecting(9, target)) as server:
        with pytest.raises(ForbiddenAddressError):
            await fetched(server.url("/0"))
        assert connections == [("127.0.0.1", server.port)]


async def test_an_inside_address_is_never_asked(connections: list[Any]) -> None:
    with pytest.raises(ForbiddenAddressError):
        async with fetch("http://169.254.169.254/latest", Guard(), limit=1):
            pass
    assert connections == []


async def test_an_error_of_the_reader_passes_through() -> None:
    answer: Callable[[Received], bytes] = lambda _: says(200, b"123")  # noqa: E731 - a short answer
    async with receiver(answer) as server:
        with pytest.raises(ZeroDivisionError):
            async with fetch(server.url(), LOOPBACK, limit=10):
                raise ZeroDivisionError
