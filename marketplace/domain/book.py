"""The book: orders waiting to be served, and everything a scheduler may look at to serve them, as of one block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import Budget
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256
from marketplace.domain.ledger import Delegation, LeaseRecord
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import NEWCOMER, Reputation
from marketplace.domain.spec import JobSpec, Machine
from marketplace.domain.units import Bps, TokenUnits, UnixTime


@dataclass(frozen=True, slots=True)
class BookOrder:
    """An order on the book, with the spec that its hash stands for."""

    signed: SignedOrder
    spec: JobSpec
    accepted_at: UnixTime
    """Block time at which the gateway took it."""
    delegate: Address | None = None
    """Who signed for the client, where that was a delegate: the first such opening is charged to its budget (P-25)."""

    @property
    def id(self) -> Bytes32:
        return self.signed.id


def delegation_of(order: BookOrder) -> Delegation | None:
    """Whose budget pays for it, where a delegate signed."""
    return (order.signed.order.client, order.delegate) if order.delegate else None


@dataclass(frozen=True, slots=True)
class RefusedFill:
    """The contract refused this pair, as of this block."""

    offer: OfferId
    reason: Refusal
    block_number: int


FAULTS_KEPT_BLOCKS = 1_000
"""After so many blocks without another one, a client's faults are forgotten."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How many of this scheduler's fills a client has spoilt in a row: refused for want of its money or its authority."""

    count: int
    block_number: int
    """Of the last one."""

    def is_recent(self, block_number: int) -> bool:
        return block_number - self.block_number < FAULTS_KEPT_BLOCKS


def faults_after(past: Faults | None, block_number: int) -> Faults:
    """One fault more; the first one again where the last was long ago."""
    count = past.count if past and past.is_recent(block_number) else 0
    return Faults(count + 1, block_number)


@dataclass(frozen=True, slots=True)
class BookView:
    """The projection at one block. Rows are those of the chain (``ledger``); the rest is what providers and clients told us."""

    block: BlockRef
    orders: tuple[BookOrder, ...]
    offers: tuple[Offer, ...]
    accounts: Mapping[Address, TokenUnits]
    leases: Mapping[Bytes32, LeaseRecord]
    """Live leases, and the records of the orders on the book."""
    machines: Mapping[Sha256, Machine]
    heartbeats: Mapping[Address, UnixTime]
    """Block time of each provider's last sign of life."""
    refused: Mapping[Bytes32, tuple[RefusedFill, ...]] = field(default_factory=dict)
    budgets: Mapping[Delegation, Budget] = field(default_factory=dict)
    """Of the delegates who signed orders on the book."""
    reputations: Mapping[Address, Reputation] = field(default_factory=dict)
    """Of the providers whose leases have had an outcome; the others are newcomers. A company has its owner's."""
    faults: Mapping[Address, Faults] = field(default_factory=dict)
    """Of the clients whose orders cost us gas for nothing lately."""

    def reliability_of(self, provider: Address) -> Bps:
        """The provider's score as of this block: what ``min_reliability_bps`` is compared with, here and everywhere."""
        return self.reputations.get(provider, NEWCOMER).score_bps(self.block.timestamp)


class RejectionReason(StrEnum):
    """Why an order was not placed in a round: the contract's reasons by their own names, and the scheduler's own."""

    BAD_SIGNATURE = "BadSignature"
    OVER_BUDGET = "OverBudget"
    ORDER_EXPIRED = "OrderExpired"
    ORDER_LIVE = "OrderLive"
    ORDER_CLOSED = "OrderClosed"
    OPENER_NOT_ALLOWED = "OpenerNotAllowed"
    TIP_WITHOUT_OPENER = "TipWithoutOpener"
    BAD_AMOUNTS = "BadAmounts"
    TOO_SOON = "TooSoon"
    CLASS_NOT_ACCEPTED = "ClassNotAccepted"
    WRONG_OFFER = "WrongOffer"
    OFFER_NOT_ALIVE = "OfferNotAlive"
    WRONG_ARBITER = "WrongArbiter"
    NOT_ENOUGH_GPUS = "NotEnoughGpus"
    PRICE_OUT_OF_BOUNDS = "PriceOutOfBounds"
    BOND_TOO_SMALL = "BondTooSmall"
    MIN_SECONDS_TOO_SMALL = "MinSecondsTooSmall"
    TERM_LEASE_NOT_BY_PROVIDER = "TermLeaseNotByProvider"
    CLIENT_BALANCE_TOO_LOW = "ClientBalanceTooLow"
    PROVIDER_BALANCE_TOO_LOW = "ProviderBalanceTooLow"
    NO_OFFERS = "NoOffers"
    PROVIDER_SILENT = "ProviderSilent"
    PROVIDER_EXCLUDED = "ProviderExcluded"
    WRONG_REGION = "WrongRegion"
    MACHINE_UNKNOWN = "MachineUnknown"
    NOT_ENOUGH_VRAM = "NotEnoughVram"
    NOT_ENOUGH_CPUS = "NotEnoughCpus"
    NOT_ENOUGH_MEMORY = "NotEnoughMemory"
    NOT_ENOUGH_DISK = "NotEnoughDisk"
    NETWORK_NOT_OFFERED = "NetworkNotOffered"
    """Jobs have no network on its machine, or less than the spec asks for."""
    RECENTLY_REFUSED = "RecentlyRefused"
    OUTBID = "Outbid"
    RELIABILITY_TOO_LOW = "ReliabilityTooLow"
    """Its provider's score is below what the spec asks for."""
    DECLINED_BEFORE = "DeclinedBefore"
    """Its provider has declined this very order."""
    GROUP_INCOMPLETE = "GroupIncomplete"
    GROUP_NOT_TOGETHER = "GroupNotTogether"
    ROUND_FULL = "RoundFull"
    """It could be served; the batch was full. The next round goes on."""

    @classmethod
    def of(cls, refusal: Refusal) -> RejectionReason:
        """The reason of the same name."""
        return cls(refusal.name)


MOST_OFFERS_TOLD = 16


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an order stands where it stands after a round: typed reasons with the number of offers, and the nearest miss in words."""

    order: Bytes32
    block: BlockRef
    placed_on: OfferId | None
    reasons: Mapping[RejectionReason, int]
    nearest_miss: str = ""
    offers: Mapping[RejectionReason, tuple[OfferId, ...]] = field(default_factory=dict)
    """Of each reason that is about offers, the first ``MOST_OFFERS_TOLD`` that fell for it, by number."""
