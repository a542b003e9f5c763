"""What the services answer, as frozen values; the gateway writes them down, nothing else about them is HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from marketplace.domain.book import Explanation
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.models import BlockRef, GpuClass, Lease, LeaseStatus, Offer, Receipt, SignedOrder
from marketplace.domain.reputation import Reputation
from marketplace.domain.results import Result
from marketplace.domain.spec import Machine
from marketplace.domain.units import Bps, GpuSeconds, PricePerGpuHour, TokenUnits, UnixTime
from marketplace.services.checks import CheckOutcome, reasons_of


class OrderState(StrEnum):
    """Where an order stands: derived from the chain's word, the journal and the block time, never stored (P-11)."""

    BOOK = "book"
    """A scheduler may open it."""
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    OPEN = "open"
    CLAIMED = "claimed"
    DISPUTED = "disputed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class OrderStanding:
    """An order of the journal, and where it stands as of ``block``."""

    signed: SignedOrder
    accepted_at: UnixTime
    withdrawn_at: UnixTime | None
    block: BlockRef
    lease: Lease
    explanation: Explanation | None = None
    """What the last round said; None before the first, and when Redis forgot."""

    @property
    def state(self) -> OrderState:
        if self.lease.status is not LeaseStatus.NONE:
            return OrderState(self.lease.status.name.lower())
        if self.lease.no_reopen:
            return OrderState.CLOSED
        if self.withdrawn_at is not None:
            return OrderState.WITHDRAWN
        return OrderState.EXPIRED if self.block.timestamp >= self.signed.order.expires_at else OrderState.BOOK


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that is in the journal, and whether this request put it there."""

    standing: OrderStanding
    is_new: bool


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer, what its provider says about the machine, the provider's last sign of life (block time), and its score."""

    offer: Offer
    gpu_class: GpuClass | None
    machine: Machine | None
    last_heartbeat: UnixTime | None
    reliability_bps: Bps


@dataclass(frozen=True, slots=True)
class OfferPage:
    """Offers in the order of their ids, as of one block, and the id to go on after; None at the end."""

    block: BlockRef
    rows: tuple[OfferRow, ...]
    after: OfferId | None


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """One offer's answer to a request: what it would lock of both sides' money, or the reason why it cannot serve."""

    row: OfferRow
    locked: TokenUnits
    """T at the offer's price (P-03)."""
    bond: TokenUnits
    """B (P-04)."""
    reason: str = ""
    """Empty where the offer can serve; else the name of the refusal or rejection."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as of ``block``, when it falls to ``expire``, and the provider's last sign of life."""

    record: LeaseRecord
    block: BlockRef
    deadline: UnixTime | None
    """None where the order is not known, or the lease was never opened."""
    last_heartbeat: UnixTime | None


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A receipt with the signature of one side, as the journal holds it. The signature was checked when it came in."""

    role: str
    """``provider`` or ``client``."""
    receipt: Receipt
    signature: str
    at: UnixTime


@dataclass(frozen=True, slots=True)
class Outputs:
    """The provider's result document for a lease, and which of the blobs that it names are here."""

    lease: Bytes32
    sha256: Sha256
    result: Result
    present: frozenset[Sha256]

    @property
    def named(self) -> frozenset[Sha256]:
        """The blobs that the document names."""
        return frozenset(self.result.blobs())


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as of ``block``. ``free`` is what it can withdraw; ``locked`` is what live leases hold of it."""

    address: Address
    block: BlockRef
    free: TokenUnits
    locked: TokenUnits | None
    """None while the projection is being rebuilt."""
    live_leases: tuple[Bytes32, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderView:
    """What there is to know about a provider: its offers, its last sign of life, and what its leases came to, aged to the block."""

    address: Address
    block: BlockRef
    offers: tuple[OfferRow, ...]
    live_leases: int
    last_heartbeat: UnixTime | None
    reputation: Reputation


@dataclass(frozen=True, slots=True)
class SignedBeat:
    """A provider's sign of life: the block time that it signed (``chain.requests.heartbeat_text``), and the signature."""

    provider: Address
    offer: OfferId
    """One that it has on the market, so that who reads can ask the chain whether it is a provider; 0: none now."""
    at: UnixTime
    signature: str


@dataclass(frozen=True, slots=True)
class BookSide:
    """One class's side of the market: the asks, cheapest first, and the orders that would take this class, best first."""

    gpu_class: GpuClass
    block: BlockRef
    asks: tuple[OfferRow, ...]
    bids: tuple[SignedOrder, ...]


@dataclass(frozen=True, slots=True)
class ClassPrice:
    """What a class costs: the contract's own cumulative volume, and the cheapest living ask.

    Informational: self-trading moves the volume for the price of gas (protocol, Views).
    """

    gpu_class: GpuClass
    block: BlockRef
    paid: TokenUnits
    gpu_seconds: GpuSeconds
    lowest_ask: PricePerGpuHour | None
    gpus_free: int

    @property
    def average_rounded_down(self) -> PricePerGpuHour | None:
        """Token units per GPU-hour over all time; None before the first payment."""
        return PricePerGpuHour(self.paid * 3600 // self.gpu_seconds) if self.gpu_seconds else None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether everything behind the gateway that a duty needs does its work; ``reasons`` says what does not, by name."""

    findings: tuple[CheckOutcome, ...]
    head: BlockRef | None
    """None where the duty does not need the chain, or the chain is not well; the projection likewise."""
    projection: BlockRef | None

    @property
    def reasons(self) -> Mapping[str, str]:
        return reasons_of(self.findings)


@dataclass(frozen=True, slots=True)
class Stored:
    """The answer to a write that was seen before under the same Idempotency-Key."""

    status: int
    body: bytes
