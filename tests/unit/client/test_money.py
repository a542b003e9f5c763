"""What became of an order's money, folded from events: nothing appears, nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketplace.client.jobbook import Move
from marketplace.client.money import Sums, exit_of, is_over, servings_of, sums_of
from marketplace.domain.ids import ZERO_ADDRESS, Bytes32
from marketplace.domain.models import Order
from marketplace.domain.pricing import earned_rounded_down, lock_of
from marketplace.domain.units import GpuCount, PricePerGpuHour, Seconds, UnixTime

ID = Bytes32("0x" + "11" * 32)
PRICE = PricePerGpuHour(300_000)


def an_order(gpus: int = 1, max_seconds: int = 600, tip: int = 0) -> Order:
    return Order(
        ZERO_ADDRESS, 2, 0, gpus, max_seconds, 0, 400_000, 0, 0, 1_000, tip, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, ID, 1  # type: ignore[arg-type]
    )  # fmt: skip


def move(name: str, number: int, **amounts: int | str) -> Move:
    return Move(ID, number, number, ID, name, UnixTime(number), dict(amounts))


def opened(number: int, price: int = PRICE) -> Move:
    return move("LeaseOpened", number, offer=number, price=price)


@given(
    price=st.integers(1, 2**80 - 1), gpus=st.integers(1, 2**16 - 1), used=st.integers(0, 2**20), more=st.integers(0, 2**20)
)  # fmt: skip
def test_a_settled_lease_leaves_nothing_locked(price: int, gpus: int, used: int, more: int) -> None:
    """paid + refunded = T, whatever the numbers (I-2)."""
    order = an_order(gpus, used + more + 1)
    locked = lock_of(order, PricePerGpuHour(price))
    paid = earned_rounded_down(PricePerGpuHour(price), GpuCount(gpus), Seconds(used))
    settled = move(
        "LeaseSettled", 2, used_seconds=used, result=ID, last=1, paid=paid, refund=locked - paid, bond=0, stake=0
    )

    sums = sums_of(order, [opened(1, price), settled])

    assert sums == Sums(paid=paid, refunded=locked - paid)  # type: ignore[arg-type]


def test_progress_lowers_what_is_locked() -> None:
    """A progress receipt pays and does not close."""
    order = an_order()
    progress = move("LeaseSettled", 2, used_seconds=60, result=ID, last=0, paid=5_000, refund=0, bond=0, stake=0)

    sums = sums_of(order, [opened(1), progress])

    assert (sums.paid, sums.locked) == (5_000, lock_of(order, PRICE) - 5_000)
    assert exit_of([opened(1), progress]) is None


def test_the_tip_is_paid_once() -> None:
    """At the first opening only (P-24)."""
    order = an_order(tip=7)
    declined = move("LeaseDeclined", 2, status=0, refund=lock_of(order, PRICE), bond=1)

    sums = sums_of(order, [opened(1), declined, opened(3)])

    assert sums.tips == 7
    assert sums.refunded == sums.locked == lock_of(order, PRICE)


def test_a_decline_ends_a_serving_and_not_the_order() -> None:
    """The order is on the book again; each serving keeps its own exit."""
    moves = [opened(1), move("LeaseDeclined", 2, status=0, refund=1, bond=1), opened(3)]

    first, second = servings_of(moves)

    assert (first.exit, second.exit) == ("LeaseDeclined", "")
    assert exit_of(moves) is None
    assert not is_over(an_order(), moves, UnixTime(5_000))


def test_compensation_is_counted_apart() -> None:
    """Out of the provider's bond, beside the refund."""
    expired = move("LeaseExpired", 2, refund=50_000, compensation=50_000, bond=50_000)

    sums = sums_of(an_order(), [opened(1), expired])

    assert (sums.refunded, sums.compensation, sums.paid, sums.locked) == (50_000, 50_000, 0, 0)


def test_an_order_that_was_never_opened_is_over_when_it_expires() -> None:
    """Or as soon as it is cancelled."""
    order = an_order()

    assert not is_over(order, [], UnixTime(999))
    assert is_over(order, [], UnixTime(1_000))
    assert is_over(order, [move("OrderCancelled", 1, by=ZERO_ADDRESS)], UnixTime(1))


def test_cancelling_a_live_lease_ends_nothing() -> None:
    """It only forbids opening it again."""
    moves = [opened(1), move("OrderCancelled", 2, by=ZERO_ADDRESS)]

    assert exit_of(moves) is None
    assert not is_over(an_order(), moves, UnixTime(5_000))
