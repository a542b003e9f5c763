"""What the services answer that is no record of ``marketplace.api`` as it is: where an order stands, and whether all is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from marketplace.api.orders import OrderAnswer
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import Explanation
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import SignedOrder
from marketplace.domain.units import UnixTime
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

    def told(self, terms: MarketTerms) -> OrderAnswer:
        """As anybody is told it."""
        return OrderAnswer.of(
            self.signed, self.state.value, self.accepted_at, self.withdrawn_at, self.lease, self.explanation, self.block, terms
        )  # fmt: skip

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
