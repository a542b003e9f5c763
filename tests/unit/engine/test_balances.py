"""Who can surely pay, told in ticks, against the same in exact units: never wrongly yes, and wrongly no by hardly more than rounding."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from marketplace.domain.book import BookOrder
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import bond_of, locked_rounded_up
from marketplace.domain.units import BPS_WHOLE, PricePerGpuHour, TokenUnits
from scheduler.engine.arrays import Bools, Ints
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.funds.balances import Balances, Remaining
from scheduler.engine.tables.columns import HUGE_TIP, ColumnReader, Columns
from scheduler.engine.tables.ticks import CAP, MOST_MONEY
from tests.unit.engine.markets import OPENER, PEOPLE, TERMS, a_snapshot, an_offer, an_order

WHO = (*PEOPLE[:3], OPENER)
"""Few, so that most have several roles."""
HUGE_WORK = 1 << 31
SLACK = 3
"""Ticks by which a fill may be overrated for one account: its lock, its tip or bond, and a balance are rounded."""


@dataclass(frozen=True)
class Case:
    """Fills as the columns tell them: orders on offers, at prices in ticks."""

    snapshot: Snapshot
    columns: Columns
    rows: Ints
    offers: Ints
    price: Ints

    @property
    def balances(self) -> Balances:
        return Balances(self.remaining, self.columns, self.snapshot.terms.bond_floor)

    @property
    def remaining(self) -> Remaining:
        return Remaining(self.snapshot)

    @property
    def fills(self) -> list[tuple[BookOrder, Offer, int]]:
        places = zip(self.rows.tolist(), self.offers.tolist(), self.price.tolist(), strict=True)
        return [(self.columns.book[row], self.columns.listings[offer], price) for row, offer, price in places]

    def with_money(self, accounts: dict[Address, TokenUnits]) -> Case:
        snapshot = replace(self.snapshot, view=replace(self.snapshot.view, accounts=accounts))
        return replace(self, snapshot=snapshot, columns=ColumnReader().columns(snapshot.view))

    def may_lack(self) -> Bools:
        columns = self.columns
        return self.balances.may_lack(columns.orders.at(self.rows), columns.offers.at(self.offers), self.price)

    def cost(self, order: BookOrder, price: int, more: int = -1) -> int:
        """In units, at the highest price that is so many ticks; and at one unit above it with ``more`` of 0."""
        exact = (price + 1 << self.columns.tick_bits) + more if price < CAP else 2**80 - 1
        asked = order.signed.order
        return locked_rounded_up(PricePerGpuHour(exact), asked.gpus, asked.max_seconds)

    def sums(self, more: int = -1) -> Counter[Address]:
        """What each account spends on all fills, in units."""
        spent = Counter[Address]()
        for order, offer, price in self.fills:
            locked = TokenUnits(self.cost(order, price, more))
            spent[order.signed.order.client] += locked + order.signed.order.tip
            spent[offer.provider] += bond_of(locked, offer.bond_bps, self.snapshot.terms.bond_floor)
        return spent


@pytest.mark.parametrize("seed", range(400))
def test_who_surely_has_enough_has_enough(seed: int) -> None:
    """For all of its fills together, whatever of them the contract takes first."""
    case = _case(random.Random(seed))
    spent, left = case.sums(), case.remaining
    short = {who for who, units in spent.items() if units > left.balance_of(who)}
    surely = [fill for fill, may_lack in zip(case.fills, case.may_lack().tolist(), strict=True) if not may_lack]

    assert not short & set(_accounts(surely))


@pytest.mark.parametrize("seed", range(400))
def test_who_may_lack_money_has_hardly_enough_or_is_beyond_what_columns_tell(seed: int) -> None:
    """Enough but for the rounding; or one of its fills is too large to be added up, or all of them are together."""
    case = _case(random.Random(seed))
    bits, left, most = case.columns.tick_bits, case.remaining, case.sums(0)
    count = Counter(who for fill in case.fills for who in _accounts([fill]))
    huge = {who for fill in case.fills if _is_huge(fill, bits) for who in _accounts([fill])}
    near = {
        who
        for who in count
        if most[who] + (SLACK * count[who] + 1 << bits) > min(left.balance_of(who), MOST_MONEY << bits)
    }
    doubtful = [fill for fill, may_lack in zip(case.fills, case.may_lack().tolist(), strict=True) if may_lack]

    assert [fill for fill in doubtful if not (huge | near).intersection(_accounts([fill]))] == []


@pytest.mark.parametrize("seed", range(200))
def test_an_order_that_can_surely_be_paid_by_itself_can_be(seed: int) -> None:
    """And one that cannot is one for which there is hardly enough, or too large to tell."""
    case = _case(random.Random(seed))
    bits, left = case.columns.tick_bits, case.remaining
    cannot = case.balances.cannot_surely_pay(case.columns.orders.at(case.rows), case.price)
    for (order, offer, price), is_doubtful in zip(case.fills, cannot.tolist(), strict=True):
        has, tip = left.balance_of(order.signed.order.client), order.signed.order.tip
        if is_doubtful:
            is_near = case.cost(order, price, 0) + tip + (SLACK << bits) > min(has, MOST_MONEY << bits)
            assert is_near or _is_huge((order, offer, price), bits)
        else:
            assert case.cost(order, price) + tip <= has


def test_the_cases_are_hard() -> None:
    """Both answers are given often, also to those who lack or have a little; ticks are of many sizes; and something is beyond all bounds."""
    cases = [_case(random.Random(seed)) for seed in range(400)]
    answers = [may_lack for case in cases for may_lack in case.may_lack().tolist()]
    margins = [
        (case.remaining.balance_of(who) - units) / units
        for case in cases
        for who, units in case.sums().items()
        if units
    ]

    assert 0.2 < sum(answers) / len(answers) < 0.8
    assert sum(-1e-6 < margin < 0 for margin in margins) > 100
    assert sum(0 <= margin < 1e-6 for margin in margins) > 50
    assert len({case.columns.tick_bits for case in cases}) > 10
    assert any(_is_huge(fill, case.columns.tick_bits) for case in cases for fill in case.fills)


def _accounts(fills: Iterable[tuple[BookOrder, Offer, int]]) -> list[Address]:
    return [who for order, offer, _ in fills for who in {order.signed.order.client, offer.provider}]


def _is_huge(fill: tuple[BookOrder, Offer, int], bits: int) -> bool:
    """More than the columns tell (``money._locked``)."""
    order, _, price = fill
    asked = order.signed.order
    work = asked.gpus * asked.max_seconds
    return (
        work >= HUGE_WORK
        or (price + 1) * work // 3_600 + 1 >= HUGE_TIP
        or asked.tip >> bits >= HUGE_TIP - 1
        or price >= CAP
    )


# What is drawn --------------------------------------------------------------------------------------------------------


def _case(draw: random.Random) -> Case:
    """Up to eight fills of four accounts, which have about what they spend, or anything."""
    scale = draw.choice([0, 0, draw.randrange(50)])
    is_wild = draw.random() < 0.3
    clients, providers = draw.choice([WHO, WHO[:1]]), draw.choice([WHO, WHO[1:2]])
    orders = [_order(draw, n, scale, draw.choice(clients), is_wild=is_wild) for n in range(draw.randint(1, 8))]
    offers = [
        an_offer(
            n + 1, provider=draw.choice(providers), bond_bps=draw.choice([0, 1_000, BPS_WHOLE]), price=2**24 + n << scale,
            gpus=65_535, free=65_535,
        )
        for n in range(3)
    ]  # fmt: skip
    floor = draw.choice([0, 1, 10**5, 10**5 << scale, _hardly(10**4, scale), 2**200 if is_wild else 7])
    posted = [Fill(an_order("posted", client=draw.choice(WHO)).signed, offers[0].id, offers[0].price)]
    snapshot = a_snapshot(orders, offers, accounts={}, posted=tuple(posted[: draw.choice([0, 0, 1])]))
    snapshot = replace(snapshot, terms=replace(TERMS, bond_floor=TokenUnits(floor)))
    columns = ColumnReader().columns(snapshot.view)
    rows, at = draw.sample(range(len(orders)), len(orders)), [draw.randrange(3) for _ in orders]
    limits = columns.orders["limit"][rows].tolist()
    price = [
        draw.choice([limit, max(0, limit - 1), draw.randint(0, limit), draw.randint(0, min(limit, 999))])
        for limit in limits
    ]
    case = Case(snapshot, columns, *(np.array(column, np.int64) for column in (rows, at, price)))
    return case.with_money(_money(draw, case))


def _hardly(ticks: int, scale: int) -> int:
    """One unit less than so many ticks: what rounding down loses most of."""
    return (ticks << scale + 3) - 1


def _order(draw: random.Random, number: int, scale: int, client: Address, *, is_wild: bool) -> BookOrder:
    gpus, seconds, price, tip = (
        draw.choice([1, 8]),
        draw.choice([1, 3_600, 86_400]),
        2**26 << scale,
        draw.choice([10**6 << scale, _hardly(10**5, scale)]),
    )
    if is_wild or draw.random() < 0.1:
        gpus = draw.choice([gpus, 65_535, 1 << draw.randrange(16)])
        seconds = draw.choice([seconds, 2**32 - 1, HUGE_WORK // gpus, HUGE_WORK // gpus - 1, 1 << draw.randrange(32)])
        price = draw.choice([price, 2**80 - 1, (CAP << scale) + draw.randint(-2, 2)])
        tip = draw.choice([tip, 2**96 - 1, (HUGE_TIP << scale) + draw.randint(-2, 2), 1])
    changes: dict[str, Any] = {"gpus": gpus, "max_seconds": min(seconds, 2**32 - 1), "max_price": min(price, 2**80 - 1)}
    return an_order(f"{number}", client=client, tip=TokenUnits(draw.choice([0, tip])), opener=OPENER, **changes)


def _money(draw: random.Random, case: Case) -> dict[Address, TokenUnits]:
    """What each spends, and a little more or less, counting what it has spent already; or nothing, or more than can be told.

    In many cases all are rich but one, who lacks a little or much.
    """
    bits, spent, left = case.columns.tick_bits, case.sums(), case.remaining
    money, poor, is_rich = dict[Address, TokenUnits](), draw.choice([None, *WHO]), draw.random() < 0.6
    for who in WHO:
        needs = max(0, spent[who] - left.balance_of(who))
        ticks = draw.randint(9, 40) if is_rich else draw.randint(-4, 4)
        about = needs + (ticks << bits) + draw.choice([-1, 0, 0, 1])
        far = (MOST_MONEY << bits) + draw.choice([-1, 0, 1, 2**200, 10 << bits, -10 << bits])
        units = draw.choice([about] * 5 + [2 * about, 2 * about, far, *([] if is_rich else [0])])
        short = draw.choice([1, 1, draw.randint(1, 3 << bits), needs // 2])
        money[who] = TokenUnits(max(0, needs - short if who == poor else 2 * about if poor else units))
    return money
