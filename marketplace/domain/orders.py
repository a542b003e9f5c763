"""What a client asks for, and signs. Field names and order are the ABI's (docs/reference/specification.md, Shapes)."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, OfferId
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime


@dataclass(frozen=True, slots=True)
class Order:
    """A client's signed request (EIP-712 type ``Order``). Its digest is its id, and the id of its lease."""

    client: Address
    classes: int
    offer: OfferId
    gpus: GpuCount
    max_seconds: Seconds
    min_seconds: Seconds
    max_price: PricePerGpuHour
    min_bond_bps: Bps
    starts_at: UnixTime
    expires_at: UnixTime
    tip: TokenUnits
    opener: Address
    acceptor: Address
    arbiter: Address
    spec: Bytes32
    salt: int

    def accepts(self, gpu_class: int) -> bool:
        return bool(self.classes >> gpu_class & 1)

    def is_for_later(self, now: UnixTime) -> bool:
        """Whether opening it now would make it a term lease: nobody but an offer's own provider may do that (P-21)."""
        return self.starts_at > now

    def is_client_side(self, who: Address) -> bool:
        """Whether ``who`` may act for the client's side: the client or the acceptor."""
        return who == self.client or (self.acceptor != ZERO_ADDRESS and who == self.acceptor)


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order with the signature that makes it binding, and its id."""

    id: Bytes32
    order: Order
    signature: str
    """0x-hex, 65 bytes; ``0x`` where the client itself opens the order on the chain."""
