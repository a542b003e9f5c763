"""Which addresses a job may reach: those of the public Internet, and none of this machine, its network, or a neighbour's.

A name is resolved once, and what was judged is what is dialled: no second answer can lead elsewhere.
"""

from __future__ import annotations

import socket
from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from marketplace.domain.egress import EgressTarget

_UNICAST: Final = IPv6Network("2000::/3")
"""Outside of it are link-local, local and mapped addresses, and translations of IPv4 ones (64:ff9b::)."""


def is_reachable(host: str, port: int, local: Container[str]) -> bool:
    """Whether a job may be connected to this address: it is public and not ours, or one that the provider has listed."""
    try:
        address = ip_address(host)
    except ValueError:
        return False  # with a zone, say
    if str(EgressTarget(str(address), port)) in local:
        return True
    return is_public(address) and not is_own(address)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of the public Internet that stands for nothing but itself."""
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in _UNICAST and address.sixtofour is None and address.teredo is None


def is_own(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is one of this machine's: then the kernel would speak to it from itself. Nothing is sent to find out."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False  # there is no way there, as will show
        return ip_address(probe.getsockname()[0]) == address
