"""What both sides sign about the seconds of a serving, and how it comes to the contract. Field names and order are the ABI's (docs/reference/specification.md, Shapes)."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.ids import Bytes32, OfferId
from marketplace.domain.orders import Order
from marketplace.domain.units import Seconds, UnixTime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What both sides sign about one serving of a lease (EIP-712 type ``Receipt``). ``used_seconds`` is cumulative."""

    lease: Bytes32
    offer: OfferId
    opened_at: UnixTime
    used_seconds: Seconds
    result: Bytes32
    last: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """A receipt on its way to the contract, with the signatures of both sides (``0x`` where the sender is that side)."""

    order: Order
    used_seconds: Seconds
    result: Bytes32
    last: bool
    client_signature: str
    provider_signature: str
