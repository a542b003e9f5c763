"""Whom a client's orders name: who may open them, and who rules on their leases. The client's own word, never a gateway's.

A gateway says in ``GET /v1/market`` whom it works with. That is compared and signed by nobody: an opener of somebody else's choosing could hold orders
back, and an arbiter of somebody else's choosing could give a lease's money away.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.chain.checksums import address_from_text, checksum
from marketplace.domain.errors import ConfigError, GatewayDiffers
from marketplace.domain.ids import ZERO_ADDRESS, Address


@dataclass(frozen=True, slots=True)
class Roles:
    """What an order names (P-22, P-15): who may open it (the zero address: anybody), and who rules on its lease."""

    opener: Address
    arbiter: Address


@dataclass(frozen=True, slots=True)
class TrustRoots:
    """The client's own choice, from its settings or its address book; None where it has made none."""

    opener: Address | None = None
    arbiter: Address | None = None

    def roles(self, opener: Address | None = None, arbiter: Address | None = None) -> Roles:
        """What the next order names; a request's own choice goes before. Raises ConfigError that lists what nobody has chosen."""
        chosen = {"opener": opener or self.opener, "arbiter": arbiter or self.arbiter}
        missing = [
            f"BOURSE_{name.upper()} is not set: your orders name the {name} that you trust, not the one that a gateway names"
            for name, who in chosen.items()
            if who is None
        ]
        if missing:
            raise ConfigError(missing)
        assert chosen["opener"], "listed above"
        assert chosen["arbiter"], "listed above"
        return Roles(chosen["opener"], chosen["arbiter"])

    def check(self, told: Roles) -> None:
        """Raise GatewayDiffers where a gateway works with somebody else than whom the client has chosen."""
        for name in ("opener", "arbiter"):
            ours, theirs = getattr(self, name), getattr(told, name)
            if ours not in (None, ZERO_ADDRESS, theirs):
                raise GatewayDiffers(name, checksum(ours), checksum(theirs))


def roots_of(opener: str, arbiter: str) -> TrustRoots:
    """The roots that texts of the settings name; empty: none. Raises InvalidField."""

    def named(text: str, setting: str) -> Address | None:
        return address_from_text(text, field=setting) if text else None

    return TrustRoots(named(opener, "BOURSE_OPENER"), named(arbiter, "BOURSE_ARBITER"))
