"""Which addresses may be dialled for an image, or a job: public ones, and the machine's own or private ones only where somebody has listed them.

A name is resolved once, what it resolves to is checked, and what was checked is dialled: a name that changes its mind in between
(DNS rebinding) reaches nothing. TLS still asks for the name's certificate.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Set
from typing import Final

import psutil

from marketplace.domain.errors import ImageUnusable, RegistryUnavailable
from marketplace.domain.images import ImageTrouble

_TRANSLATED: Final = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""IPv6 addresses with an IPv4 address in them, which may be anybody's."""

_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""Outside of it are link-local and local addresses, and those that stand for others."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def dial(host: str, port: int, timeout_seconds: float, private: Set[str]) -> socket.socket:
    """A connection to the host, at an address that it may be dialled at. ``private``: hosts, as ``name`` or ``name:port``, that may lie
    anywhere. Raises ImageUnusable where that is not so, RegistryUnavailable where nobody answers.
    """
    may_be_private = host in private or f"{host}:{port}" in private
    trouble = "it has no address"
    for address in _resolved(host, port):
        if not may_be_private and (why := refusal_of(address)):
            raise ImageUnusable(ImageTrouble.REFUSED, f"{host} lies at {address}, {why}")
        try:
            return socket.create_connection((str(address), port), timeout_seconds)
        except OSError as exc:
            trouble = str(exc)
    raise RegistryUnavailable(host, trouble)


def refusal_of(address: Address) -> str:
    """Why an address is not to be dialled; "" where it may be."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return refusal_of(mapped)
    if (
        not address.is_global
        or address.is_multicast
        or (address.version == 6 and address not in _UNICAST)
        or any(address in network for network in _TRANSLATED if network.version == address.version)
    ):
        return "which is no public address"
    return "which is this machine's own" if address in _own() else ""


def _resolved(host: str, port: int) -> Iterable[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise RegistryUnavailable(host, f"its name cannot be resolved: {exc}") from exc
    return dict.fromkeys(ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found)


def _own() -> set[Address]:
    families = (socket.AF_INET, socket.AF_INET6)
    told = [one.address for some in psutil.net_if_addrs().values() for one in some if one.family in families]
    return {ipaddress.ip_address(text.partition("%")[0]) for text in told}
