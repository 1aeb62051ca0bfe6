"""Which IP addresses belong to the public internet.

The lists follow IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and
its updates), written out because the standard library's own lists differ from one version of
Python to the next.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

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
