"""Whose word about where a request comes from is taken: nobody's, or that of the proxies which the operator names.

Each proxy appends the address that it was asked from to ``X-Forwarded-For``. Read from the right, that is true as far as the proxies go that
we trust; what stands to the left of the first stranger was written by the stranger.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from marketplace.domain.errors import InvalidField

FORWARDED_HEADER = b"x-forwarded-for"
MOST_HOPS = 16
"""Proxies behind each other; a longer chain is not followed."""
_WIDEST_PREFIX = {4: 8, 6: 16}
"""Who names half the world trusts everybody."""

IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose ``X-Forwarded-For`` is believed."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def have(self, host: str) -> bool:
        """Whether a connection from this address is that of a proxy."""
        found = _address_in(host) if self.networks else None
        return found is not None and self._trusts(found)

    def sender(self, peer: str, forwarded: Iterable[bytes]) -> str:
        """Who asks, of a connection from ``peer`` with these ``X-Forwarded-For`` headers, in their order: the last hop that is no proxy.

        Where that hop is no address, or too far away, it is the proxy nearest to it.
        """
        if not self.have(peer):
            return peer
        nearest = peer
        hops = b",".join(forwarded).rsplit(b",", MOST_HOPS)
        for hop in reversed(hops[-MOST_HOPS:]):
            found = _address_in(hop.strip().decode("latin-1"))
            if found is None:
                break
            nearest = str(found)
            if not self._trusts(found):
                break
        return nearest

    def _trusts(self, found: IpAddress) -> bool:
        return any(found in network for network in self.networks)


def proxies_in(text: str) -> TrustedProxies:
    """Addresses and networks with commas between. Raises InvalidField."""
    field, networks = "BOURSE_TRUSTED_PROXIES", list[IPv4Network | IPv6Network]()
    for word in filter(None, map(str.strip, text.split(","))):
        try:
            network = ip_network(word)
        except ValueError:
            raise InvalidField(
                field, f"{word[:60]!r} is neither an address nor a network such as 10.0.0.0/24"
            ) from None
        if network.prefixlen < _WIDEST_PREFIX[network.version]:
            raise InvalidField(field, f"{word} is so wide that anybody might be in it")
        networks.append(network)
    return TrustedProxies(tuple(networks))


def _address_in(text: str) -> IpAddress | None:
    """An address of either kind, one of IPv4 however it is written; None for anything else."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if not isinstance(found, IPv6Address):
        return found
    return found.ipv4_mapped or (None if found.scope_id else found)
