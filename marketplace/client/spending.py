"""What became of the money of an order: a fold over what the chain said about its lease, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from marketplace.client.lease_events import LeaseEvent
from marketplace.domain import events as e
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import Order
from marketplace.domain.pricing import lock_of
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits, UnixTime

_NO_MONEY = TokenUnits(0)

CLOSING = e.LeaseFinalized | e.LeaseTerminated | e.LeaseExpired | e.LeaseRuled | e.LeaseLapsed
"""Events that always end a lease; LeaseSettled and LeaseDeclined may, and say so."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The money of a job or an order, in token units."""

    locked: TokenUnits = _NO_MONEY
    """Still with the market: a lease is live."""
    paid: TokenUnits = _NO_MONEY
    refunded: TokenUnits = _NO_MONEY
    compensation: TokenUnits = _NO_MONEY
    """Out of providers' bonds; negative where a lost dispute cost the client its stake."""
    tips: TokenUnits = _NO_MONEY

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(TokenUnits(getattr(self, name) + getattr(other, name)) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of an order's lease."""

    offer: int
    price: PricePerGpuHour
    opened_at: UnixTime
    exit: LeaseEvent | None = None
    """The event that ended it; None while it is live."""
    paid_seconds: Seconds | None = None
    """What the exit says was paid for; None where the exit pays nothing."""


def sums_of(order: Order, moves: Iterable[LeaseEvent]) -> Sums:
    """What was paid, refunded and compensated, and what is still locked."""
    sums, tip, staked = Sums(), order.tip, 0
    for event in moves:
        if isinstance(event, e.LeaseOpened):
            tips = TokenUnits(sums.tips + tip)
            sums, tip = replace(sums, locked=lock_of(order, event.price), tips=tips), _NO_MONEY
        elif isinstance(event, e.LeaseDisputed) and event.by == order.client:
            staked = event.stake
            sums = replace(sums, locked=TokenUnits(sums.locked + staked))
        elif is_move_of_money(event):
            moved = _moved_by(event, staked)
            locked = 0 if ends_serving(event) else sums.locked - moved.paid
            sums = replace(sums, locked=TokenUnits(locked)).plus(moved)
    return sums


def _moved_by(event: LeaseEvent, staked: int) -> Sums:
    """What an event paid and gave back. A ruling gives the disputer what it staked and won, or nothing."""
    match event:
        case e.LeaseSettled() | e.LeaseFinalized() | e.LeaseTerminated() | e.LeaseLapsed():
            return Sums(paid=event.paid, refunded=event.refund)
        case e.LeaseRuled():
            won = TokenUnits(event.to_disputer - staked if staked else 0)
            return Sums(paid=event.paid, refunded=event.refund, compensation=won)
        case e.LeaseExpired():
            return Sums(refunded=event.refund, compensation=event.compensation)
        case e.LeaseDeclined():
            return Sums(refunded=event.refund)
        case _:
            return Sums()


def servings_of(moves: Iterable[LeaseEvent]) -> tuple[Opening, ...]:
    """The openings of a lease, oldest first, each with its exit."""
    found: list[Opening] = []
    for event in moves:
        if isinstance(event, e.LeaseOpened):
            found.append(Opening(event.offer, event.price, event.ref.block.timestamp))
        elif found and ends_serving(event):
            found[-1] = replace(found[-1], exit=event, paid_seconds=_paid_seconds(event))
    return tuple(found)


def exit_of(moves: Sequence[LeaseEvent]) -> LeaseEvent | None:
    """The event that closed the lease for good; None while it is live, or back on the book."""
    closing = [move for move in moves if ends_serving(move) and not is_reopening(move)]
    cancelled = [move for move in moves if isinstance(move, e.OrderCancelled) and not _is_live_before(moves, move)]
    found = closing or cancelled
    return found[-1] if found else None


def is_over(order: Order, moves: Sequence[LeaseEvent], at: UnixTime) -> bool:
    """Whether nothing more is to be expected of the order at ``at``: closed, or expired without being served."""
    servings = servings_of(moves)
    is_live = bool(servings) and not servings[-1].exit
    return exit_of(moves) is not None or (not is_live and at >= order.expires_at)


def is_move_of_money(event: LeaseEvent) -> bool:
    return ends_serving(event) or isinstance(event, e.LeaseSettled)


def ends_serving(event: LeaseEvent) -> bool:
    """Whether this event ends the serving that it is about."""
    return isinstance(event, CLOSING | e.LeaseDeclined) or (isinstance(event, e.LeaseSettled) and bool(event.last))


def is_reopening(event: LeaseEvent) -> bool:
    """Whether the order is on the book again after this event."""
    return isinstance(event, e.LeaseDeclined) and event.status == LeaseStatus.NONE


def _paid_seconds(event: LeaseEvent) -> Seconds | None:
    match event:
        case e.LeaseSettled():
            return event.used_seconds
        case e.LeaseFinalized() | e.LeaseTerminated() | e.LeaseRuled() | e.LeaseLapsed():
            return event.paid_seconds
        case _:
            return None


def _is_live_before(moves: Sequence[LeaseEvent], last: LeaseEvent) -> bool:
    servings = servings_of(event for event in moves if _place(event) < _place(last))
    return bool(servings) and not servings[-1].exit


def _place(event: LeaseEvent) -> tuple[int, int]:
    return event.ref.block.number, event.ref.log_index
