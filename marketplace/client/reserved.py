"""Where a client's reservations stand: what was ordered, and what the chain says of it at one block."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marketplace.client.job import Job
from marketplace.client.session import ClientSession
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.orders import Order
from marketplace.domain.pricing import earned_rounded_down, elapsed_of
from marketplace.domain.units import Seconds, TokenUnits, UnixTime


class ReservationState(StrEnum):
    """How far a reservation has come."""

    WAITING = "waiting"
    """No provider has opened it yet; nothing is locked."""
    RESERVED = "reserved"
    """Opened, and not begun: the GPUs are held, and all of the money is locked."""
    RUNNING = "running"
    CLAIMED = "claimed"
    DISPUTED = "disputed"
    OVER = "over"


def state_of(order: Order, lease: Lease, now: UnixTime) -> ReservationState:
    """By the chain's word at block time ``now``; pure."""
    match lease.status:
        case LeaseStatus.CLAIMED:
            return ReservationState.CLAIMED
        case LeaseStatus.DISPUTED:
            return ReservationState.DISPUTED
        case LeaseStatus.OPEN:
            return ReservationState.RESERVED if order.is_for_later(now) else ReservationState.RUNNING
        case LeaseStatus.NONE if now < order.expires_at:
            return ReservationState.WAITING
        case _:
            return ReservationState.OVER


@dataclass(frozen=True, slots=True)
class ReservationStanding:
    """One reservation at one block."""

    job: Job
    order: Order
    lease: Lease
    state: ReservationState
    provider: Address | None
    """Who opened it; None before."""
    upfront_seconds: Seconds
    ending_costs: TokenUnits
    """What is paid for it in all if it is ended at this block; 0 where nothing is open. What was paid already is part of that."""

    @property
    def ends_at(self) -> UnixTime:
        """When its term is over."""
        return UnixTime(self.order.starts_at + self.order.max_seconds)

    @property
    def guaranteed(self) -> TokenUnits:
        """What ending it costs at least: at its price, or, before it is opened, at the highest one."""
        price = self.lease.price if self.lease.status is not LeaseStatus.NONE else self.order.max_price
        return earned_rounded_down(price, self.order.gpus, self.order.min_seconds)

    @property
    def paid(self) -> TokenUnits:
        """What was paid for it so far; never comes back."""
        return earned_rounded_down(self.lease.price, self.order.gpus, self.lease.paid_seconds)


def reservations_of(session: ClientSession, jobs: tuple[Job, ...], block: BlockRef) -> tuple[ReservationStanding, ...]:
    """Those of the jobs that are reservations. Raises ChainUnavailable."""
    reserved = [job for job in jobs if job.signed.starts_at]
    leases = session.market.leases_of([job.kept.job.order for job in reserved], block)
    return tuple(_reservation(session, job, leases[job.kept.job.order], block) for job in reserved)


def _reservation(session: ClientSession, job: Job, lease: Lease, block: BlockRef) -> ReservationStanding:
    order = job.signed
    provider = session.provider_of(lease.offer) if lease.offer else None
    return ReservationStanding(
        job, order, lease, state_of(order, lease, block.timestamp), provider, job.kept.terms.upfront_seconds,
        _ending_costs(order, lease, block.timestamp),
    )  # fmt: skip


def _ending_costs(order: Order, lease: Lease, now: UnixTime) -> TokenUnits:
    """E(max(elapsed, minSeconds, paidSeconds)), as ``terminate`` pays."""
    if lease.status is not LeaseStatus.OPEN:
        return TokenUnits(0)
    seconds = Seconds(max(elapsed_of(order, lease, now), order.min_seconds, lease.paid_seconds))
    return earned_rounded_down(lease.price, order.gpus, seconds)


def is_prepaid(session: ClientSession, job: Job) -> bool:
    """Whether a gateway has our signature under what was promised up front; so, too, where nothing was."""
    promised, lease = job.kept.terms.upfront_seconds, session.market.lease_of(job.kept.job.order)
    signed = session.book.instalments.newest(job.kept.job.order, lease.opened_at)
    return not promised or (signed is not None and signed.is_posted and signed.receipt.used_seconds >= promised)
