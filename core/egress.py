"""Owns where others may have us connect to: addresses of the public internet, and what an administrator opened.

The link of a download is whoever starts it's to choose, and a redirect the server's that answers with it, so without
rules they would reach what only this machine does: its own
services, its neighbours, a cloud's metadata. Addresses are looked at, not names, and as they are connected to; a
name that resolves anew resolves under the same rules, and so does every redirect.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""RFC 1918 and unique local addresses (RFC 4193): other machines' that no internet reaches."""
_SPECIAL = tuple(ipaddress.IPv6Network(text) for text in ("64:ff9b:1::/48", "fec0::/10"))
"""NAT64 of a network's own, and site-local addresses."""
_LOW_ARE_IPV4 = tuple(
    ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")
)
"""NAT64, SIIT, and IPv4-compatible addresses."""
_32_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class EgressRules:
    """`allows_private`: private networks too (RFC 1918, ULA). `hosts`: HOST or HOST:PORT, lower case, that may be
    reached whatever their address is."""

    allows_private: bool = False
    hosts: frozenset[str] = frozenset()

    def opens(self, host: str, port: int) -> bool:
        """Whether an administrator opened it by name."""
        host = host.lower().strip("[]")
        return host in self.hosts or f"{host}:{port}" in self.hosts

    def allows(self, address: IpAddress) -> bool:
        """Whether an address may be connected to."""
        return all(self._allows_one(each) for each in (address, *embedded(address)))

    def _allows_one(self, address: IpAddress) -> bool:
        if any(address in network for network in _PRIVATE if network.version == address.version):
            return self.allows_private
        if embedded(address):
            return True  # what is embedded decides
        is_special = any(address in network for network in _SPECIAL if address.version == 6)
        return address.is_global and not (
            is_special or address.is_multicast or address.is_reserved or address.is_unspecified
        )


def embedded(address: IpAddress) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to: mapped, compatible, NAT64, 6to4, Teredo."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    number = int(address)
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.teredo is not None:
        return list(address.teredo)
    if address.sixtofour is not None:
        return [address.sixtofour]
    if number > 1 and any(address in network for network in _LOW_ARE_IPV4):
        return [ipaddress.IPv4Address(number & _32_BITS)]
    return []


def parse_ip(host: str) -> IpAddress | None:
    """An address as URLs write it, without its zone; None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


PUBLIC = EgressRules()
"""What holds where nobody has opened anything."""
