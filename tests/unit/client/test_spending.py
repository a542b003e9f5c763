"""What became of an order's money, folded from events: nothing appears, nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketplace.client.lease_events import LeaseEvent
from marketplace.client.spending import Sums, exit_of, is_over, servings_of, sums_of
from marketplace.domain.ids import ZERO_ADDRESS, Bytes32
from marketplace.domain.orders import Order
from marketplace.domain.pricing import earned_rounded_down, lock_of
from marketplace.domain.units import GpuCount, PricePerGpuHour, Seconds, UnixTime
from tests.unit.client.happened import happened

ID = Bytes32("0x" + "11" * 32)
PRICE = PricePerGpuHour(300_000)


def an_order(gpus: int = 1, max_seconds: int = 600, tip: int = 0) -> Order:
    return Order(
        ZERO_ADDRESS, 2, 0, gpus, max_seconds, 0, 400_000, 0, 0, 1_000, tip, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, ID, 1  # type: ignore[arg-type]
    )  # fmt: skip


def move(name: str, number: int, **amounts: int | str) -> LeaseEvent:
    return happened(name, ID, number, number, ID, **amounts)


def opened(number: int, price: int = PRICE) -> LeaseEvent:
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

    assert (first.exit, second.exit) == (moves[1], None)
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


STAKE = 100_000


def disputed(by: str = ZERO_ADDRESS) -> LeaseEvent:
    return move("LeaseDisputed", 2, by=by, claimed_seconds=60, stake=STAKE)


def test_a_stake_is_locked_and_comes_back_with_what_was_won_or_not_at_all() -> None:
    """The winner has its own B and the other's, less the arbiter's half; the loser has nothing (exit table)."""
    order, locked = an_order(), lock_of(an_order(), PRICE)
    terms = {"paid_seconds": 0, "paid": 0, "refund": locked}
    won = move("LeaseRuled", 3, provider_at_fault=1, to_disputer=STAKE * 3 // 2, **terms)
    lost = move("LeaseRuled", 3, provider_at_fault=0, to_disputer=0, **terms)
    lapsed = move("LeaseLapsed", 3, bond=STAKE, stake=STAKE, **terms)

    assert sums_of(order, [opened(1), disputed()]).locked == locked + STAKE
    assert sums_of(order, [opened(1), disputed(), won]) == Sums(refunded=locked, compensation=STAKE // 2)  # type: ignore[arg-type]
    assert sums_of(order, [opened(1), disputed(), lost]) == Sums(refunded=locked, compensation=-STAKE)  # type: ignore[arg-type]
    assert sums_of(order, [opened(1), disputed(), lapsed]) == Sums(refunded=locked)


def test_an_acceptors_stake_is_not_the_clients_money() -> None:
    """Who disputes stakes its own balance."""
    order, locked = an_order(), lock_of(an_order(), PRICE)
    ruled = move("LeaseRuled", 3, provider_at_fault=0, to_disputer=0, paid_seconds=0, paid=0, refund=locked)

    assert sums_of(order, [opened(1), disputed("0x" + "44" * 20)]).locked == locked
    assert sums_of(order, [opened(1), disputed("0x" + "44" * 20), ruled]) == Sums(refunded=locked)
