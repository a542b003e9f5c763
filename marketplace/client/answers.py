"""What the gateway says, as frozen values. Hints all of them: what decides about money is read from the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marketplace.domain.ids import Address, Bytes32, Sha256
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.models import BlockRef, MarketTerms, Offer, Order, Receipt
from marketplace.domain.reputation import Reputation
from marketplace.domain.results import Result
from marketplace.domain.spec import Machine
from marketplace.domain.units import Bps, TokenUnits, UnixTime


@dataclass(frozen=True, slots=True)
class MarketDescription:
    """``GET /v1/market``: which market this gateway serves, and whom it works with. Compared with the client's own choice, never signed."""

    terms: MarketTerms
    catalogue: Address
    opener: Address
    """The scheduler's address: name it in an order, and nobody else may open it (P-22)."""
    arbiter: Address
    block: BlockRef


@dataclass(frozen=True, slots=True)
class OrderAnswer:
    """``GET /v1/orders/{id}``: an order that the gateway keeps, and where it stands."""

    id: Bytes32
    order: Order
    state: str
    """The gateway's word for it, e.g. ``book``, ``open``, ``closed``, ``withdrawn``; for display only."""
    withdrawn: bool
    accepted_at: UnixTime
    """Block time at which the gateway took it."""


@dataclass(frozen=True, slots=True)
class OfferAnswer:
    """An offer, with what its provider says about the machine, when it last gave a sign of life, and its score."""

    offer: Offer
    class_name: str
    machine: Machine | None
    last_heartbeat: UnixTime | None
    reliability_bps: Bps


@dataclass(frozen=True, slots=True)
class Quote:
    """One offer's answer to the question what a job would cost there: a price, or the reason why not."""

    offer: Offer
    class_name: str
    locked: TokenUnits | None
    """T at the offer's price; None where it cannot serve."""
    bond: TokenUnits | None
    reason: str
    """Empty where the offer can serve; otherwise the name of the refusal or rejection."""
    detail: str

    @property
    def can_serve(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """``GET /v1/leases/{id}``: the projection's row, with the provider's last sign of life."""

    record: LeaseRecord
    block: BlockRef
    last_heartbeat: UnixTime | None
    deadline: UnixTime | None


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt as one side posted it; the signature is still to be checked."""

    role: str
    """``provider`` or ``client``."""
    receipt: Receipt
    signature: str


@dataclass(frozen=True, slots=True)
class Outputs:
    """The provider's result document for a lease, exactly as it was posted, and parsed."""

    content: bytes
    result: Result


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of a job's log, and where in the log it starts and ends (bytes)."""

    offset: int
    text: str
    next_offset: int


@dataclass(frozen=True, slots=True)
class AccountAnswer:
    """``GET /v1/accounts/{address}``: the projection's row."""

    address: Address
    free: TokenUnits
    block: BlockRef | None


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """``GET /v1/providers/{address}``: its offers, and what its leases came to, aged to the block."""

    address: Address
    offers: tuple[OfferAnswer, ...]
    live_leases: int
    last_heartbeat: UnixTime | None
    reputation: Reputation
    block: BlockRef


@dataclass(frozen=True, slots=True)
class ExplanationAnswer:
    """Why an order stands where it stands after the last round."""

    order: Bytes32
    placed_on: int | None
    reasons: Mapping[str, int]
    nearest_miss: str
    document: Mapping[str, Any]
    """The answer as it came, for ``--json``."""


@dataclass(frozen=True, slots=True)
class RoundEntry:
    """A round in the gateway's list."""

    round: Bytes32
    block_number: int
    """Of its snapshot."""
    bytes: int


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A file at the gateway: its name is its sha256."""

    sha256: Sha256
    bytes: int
