"""The guard of outgoing requests: callbacks and imports go where clients say, but not inside.

An address is parsed strictly, its name resolved once, every address that it stands for
checked, and the connection made to the very address that was checked. The name stays in the
Host header and in TLS, so that certificates are verified against it. This machine's own
addresses are inside ones, public or not. Redirects are not followed, and proxies of the
environment not used.
"""

from __future__ import annotations

import asyncio
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import httpx

from octet.errors import ForbiddenAddressError, RemoteUnavailableError, SettingError
from octet.outbound.transport import BoundedTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

Address = IPv4Address | IPv6Address

_LONGEST = 2048
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_BEGINNING = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\.?")
_RESOLVED_WITHIN = 5.0

# IANA's special-purpose address registries (RFC 6890 and its updates), written out because the
# standard library's own lists differ from one version of Python to the next.
_INSIDE_4 = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_OUTSIDE_6 = ip_network("2000::/3")  # global unicast: all else is private, local, mapped, NAT64 …
_INSIDE_6 = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)


class Guard:
    """Decides where requests may go, and makes clients that go nowhere else.

    Args:
        allow: hosts (`localhost`, by name, wherever that leads) and networks (`127.0.0.0/8`,
            `::1`) that are allowed although they are inside.
        resolve: name and port to addresses; the system's resolver if None.

    Raises:
        SettingError: if an entry of `allow` is neither.
    """

    def __init__(self, allow: Iterable[str] = (), resolve: Resolver | None = None) -> None:
        self._hosts: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        self._resolve = resolve or _system_resolver
        for entry in allow:
            self._allow(entry.strip().lower())

    def _allow(self, entry: str) -> None:
        try:
            self._networks.append(ip_network(entry.strip("[]")))
        except ValueError:
            if not _is_name(entry):
                raise SettingError(
                    f"OCTET_ALLOW_HOSTS holds {entry!r}",
                    "use host names, addresses and networks such as 10.1.0.0/16, without ports",
                ) from None
            self._hosts.add(entry.rstrip("."))

    def parse(self, url: str) -> httpx.URL:
        """A URL that a client gave, as the client that will use it understands it.

        Raises:
            ForbiddenAddressError: if it is not an http or https URL of a strict form: no user,
                no blanks, backslashes or control characters, and a host that is a name, an
                IPv4 address in four decimal parts, or an IPv6 address without a zone.
        """
        if not isinstance(url, str) or len(url) > _LONGEST:
            raise _forbidden("it is no URL, or a very long one")
        if any(sign <= " " or sign == "\x7f" or sign == "\\" for sign in url):
            raise _forbidden("it holds blanks, backslashes or control characters")
        try:
            parsed = httpx.URL(url)
            host = parsed.raw_host.decode("ascii").lower()
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise _forbidden("it cannot be read") from None
        beginning = _BEGINNING.match(url)
        if parsed.scheme not in ("http", "https") or beginning is None:
            raise _forbidden("it begins with neither http:// nor https://")
        if parsed.userinfo or "@" in beginning[1]:
            raise _forbidden("it holds a user name or a password")
        if parsed.port is not None and not 1 <= parsed.port <= 65535:
            raise _forbidden("its port is out of range")
        if literal(host) is None and not _is_name(host):
            raise _forbidden("its host is neither a name nor a plain address")
        return parsed

    def check(self, url: str) -> None:
        """Refuses what can be refused without looking anything up: a request may not wait for that.

        Raises:
            ForbiddenAddressError: the URL is malformed, or its host an address inside.
        """
        host = self.parse(url).raw_host.decode("ascii").lower()
        address = literal(host)
        if address is not None and host.rstrip(".") not in self._hosts:
            self._check([address])

    async def addresses(self, url: httpx.URL) -> list[str]:
        """The addresses behind a parsed URL, all of them allowed.

        Raises:
            ForbiddenAddressError: if one of them is not.
            RemoteUnavailableError: if the name cannot be resolved.
        """
        host = url.raw_host.decode("ascii").lower()
        port = url.port or (443 if url.scheme == "https" else 80)
        address = literal(host)
        if address is not None:
            found: list[Address] = [address]
        else:
            found = [ip_address(text) for text in await self._look_up(host, port)]
        if host.rstrip(".") not in self._hosts:
            self._check(found)
        return [str(each) for each in found]

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        try:
            async with asyncio.timeout(_RESOLVED_WITHIN):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            found = ()
        if not found:
            raise RemoteUnavailableError(f"the name {host} cannot be resolved")
        return found

    def _check(self, addresses: list[Address]) -> None:
        others = [
            each for each in addresses if not any(each in network for network in self._networks)
        ]
        if not all(map(is_public, others)):
            raise _forbidden("it leads to an inside address")
        if any(map(_is_own, others)):
            raise _forbidden("it leads to this very machine")

    def client(self, *, patience: float = 10.0) -> httpx.AsyncClient:
        """A client that goes through this guard with every request.

        Args:
            patience: seconds to wait for a connection, and for each further byte. Whoever
                uses the client bounds the whole request.
        """
        return httpx.AsyncClient(
            transport=_GuardedTransport(self),
            timeout=httpx.Timeout(patience),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "octet", "Accept-Encoding": "identity"},
        )


class _GuardedTransport(httpx.AsyncBaseTransport):
    """Checks each request, then connects to an address that was checked."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = BoundedTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = self._guard.parse(str(request.url))
        host = url.raw_host.decode("ascii").rstrip(".")
        addresses = await self._guard.addresses(url)
        extensions = dict(request.extensions)
        if literal(host) is None:
            extensions["sni_hostname"] = host
        for last, address in enumerate(addresses, 1 - len(addresses)):
            pinned = httpx.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,  # the Host header among them
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last == 0:
                    raise
        raise RemoteUnavailableError(f"the name {host} cannot be resolved")


def is_public(address: Address) -> bool:
    """Whether an address leads to the public internet, and nowhere else.

    False for everything private, local, shared, reserved or multicast, and for IPv6 addresses
    that carry an IPv4 address (mapped, compatible, NAT64 in both its prefixes, 6to4, Teredo,
    ISATAP), whatever that address is.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _INSIDE_4)
    if address.scope_id is not None or address not in _OUTSIDE_6:
        return False
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in network for network in _INSIDE_6)


def _is_own(address: Address) -> bool:
    """Whether an address belongs to an interface of this machine.

    The system chooses the source of a datagram to its own address: that address itself.
    Connecting a datagram socket sends nothing.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:  # there is no way to it
        return False


def literal(host: str) -> Address | None:
    """The address that a host is, if it is one in its one plain form, without a zone."""
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address if address.scope_id is None else None
    return address


def _is_name(host: str) -> bool:
    """Whether a host is a name that no resolver takes for a number (`0x7f.1`, `2130706433`)."""
    if len(host) > 253 or not _NAME.fullmatch(host):
        return False
    return _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is None


def _forbidden(why: str) -> ForbiddenAddressError:
    return ForbiddenAddressError(
        f"the address is not allowed: {why}",
        "give an http or https address on the public internet; OCTET_ALLOW_HOSTS allows others",
    )


async def _system_resolver(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
