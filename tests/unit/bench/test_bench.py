"""What the engine is measured by: made-up markets, a bound that nothing surpasses, and other ways to clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketplace.domain.fills import Fill
from marketplace.domain.ids import OfferId
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.clear import clear
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.baselines import BASELINES, Pairs, price_time
from scripts.bench.bound import loose_bound, ratio, tight_bound
from scripts.bench.checking import broken_rules, broken_rules_at_once
from scripts.bench.columns import Columns, columns_of
from scripts.bench.exact import by_cp_sat, by_mip, relaxed
from scripts.bench.generators import Thin, Trace, Uniform

ODD = Uniform(orders=60, offers=25, models=4, regions=2, gangs=(1, 3, 5, 6), free=(1, 2, 4, 7, 8))
SMALL: dict[str, Uniform] = {
    "even": Uniform(orders=60, offers=25, models=4, regions=2),
    "odd": ODD,
    "choosy": replace(ODD, pinned_share=0.3, named_share=0.2, excluding_share=0.2, offers_per_provider=4),
    "poor": replace(ODD, client_money=0.6, provider_money=0.7, bursts_per_client=4),
    "delegated": replace(ODD, delegated_share=0.7, delegate_money=0.5, bursts_per_client=4),
    "trace": Trace(orders=80, offers=25, models=4, regions=2),
    "thin": Thin(orders=60, offers=30, models=5, regions=3),
}


@pytest.mark.parametrize("market", SMALL.values(), ids=SMALL)
@pytest.mark.parametrize("seed", range(3))
def test_no_plan_is_worth_more_than_the_bound(market: Uniform, seed: int) -> None:
    """The optimum of two solvers, every other way to clear and the engine's plan stay below the tight bound, and that below the loose one."""
    snapshot = market.snapshot(seed)
    columns = columns_of(snapshot)
    most = tight_bound(columns)
    optimum = by_mip(columns).surplus(columns)

    assert by_cp_sat(columns).surplus(columns) == pytest.approx(optimum, rel=2e-4)
    assert optimum <= most <= loose_bound(columns)
    assert all(way(columns).surplus(columns) <= optimum * 1.0002 for way in BASELINES.values())
    assert ratio(snapshot, clear(snapshot).fills) * most <= optimum * 1.0002


@pytest.mark.parametrize("name", ["even", "choosy", "trace", "thin"])
def test_the_bound_is_that_of_the_linear_program(name: str) -> None:
    """The flow and a program with a variable for every pair agree to the last unit, or the flow is below: where whole gangs leave GPUs over."""
    market = replace(SMALL[name], orders=200, offers=90)
    wholes = {"gangs": (1, 2, 4, 8), "free": (1, 2, 4, 8), "gang_weights": (), "free_weights": ()}
    columns, even = columns_of(market.snapshot(1)), columns_of(replace(market, **wholes).snapshot(1))

    assert tight_bound(columns) <= relaxed(columns) * (1 + 1e-9)
    assert tight_bound(even) == pytest.approx(relaxed(even), rel=1e-9)


@pytest.mark.parametrize("market", SMALL.values(), ids=SMALL)
def test_every_way_to_clear_keeps_the_rules(market: Uniform) -> None:
    """Asked fill by fill and all at once, of the optimum, of the others and of the engine's plan."""
    snapshot = market.snapshot(7)
    columns = columns_of(snapshot)
    plans = [_fills(snapshot, columns, way(columns)) for way in (*BASELINES.values(), by_mip, by_cp_sat)]

    assert all(len(plan) > 3 for plan in plans)
    for plan in (*plans, clear(snapshot).fills):
        assert broken_rules(snapshot, columns, plan) == []
        assert broken_rules_at_once(columns, plan) == []


def _fills(snapshot: Snapshot, columns: Columns, pairs: Pairs) -> tuple[Fill, ...]:
    signed = {order.id: order.signed for order in snapshot.view.orders}
    rows = zip(pairs.orders.tolist(), pairs.offers.tolist(), strict=True)
    return tuple(
        Fill(signed[columns.order_ids[order]], columns.offer_ids[offer], PricePerGpuHour(int(columns.ask[offer])))
        for order, offer in rows
    )


def _last(fills: Sequence[Fill], **changes: Any) -> list[Fill]:
    return [*fills[:-1], fills[-1]._replace(**changes)]


def test_a_plan_that_breaks_a_rule_is_found_out() -> None:
    """By both checks: prices out of bounds, what is given twice, offers that do not fit, money that is not there."""
    snapshot = replace(SMALL["poor"], delegated_share=0.5, delegate_money=0.5).snapshot(3)
    columns = columns_of(snapshot)
    plenty = np.full_like(columns.balance, 10**15)
    generous = [
        replace(columns, free=2 * columns.free, balance=plenty, budget=np.full_like(columns.budget, 10**15)),
        replace(columns, balance=plenty),
        replace(columns, budget=np.full_like(columns.budget, 10**15)),
        replace(columns, accepts=np.ones_like(columns.accepts)),
    ]
    fills = _fills(snapshot, columns, price_time(columns))
    ask = next(offer.price for offer in snapshot.view.offers if offer.id == fills[-1].offer)
    broken = [
        *(_fills(snapshot, columns, price_time(imagined)) for imagined in generous),
        [*fills, fills[0]],
        _last(fills, price=PricePerGpuHour(fills[-1].signed.order.max_price + 1)),
        _last(fills, price=PricePerGpuHour(ask - 1)),
        _last(fills, offer=OfferId(10**6)),
    ]

    assert broken_rules(snapshot, columns, fills) == broken_rules_at_once(columns, fills) == []
    for plan in broken:
        assert broken_rules(snapshot, columns, plan) != []
        assert broken_rules_at_once(columns, plan) != []


def test_gangs_make_the_tight_bound_tighter() -> None:
    """Two offers of two GPUs serve no gang of four, whatever it pays; and one of four serves one gang of three."""
    market = Uniform(orders=4, offers=2, models=1, regions=1, reliability_levels=1, limit_level=3.0, limit_spread=0.0)
    pairs = columns_of(replace(market, gangs=(4,), free=(2,)).snapshot(0))
    threes = columns_of(replace(market, offers=1, gangs=(3,), free=(4,)).snapshot(0))

    assert (tight_bound(pairs), loose_bound(pairs) > 0) == (0, True)
    assert tight_bound(threes) == by_mip(threes).surplus(threes) == loose_bound(threes) * 3 // 4
