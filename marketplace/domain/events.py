"""What the market says happened. One class per event of the contract, with where in the chain it stands.

``LogRef`` makes handlers idempotent: (block hash, log index) names one event for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits, UnixTime


@dataclass(frozen=True, slots=True)
class LogRef:
    """Where an event stands."""

    block: BlockRef
    tx_hash: Bytes32
    log_index: int


@dataclass(frozen=True, slots=True)
class Event:
    """The common part of all events of the market."""

    ref: LogRef


@dataclass(frozen=True, slots=True)
class Deposited(Event):
    account: Address
    sender: Address
    amount: TokenUnits


@dataclass(frozen=True, slots=True)
class Withdrawn(Event):
    account: Address
    to: Address
    amount: TokenUnits


@dataclass(frozen=True, slots=True)
class Authorized(Event):
    account: Address
    delegate: Address
    budget: TokenUnits
    until: UnixTime


@dataclass(frozen=True, slots=True)
class BudgetSpent(Event):
    account: Address
    delegate: Address
    order: Bytes32
    left: TokenUnits


@dataclass(frozen=True, slots=True)
class OfferListed(Event):
    offer: Offer


@dataclass(frozen=True, slots=True)
class OfferRepriced(Event):
    offer: OfferId
    price: PricePerGpuHour
    expires_at: UnixTime


@dataclass(frozen=True, slots=True)
class SpvCreated(Event):
    """A company was made by its owner itself: its factory says so, which the market does not know. One that somebody else made in an
    owner's name is none of that owner's word, and no event here."""

    spv: Address
    owner: Address


@dataclass(frozen=True, slots=True)
class BatchOpened(Event):
    round: Bytes32
    opener: Address
    opened: int


@dataclass(frozen=True, slots=True)
class LeaseOpened(Event):
    lease: Bytes32
    offer: OfferId
    client: Address
    opener: Address
    price: PricePerGpuHour
    order: Order


@dataclass(frozen=True, slots=True)
class FillRefused(Event):
    order: Bytes32
    offer: OfferId
    opener: Address
    reason: Refusal


@dataclass(frozen=True, slots=True)
class SettlementRefused(Event):
    lease: Bytes32
    sender: Address
    reason: Refusal


@dataclass(frozen=True, slots=True)
class OrderCancelled(Event):
    lease: Bytes32
    by: Address


@dataclass(frozen=True, slots=True)
class LeaseSettled(Event):
    lease: Bytes32
    used_seconds: Seconds
    result: Bytes32
    last: bool
    paid: TokenUnits
    refund: TokenUnits
    bond: TokenUnits
    stake: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseClaimed(Event):
    lease: Bytes32
    used_seconds: Seconds
    result: Bytes32


@dataclass(frozen=True, slots=True)
class LeaseFinalized(Event):
    lease: Bytes32
    paid_seconds: Seconds
    paid: TokenUnits
    refund: TokenUnits
    bond: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseTerminated(Event):
    lease: Bytes32
    by: Address
    paid_seconds: Seconds
    paid: TokenUnits
    refund: TokenUnits
    bond: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseDeclined(Event):
    lease: Bytes32
    status: int
    refund: TokenUnits
    bond: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseExpired(Event):
    lease: Bytes32
    refund: TokenUnits
    compensation: TokenUnits
    bond: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseDisputed(Event):
    lease: Bytes32
    by: Address
    claimed_seconds: Seconds
    stake: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseRuled(Event):
    lease: Bytes32
    provider_at_fault: bool
    paid_seconds: Seconds
    paid: TokenUnits
    refund: TokenUnits
    to_provider: TokenUnits
    to_disputer: TokenUnits
    to_arbiter: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseLapsed(Event):
    lease: Bytes32
    paid_seconds: Seconds
    paid: TokenUnits
    refund: TokenUnits
    bond: TokenUnits
    stake: TokenUnits


@dataclass(frozen=True, slots=True)
class LeaseAssigned(Event):
    lease: Bytes32
    sender: Address
    payee: Address
