"""The only arithmetic on money in Python; ``contracts/libraries/Metering.sol`` is its twin, and a test compares them."""

from __future__ import annotations

from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import Order
from marketplace.domain.units import (
    BPS_WHOLE,
    SECONDS_PER_HOUR,
    Bps,
    GpuCount,
    PricePerGpuHour,
    Seconds,
    TokenUnits,
    UnixTime,
)


def earned_rounded_down(price: PricePerGpuHour, gpus: GpuCount, seconds: Seconds) -> TokenUnits:
    """E(s) = floor(price * gpus * s / 3600): what s seconds earn (P-03)."""
    return TokenUnits(price * gpus * seconds // SECONDS_PER_HOUR)


def locked_rounded_up(price: PricePerGpuHour, gpus: GpuCount, max_seconds: Seconds) -> TokenUnits:
    """T = ceil(price * gpus * maxSeconds / 3600): what opening locks of the client's money (P-03)."""
    return TokenUnits(-(-price * gpus * max_seconds // SECONDS_PER_HOUR))


def bond_of(locked: TokenUnits, bond_bps: Bps, bond_floor: TokenUnits) -> TokenUnits:
    """B = max(floor(T * bondBps / 10000), BOND_FLOOR): what opening locks of the provider's money (P-04)."""
    return TokenUnits(max(locked * bond_bps // BPS_WHOLE, bond_floor))


def lock_of(order: Order, price: PricePerGpuHour) -> TokenUnits:
    """T of this order at this price."""
    return locked_rounded_up(price, order.gpus, order.max_seconds)


def worst_cost_of(order: Order) -> TokenUnits:
    """The most an order can take from the client (I-6), and what it takes from a delegate's budget, once (I-7): T at maxPrice and the tip."""
    return TokenUnits(lock_of(order, order.max_price) + order.tip)


def start_of(order: Order, lease: Lease) -> UnixTime:
    """When metering starts: at opening, or later for a term lease."""
    return UnixTime(max(lease.opened_at, order.starts_at))


def elapsed_of(order: Order, lease: Lease, at: UnixTime) -> Seconds:
    """Seconds on the meter at ``at``, between 0 and maxSeconds."""
    return Seconds(min(order.max_seconds, max(0, at - start_of(order, lease))))


def deadline_of(order: Order, lease: Lease, terms: MarketTerms) -> UnixTime:
    """From here on ``expire`` is open to anyone and ``claim`` and ``terminate`` are closed."""
    return UnixTime(start_of(order, lease) + order.max_seconds + terms.claim_grace)


def can_expire(order: Order, lease: Lease, at: UnixTime, terms: MarketTerms) -> bool:
    return lease.status is LeaseStatus.OPEN and at >= deadline_of(order, lease, terms)


def can_claim_due(order: Order, lease: Lease, at: UnixTime, terms: MarketTerms) -> bool:
    """Whether its metering is over, half of the time to claim it too, and it can still be claimed: for companies that are pledged, by anyone."""
    deadline = deadline_of(order, lease, terms)
    return lease.status is LeaseStatus.OPEN and deadline - terms.claim_grace // 2 <= at < deadline


def can_finalize(lease: Lease, at: UnixTime, terms: MarketTerms) -> bool:
    return lease.status is LeaseStatus.CLAIMED and at >= lease.changed_at + terms.challenge_window


def can_lapse(lease: Lease, at: UnixTime, terms: MarketTerms) -> bool:
    return lease.status is LeaseStatus.DISPUTED and at >= lease.changed_at + terms.ruling_window


def can_backstop(lease: Lease, at: UnixTime, terms: MarketTerms, step: Seconds) -> bool:
    """Whether the time of a panel that leaves ``step`` of the ruling window to its backstop is over, and the window is not (A-1)."""
    end = lease.changed_at + terms.ruling_window
    return lease.status is LeaseStatus.DISPUTED and end - step <= at < end
