"""Tokens of eighteen decimals: prices are compared in ticks and paid to the last unit, cheap machines and dear ones on one market."""

from __future__ import annotations

from functools import partial

import pytest

from marketplace.domain.offers import Offer
from marketplace.domain.units import TokenUnits
from scheduler.engine.clear import clear
from scheduler.engine.tables.ticks import CAP, tick_bits_of, ticks
from tests.unit.engine.markets import PEOPLE, a_snapshot, an_offer, an_order
from tests.unit.engine.wild import refusals_of

TOKEN = 10**18
RICH = dict.fromkeys(PEOPLE, TokenUnits(10**6 * TOKEN))


def _cheap(count: int) -> list[Offer]:
    """What most offers are: five hundredths of a token."""
    return [an_offer(n, price=TOKEN // 20 + n) for n in range(1, count + 1)]


@pytest.mark.parametrize("times", [10, 100, 200])
def test_dear_machines_have_prices_of_their_own_beside_cheap_ones(times: int) -> None:
    """Two hundred times dearer than the median: the higher limit still comes first, and the other one's is the price."""
    ask = times * TOKEN // 20
    dear = an_offer(9, gpu_class=1, price=ask, gpus=1, free=1)
    orders = [an_order(f"{n}", classes=2, max_price=ask + n * TOKEN // 10 + 7) for n in range(6)]
    snapshot = a_snapshot(orders, [*_cheap(5), dear], accounts=RICH)
    (fill,) = clear(snapshot).fills
    grain = 1 << tick_bits_of(snapshot.view)

    assert fill.signed.id == orders[5].id
    assert ask + 4 * TOKEN // 10 + 7 - grain < fill.price <= ask + 4 * TOKEN // 10 + 7


def test_no_offer_makes_the_prices_of_others_coarse() -> None:
    """Somebody asks for the most that a word holds: the rest is cleared as without it."""
    huge = an_offer(99, price=2**80 - 1, provider=PEOPLE[1])
    orders = [an_order(f"{n}", max_price=TOKEN // 10 + n) for n in range(30)]
    plain, beside = (clear(a_snapshot(orders, offers, accounts=RICH)) for offers in (_cheap(5), [*_cheap(5), huge]))

    assert plain.fills == beside.fills
    assert len(plain.fills) == 20


@pytest.mark.parametrize("ask", [2**79, 10**4 * TOKEN])
def test_offers_that_nobody_could_take_make_no_prices_coarse_however_many_they_are(ask: int) -> None:
    """A hundred beside five honest ones, and an order of their own that allows such a price for the second that its client can pay."""
    attack = [an_offer(100 + n, price=ask, provider=PEOPLE[1]) for n in range(100)]
    orders = [an_order(f"{n}", max_price=TOKEN // 10 + n) for n in range(30)]
    bait = an_order("bait", client=PEOPLE[2], max_price=2**80 - 1, max_seconds=1, classes=2)
    plain, beside = (
        clear(a_snapshot([*orders, bait], offers, accounts=RICH | {PEOPLE[2]: TokenUnits(TOKEN)}))
        for offers in (_cheap(5), [*_cheap(5), *attack])
    )

    assert plain.fills == beside.fills
    assert len(plain.fills) == 20


def test_a_limit_and_an_ask_within_one_tick_are_not_taken_for_equal() -> None:
    """The contract compares them to the last unit."""
    offers = [an_offer(1, price=5 * TOKEN // 2 + 1)]
    for limit, is_placed in ((5 * TOKEN // 2, False), (5 * TOKEN // 2 + 1, True)):
        snapshot = a_snapshot([an_order(max_price=limit)], offers, accounts=RICH)
        plan = clear(snapshot)
        assert bool(plan.fills) == is_placed
        assert refusals_of(snapshot, plan.fills) == []


def test_prices_of_six_decimals_are_their_own_ticks() -> None:
    """Up to some sixty tokens an hour nothing is rounded; then a tick is finer than a millionth of the usual ask."""
    assert tick_bits_of(a_snapshot([], [an_offer(price=60_000_000)]).view) == 0
    for price in (10**8, 25 * 10**17, 2**80 - 1):
        bits = tick_bits_of(a_snapshot([], [an_offer(price=price)]).view)
        assert price >> bits > 10**6
        assert ticks(partial(iter, [255 * price]), bits)[0] < CAP
