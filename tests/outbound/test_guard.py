"""Nothing that a client writes into a URL leads to an inside address."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octet.errors import ForbiddenAddressError, OctetError, RemoteUnavailableError, SettingError
from octet.outbound.guard import Guard, is_public
from tests.outbound.receiver import receiver, says

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio

FORBIDDEN = [
    # Loopback, in all its spellings
    "http://127.0.0.1/",
    "http://127.0.0.1:22/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://127.0.0.1./",
    "http://127.00.00.01/",
    "http://127.0.0.1.:80/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://0/",
    "http://0.0.0.0:6379/",
    "http://[::]/",
    # IPv4 inside IPv6
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::8.8.8.8]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001::1]/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "http://[2606:4700::5efe:7f00:1]/",
    # The clouds' metadata services, and everything link-local
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    # Private, shared, reserved, multicast, documentation
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://100.127.255.255/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[fc00::1]/",
    "http://[fdff::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[100::1]/",
    # Other schemes, and URLs that two readers read differently
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://8.8.8.8/",
    "redis://8.8.8.8/",
    "//8.8.8.8/",
    "8.8.8.8",
    "",
    "http://",
    "http:///path",
    "http:8.8.8.8/",
    "http://user:secret@8.8.8.8/",
    "http://8.8.8.8@127.0.0.1/",
    "http://127.0.0.1\\@8.8.8.8/",
    "http://8.8.8.8\t/",
    "http://8.8.8.8 .evil.example/",
    "http://8.8.8.8/\r\nHost: inside",
    "http://8.8.8.8:99999/",
    "http://8.8.8.8:0/",
    "http://8.8.8.8:-1/",
    "http://8.8.8.8:80a/",
    "http://a..b/",
    "http://-a.example/",
    "http://exa mple.org/",
    "http://[::1/",
    "http://[v1.x]/",
    "http://" + "a" * 64 + ".example/",
    "http://example.org/" + "a" * 3000,
]


# Not every system's resolver knows `localhost.`.
REFUSALS = (ForbiddenAddressError, RemoteUnavailableError)


def answering(*answers: Sequence[str]) -> Any:
    """A resolver that gives one answer after the other, and counts."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        resolve.asked += 1  # type: ignore[attr-defined]  # a counter on the function
        return left.pop(0) if len(left) > 1 else left[0]

    resolve.asked = 0  # type: ignore[attr-defined]  # see above
    return resolve


def test_the_list_is_long_enough() -> None:
    assert len(set(FORBIDDEN)) >= 60


@pytest.mark.parametrize("url", FORBIDDEN)
async def test_no_connection_is_made(url: str, connections: list[Any]) -> None:
    guard = Guard()
    async with guard.client(patience=2.0) as client:
        with pytest.raises((*REFUSALS, httpx.InvalidURL, httpx.UnsupportedProtocol)):
            await client.get(url)
    with pytest.raises(REFUSALS):
        await guard.addresses(guard.parse(url))
    assert connections == []


def test_what_needs_no_looking_up_is_checked_without() -> None:
    resolve = answering([])
    guard = Guard(["10.1.0.0/16", "inside.example"], resolve=resolve)
    for url in ("http://127.0.0.1/", "http://[::1]/", "file:///etc/passwd", "http://10.2.0.1/"):
        with pytest.raises(ForbiddenAddressError):
            guard.check(url)
    # names are looked up when they are used
    for url in ("http://10.1.2.3/", "http://93.184.216.34/", "http://inside.example/"):
        guard.check(url)
    assert resolve.asked == 0


INSIDE = ["127.0.0.1", "169.254.169.254", "10.0.0.7", "::1", "::ffff:10.0.0.7", "fd00::1"]


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("others", [[], ["93.184.216.34"]])
async def test_a_name_that_leads_inside_is_refused_whatever_else_it_leads_to(
    address: str, others: list[str], connections: list[Any]
) -> None:
    for answer in ([address, *others], [*others, address]):
        guard = Guard(resolve=answering(answer))
        async with guard.client(patience=2.0) as client:
            with pytest.raises(ForbiddenAddressError):
                await client.get("http://metadata.google.internal/")
    assert connections == []


OWN = """
import asyncio, socket, subprocess
from octet.errors import ForbiddenAddressError
from octet.outbound.guard import Guard

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for address in ("8.8.4.99/32", "2a00:1450::99/128"):
    subprocess.run(["ip", "addr", "add", address, "dev", "lo", "nodad"], check=True)
server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
server.settimeout(0)
port = server.getsockname()[1]

async def main():
    for host in ("8.8.4.99", "[2a00:1450::99]"):
        async with Guard().client(patience=1.0) as client:
            try:
                await client.get(f"http://{host}:{port}/")
            except ForbiddenAddressError as error:
                print(error.message)
    async with Guard(["8.8.4.99"]).client(patience=0.5) as client:
        try:
            await client.get(f"http://8.8.4.99:{port}/")
        except Exception as error:
            print(type(error).__name__)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a network namespace is Linux' own")
async def test_a_public_address_of_this_machine_is_inside() -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        ["unshare", "-rn", sys.executable, "-c", OWN],
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr or "No such file" in done.stderr:
        pytest.skip("no network namespace can be made here")
    own = "the address is not allowed: it leads to this very machine"
    assert done.stdout.splitlines() == [own, own, "ReadTimeout"], done.stderr


async def test_a_name_that_changes_its_mind_cannot_lead_inside(connections: list[Any]) -> None:
    """DNS rebinding: the first answer is checked and used, there is no second question."""
    resolve = answering(["192.0.2.99"], ["127.0.0.1"])
    guard = Guard(["192.0.2.99"], resolve)
    async with guard.client(patience=0.2) as client:
        with pytest.raises(httpx.HTTPError):
            await client.get("http://rebinding.example:8080/")

    assert resolve.asked == 1
    assert [address[:2] for address in connections] == [("192.0.2.99", 8080)]

    async with guard.client(patience=0.2) as client:
        with pytest.raises(ForbiddenAddressError):
            await client.get("http://rebinding.example:8080/")
    assert len(connections) == 1


async def test_a_redirect_inside_is_not_followed(connections: list[Any]) -> None:
    async with receiver(lambda _: says(302, Location="http://169.254.169.254/")) as server:
        async with Guard(["127.0.0.1"]).client() as client:
            answer = await client.get(server.url())
        assert answer.status_code == 302
        assert connections == [("127.0.0.1", server.port)]


async def test_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, connections: list[Any]
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with receiver() as server, Guard(["localhost"]).client() as client:
        assert (await client.get(server.url(host="localhost"))).status_code == 200
        assert connections[-1] == ("127.0.0.1", server.port)


async def test_what_is_allowed_is_reached_under_its_own_name() -> None:
    resolve = answering(["127.0.0.1"])
    async with receiver() as server:
        for allow in (["receiver.lab"], ["127.0.0.0/8"], ["RECEIVER.lab."], ["127.0.0.1"]):
            async with Guard(allow, resolve).client() as client:
                answer = await client.get(server.url("/a%20b?c=d", "receiver.lab"))
            assert answer.status_code == 200
            request = server.requests[-1]
            assert request.line == "GET /a%20b?c=d HTTP/1.1"
            assert request.headers["host"] == f"receiver.lab:{server.port}"


@pytest.mark.parametrize("allow", ["other.lab", "127.0.0.2", "10.0.0.0/8", "lab", "::1"])
async def test_what_is_allowed_allows_nothing_else(allow: str, connections: list[Any]) -> None:
    guard = Guard([allow], answering(["127.0.0.1"]))
    async with guard.client() as client:
        with pytest.raises(ForbiddenAddressError):
            await client.get("http://receiver.lab/")
    assert connections == []


async def test_the_next_address_is_tried_when_one_is_dead() -> None:
    async with receiver() as server:
        guard = Guard(["127.0.0.0/8"], answering(["127.0.0.9", "127.0.0.1"]))
        async with guard.client(patience=2.0) as client:
            assert (await client.get(server.url(host="two.lab"))).status_code == 200


async def test_tls_asks_for_the_name_and_not_for_the_address() -> None:
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with Guard(["secure.lab"], answering(["127.0.0.1"])).client() as client:
        with pytest.raises(httpx.ConnectError):  # the server has no certificate
            await client.get(f"https://secure.lab:{port}/")
    server.close()
    assert asked == ["secure.lab"]


async def test_a_name_that_does_not_exist_is_told_apart() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    async with Guard(resolve=unknown).client() as client:
        with pytest.raises(RemoteUnavailableError, match=r"gone\.example cannot be resolved"):
            await client.get("http://gone.example/")


@pytest.mark.parametrize("entry", ["", "10.0.0.0/99", "a/b", "host:80", "0x7f", "1.2.3", "a b"])
def test_an_entry_that_allows_nothing_sensible_is_refused(entry: str) -> None:
    with pytest.raises(SettingError, match="OCTET_ALLOW_HOSTS"):
        Guard([entry])


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses())
def test_the_list_is_never_laxer_than_the_standard_librarys(address: Any) -> None:
    inside = not address.is_global or address.is_multicast
    assert not (inside and is_public(address))


@given(st.text() | st.from_regex(r"https?://[ -~]{1,40}"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        url = Guard().parse(text)
    except OctetError:
        return
    assert url.scheme in ("http", "https")
    assert url.host
