"""What became of the money of an order: a fold over what the chain said about its lease, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from marketplace.client.moves import Move
from marketplace.domain.models import LeaseStatus, Order
from marketplace.domain.pricing import lock_of
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits, UnixTime

_NO_MONEY = TokenUnits(0)

CLOSING = frozenset({"LeaseFinalized", "LeaseTerminated", "LeaseExpired", "LeaseRuled", "LeaseLapsed"})
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
    exit: str = ""
    """The event that ended it; empty while it is live."""
    paid_seconds: Seconds | None = None
    """What the exit says was paid for; None where the exit pays nothing."""


def sums_of(order: Order, moves: Iterable[Move]) -> Sums:
    """What was paid, refunded and compensated, and what is still locked."""
    sums, tip, staked = Sums(), order.tip, 0
    for move in moves:
        if move.name == "LeaseOpened":
            sums, tip = (
                replace(sums, locked=lock_of(order, _price(move)), tips=TokenUnits(sums.tips + tip)),
                TokenUnits(0),
            )
        elif move.name == "LeaseDisputed" and move.amounts["by"] == order.client:
            staked = _amount(move, "stake")
            sums = replace(sums, locked=TokenUnits(sums.locked + staked))
        elif is_move_of_money(move):
            paid, refund = _amount(move, "paid"), _amount(move, "refund")
            locked = 0 if ends_serving(move) else sums.locked - paid
            won = _amount(move, "to_disputer") - staked if move.name == "LeaseRuled" and staked else 0
            moved = Sums(TokenUnits(0), paid, refund, TokenUnits(_amount(move, "compensation") + won))
            sums = replace(sums, locked=TokenUnits(locked)).plus(moved)
    return sums


def servings_of(moves: Iterable[Move]) -> tuple[Opening, ...]:
    """The openings of a lease, oldest first, each with its exit."""
    found: list[Opening] = []
    for move in moves:
        if move.name == "LeaseOpened":
            found.append(Opening(int(move.amounts["offer"]), _price(move), move.at))
        elif found and ends_serving(move):
            seconds = move.amounts.get("paid_seconds", move.amounts.get("used_seconds"))
            found[-1] = replace(
                found[-1], exit=move.name, paid_seconds=None if seconds is None else Seconds(int(seconds))
            )
    return tuple(found)


def exit_of(moves: Sequence[Move]) -> Move | None:
    """The event that closed the lease for good; None while it is live, or back on the book."""
    closing = [move for move in moves if ends_serving(move) and not is_reopening(move)]
    cancelled = [move for move in moves if move.name == "OrderCancelled" and not _is_live_before(moves, move)]
    found = closing or cancelled
    return found[-1] if found else None


def is_over(order: Order, moves: Sequence[Move], at: UnixTime) -> bool:
    """Whether nothing more is to be expected of the order at ``at``: closed, or expired without being served."""
    servings = servings_of(moves)
    is_live = bool(servings) and not servings[-1].exit
    return exit_of(moves) is not None or (not is_live and at >= order.expires_at)


def is_move_of_money(move: Move) -> bool:
    return ends_serving(move) or move.name == "LeaseSettled"


def ends_serving(move: Move) -> bool:
    """Whether this event ends the serving that it is about."""
    return (
        move.name in CLOSING
        or move.name == "LeaseDeclined"
        or (move.name == "LeaseSettled" and bool(move.amounts["last"]))
    )


def is_reopening(move: Move) -> bool:
    """Whether the order is on the book again after this event."""
    return move.name == "LeaseDeclined" and move.amounts["status"] == LeaseStatus.NONE


def _is_live_before(moves: Sequence[Move], last: Move) -> bool:
    before = [move for move in moves if (move.number, move.log_index) < (last.number, last.log_index)]
    servings = servings_of(before)
    return bool(servings) and not servings[-1].exit


def _price(move: Move) -> PricePerGpuHour:
    return PricePerGpuHour(int(move.amounts["price"]))


def _amount(move: Move, name: str) -> TokenUnits:
    return TokenUnits(int(move.amounts.get(name, 0)))
