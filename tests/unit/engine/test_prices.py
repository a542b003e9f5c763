"""What fills pay: by whom a price is made, who pays it alike, and that nobody loses by a round."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from marketplace.domain.ids import ClassNumber, bytes32_of
from marketplace.domain.offers import Offer
from marketplace.domain.policy import Policy
from marketplace.domain.pricing import lock_of
from marketplace.domain.units import PricePerGpuHour, Seconds
from scheduler.engine.arrays import NEVER
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.columns import Columns, columns_of
from scripts.bench.duals import Tiers, tiers_of
from scripts.bench.generators import Trace, Uniform
from tests.unit.engine.markets import DOLLAR, FAR_MACHINE, a_snapshot, an_offer, an_order, snapshots

PATIENT = Policy(patience_seconds=Seconds(10**9))
"""No overdue orders: they pay the prices that the others make."""
SMALL: dict[str, Uniform] = {
    "even": Uniform(orders=90, offers=60, models=3, regions=2),
    "scarce": Uniform(orders=150, offers=25, models=3, regions=2),
    "slack": Uniform(orders=40, offers=120, models=3, regions=2),
    "trace": Trace(orders=120, offers=50, models=3, regions=2),
}
SEEDS = range(4)
every_market = pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in SMALL for seed in SEEDS])


@dataclass(frozen=True)
class Cleared:
    """A made-up market and its plan, in columns."""

    snapshot: Snapshot
    plan: Plan
    columns: Columns
    tiers: Tiers

    @cached_property
    def pairs(self) -> list[tuple[int, int, int]]:
        """Rows of orders and offers, and what they pay."""
        orders, offers = self.columns.rows_of(self.plan.fills)
        paid = [fill.price for fill in self.plan.fills]
        return list(zip(orders.tolist(), offers.tolist(), paid, strict=True))

    @cached_property
    def prices(self) -> dict[int, int]:
        """The price of each tier on which something was sold."""
        row = {offer: n for n, offer in enumerate(self.columns.offer_ids)}
        return {int(self.tiers.of[row[listed.first_offer]]): listed.price for listed in self.plan.prices}

    @cached_property
    def dearest_used(self) -> dict[int, int]:
        """The dearest ask of each tier that sold something."""
        found = defaultdict[int, int](int)
        for _, offer, _ in self.pairs:
            tier = int(self.tiers.of[offer])
            found[tier] = max(found[tier], int(self.columns.ask[offer]))
        return found


@lru_cache
def cleared(kind: str, seed: int) -> Cleared:
    """A market in which everybody is rich and nobody is pinned."""
    snapshot = replace(SMALL[kind].snapshot(seed), policy=PATIENT)
    columns = columns_of(snapshot)
    return Cleared(snapshot, clear(snapshot), columns, tiers_of(columns))


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_nobody_loses_by_a_round(snapshot: Snapshot) -> None:
    """In base units and for each lease: no client locks more than at its limit, no provider is paid less than at its ask."""
    asks = {offer.id: offer.price for offer in snapshot.view.offers}

    for fill in clear(snapshot).fills:
        order = fill.signed.order
        assert lock_of(order, asks[fill.offer]) <= lock_of(order, fill.price) <= lock_of(order, order.max_price)


@every_market
def test_a_fill_pays_the_price_of_its_node_between_ask_and_limit(kind: str, seed: int) -> None:
    """One price for each tier: so equal orders on equal offers pay the same (I-4)."""
    market = cleared(kind, seed)
    ask, limit = market.columns.ask, market.columns.limit

    for order, offer, paid in market.pairs:
        assert paid == max(ask[offer], min(market.prices[int(market.tiers.of[offer])], limit[order]))


@every_market
def test_equal_orders_on_equal_offers_pay_the_same(kind: str, seed: int) -> None:
    """Nobody pays more for being another."""
    market, paid = cleared(kind, seed), defaultdict[tuple[int, int, int, int], set[int]](set)
    for order, offer, price in market.pairs:
        alike = (
            market.tiers.group[order],
            market.columns.limit[order],
            market.tiers.of[offer],
            market.columns.ask[offer],
        )
        paid[alike].add(price)

    assert all(len(prices) == 1 for prices in paid.values())


@every_market
def test_who_was_needed_is_paid_alike(kind: str, seed: int) -> None:
    """Every fill on a tier pays the dearest ask that was needed there, or all that it offers."""
    market = cleared(kind, seed)
    for order, offer, paid in market.pairs:
        assert paid >= min(market.dearest_used[int(market.tiers.of[offer])], market.columns.limit[order])


@every_market
def test_nobody_is_left_out_who_offered_more_than_the_price(kind: str, seed: int) -> None:
    """Where an order would have fitted the price is at least its limit, or what a machine asks in vain that does not fit it."""
    market = cleared(kind, seed)
    columns, tiers, prices = market.columns, market.tiers, market.prices
    placed, used = {order for order, _, _ in market.pairs}, {offer for _, offer, _ in market.pairs}
    unsold = [offer for offer in range(len(columns.ask)) if offer not in used]

    for order in set(range(len(columns.order_ids))) - placed:
        reaches = tiers.reaches[tiers.group[order]]
        in_vain = min((columns.ask[offer] for offer in unsold if not reaches[tiers.of[offer]]), default=NEVER)
        for tier in np.nonzero(reaches)[0].tolist():
            if tier in prices:
                assert columns.limit[order] <= prices[tier] or in_vain <= prices[tier]


@every_market
def test_nobody_would_rather_be_elsewhere(kind: str, seed: int) -> None:
    """No order pays more than another tier costs that would have suited it, unless a machine that was needed beside it asks so much."""
    market = cleared(kind, seed)
    for order, offer, paid in market.pairs:
        reached = np.nonzero(market.tiers.reaches[market.tiers.group[order]])[0].tolist()
        cheapest = min(market.prices[tier] for tier in reached if tier in market.prices)

        assert paid <= max(cheapest, market.dearest_used[int(market.tiers.of[offer])])


@every_market
def test_offering_more_in_vain_never_lowers_a_price(kind: str, seed: int) -> None:
    """An order that is left out all the same, while the others are placed as they were, can only have made GPUs dearer."""
    market = cleared(kind, seed)
    placed_on = {(fill.signed.id, fill.offer) for fill in market.plan.fills}
    placed = {order for order, _ in placed_on}
    left_out = [n for n, order in enumerate(market.snapshot.view.orders) if order.id not in placed][:12]
    for n in left_out:
        later = clear(_with_limit(market.snapshot, n, 11, 10))
        if {(fill.signed.id, fill.offer) for fill in later.fills} == placed_on:
            before = {(row.gpu_class, row.first_offer): row.price for row in market.plan.prices}
            assert all(row.price >= before[row.gpu_class, row.first_offer] for row in later.prices)


def _with_limit(snapshot: Snapshot, n: int, times: int, over: int) -> Snapshot:
    orders = list(snapshot.view.orders)
    order = orders[n].signed.order
    limit = PricePerGpuHour(order.max_price * times // over)
    orders[n] = replace(orders[n], signed=replace(orders[n].signed, order=replace(order, max_price=limit)))
    return replace(snapshot, view=replace(snapshot.view, orders=tuple(orders)))


# By hand --------------------------------------------------------------------------------------------------------------
#
# A machine with two small GPUs at a dollar, and one with a large GPU. "flexible" takes either kind, "keen" and "pair" small ones only: together
# the two are worth more than the pair, which stays out and makes small GPUs dear.

PAIR_OF_GPUS = an_offer(1, free=2, gpus=2)
FLEXIBLE, KEEN = an_order("flexible", max_price=2 * DOLLAR), an_order("keen", classes=1, max_price=5 * DOLLAR)
PAIR = an_order("pair", classes=1, gpus=2, max_price=3 * DOLLAR)


def _large_gpu(**changes: Any) -> Offer:
    return an_offer(2, free=1, gpus=1, gpu_class=ClassNumber(1), spec=bytes32_of(FAR_MACHINE.sha256), **changes)


def _paid(snapshot: Snapshot) -> dict[str, int]:
    return {fill.signed.id: fill.price for fill in clear(snapshot).fills}


def test_who_pays_its_limit_makes_others_pay_no_more_than_that() -> None:
    """Small GPUs cost 3, of which "flexible" pays its limit of 2: a large one need not cost more to keep it where it is."""
    wants_large = an_order("wants large", classes=2, max_price=9 * DOLLAR)
    paid = _paid(a_snapshot([FLEXIBLE, KEEN, PAIR, wants_large], [PAIR_OF_GPUS, _large_gpu()]))

    assert paid == {KEEN.id: 3 * DOLLAR, FLEXIBLE.id: 2 * DOLLAR, wants_large.id: 2 * DOLLAR}


def test_a_machine_that_sold_nothing_keeps_prices_down_where_its_customers_went() -> None:
    """The large GPU asks 1.50 in vain, and "flexible" could have had it: so small ones cost no more, though the pair offered 3."""
    paid = _paid(a_snapshot([FLEXIBLE, KEEN, PAIR], [PAIR_OF_GPUS, _large_gpu(price=3 * DOLLAR // 2)]))

    assert paid == {KEEN.id: 3 * DOLLAR // 2, FLEXIBLE.id: 3 * DOLLAR // 2}
