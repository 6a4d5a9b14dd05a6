"""Who is at the other end of a connection, behind proxies too. Pure.

`X-Forwarded-For` is believed only as far as trusted proxies wrote it: read from the right, up to the first address
that is no trusted proxy. What stands left of it anybody can have sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# Who rents one IPv6 network has all of its addresses.
IPV6_PREFIX = 64
UNKNOWN = "unknown"


@lru_cache(maxsize=8)
def parse_networks(text: str) -> tuple[Network, ...]:
    """Read "10.0.0.0/8, 192.0.2.1"; ValueError for anything that is no address or network."""
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def parse_address(text: str) -> Address | None:
    """Read an address as peers and proxies write it; an IPv4 address inside an IPv6 one is the IPv4 one."""
    cleaned = text.strip().strip("[]").partition("%")[0]
    try:
        address = ip_address(cleaned)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted if network.version == address.version)


def find_client(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """Return the caller's address: the peer's, unless the peer is a trusted proxy that names another.

    `forwarded_for` are the header's lines in their order. None when the peer has no address (a Unix socket).
    """
    found = parse_address(peer)
    for text in reversed([part for line in forwarded_for for part in line.split(",")]):
        if found is None or not is_trusted(found, trusted):
            return found
        named = parse_address(text)
        if named is None:
            # A trusted proxy passed on something unreadable: the proxy itself is all that is known.
            return found
        found = named
    return found


def client_of(scope: Mapping[str, Any], trusted: Sequence[Network]) -> Address | None:
    """Return the caller's address of an ASGI request; `trusted` is `Settings.trusted_networks`."""
    peer = scope["client"][0] if scope.get("client") else ""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return find_client(peer, lines, trusted)


def written_address(trusted: Sequence[Network], scope: Mapping[str, Any]) -> str:
    """The caller's address as a log line has it; empty where there is none."""
    return str(client_of(scope, trusted) or "")


def bucket_of(address: Address | None) -> str:
    """Name what is counted as one caller: an IPv4 address, or an IPv6 network of one subscriber."""
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_PREFIX), strict=False).network_address)
    return str(address)
