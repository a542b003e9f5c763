"""An order at work, as the contract keeps it. Field names and order are the ABI's (docs/reference/specification.md, Shapes)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from marketplace.domain.ids import OfferId
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime


class LeaseStatus(IntEnum):
    """``ComputeMarket.Status``. Derived from stored facts, never from the clock (P-11)."""

    NONE = 0
    OPEN = 1
    CLAIMED = 2
    DISPUTED = 3
    CLOSED = 4

    @property
    def is_live(self) -> bool:
        return self in LIVE_STATUSES


LIVE_STATUSES = frozenset({LeaseStatus.OPEN, LeaseStatus.CLAIMED, LeaseStatus.DISPUTED})


@dataclass(frozen=True, slots=True)
class Lease:
    """The one word that the contract keeps per order, unpacked (``leaseOf``)."""

    status: LeaseStatus
    tip_paid: bool
    no_reopen: bool
    assigned: bool
    by_acceptor: bool
    charged: bool
    """A delegate's budget was charged for the order, at this opening or an earlier one (I-7)."""
    offer: OfferId
    price: PricePerGpuHour
    opened_at: UnixTime
    paid_seconds: Seconds
    claimed_seconds: Seconds
    changed_at: UnixTime


NO_LEASE = Lease(
    LeaseStatus.NONE,
    False,
    False,
    False,
    False,
    False,
    OfferId(0),
    PricePerGpuHour(0),
    UnixTime(0),
    Seconds(0),
    Seconds(0),
    UnixTime(0),
)
