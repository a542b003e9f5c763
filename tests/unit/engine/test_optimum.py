"""How near to the optimum small markets are cleared, where gangs and machines fit badly: against a solver, market by market."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.units import UnixTime
from scheduler.engine.clear import clear
from scheduler.engine.snapshot import Snapshot
from scripts.bench.bound import surplus_of
from scripts.bench.columns import columns_of
from scripts.bench.exact import by_mip
from scripts.bench.generators import Uniform

ONE_POOL: dict[str, Any] = {"models": 1, "regions": 1, "region_share": 0.0, "reliability_levels": 1}
FULL_MACHINES: dict[str, Any] = ONE_POOL | {"free": (8,), "free_weights": (1.0,)}

MARKETS: dict[str, dict[str, Any]] = {
    "two models in two regions": {"models": 2, "regions": 2, "reliability_levels": 1},
    "flexible beside choosy": {"models": 6, "regions": 3, "exact_share": 0.3, "reliability_levels": 1},
    "one pool": ONE_POOL,
    "odd gangs on eight GPUs": FULL_MACHINES | {"gangs": (3, 5, 6, 7), "gang_weights": (1, 1, 1, 1)},
    "equal limits, equal asks": FULL_MACHINES | {"gangs": (1, 2, 3, 5, 8), "gang_weights": (1,) * 5, "limit_spread": 0.0, "ask_spread": 0.0},
    "equal limits": FULL_MACHINES | {"gangs": (1, 2, 3, 5, 8), "gang_weights": (1,) * 5, "limit_spread": 0.0},
}  # fmt: skip


def _young(snapshot: Snapshot) -> Snapshot:
    """The market without anybody who has waited too long: elders are seated for another reason than surplus."""
    orders = tuple(replace(order, accepted_at=UnixTime(snapshot.now.timestamp - 1)) for order in snapshot.view.orders)
    return replace(snapshot, view=replace(snapshot.view, orders=orders))


@pytest.mark.parametrize("name", MARKETS)
def test_small_markets_are_cleared_near_the_optimum(name: str) -> None:
    """Of thirty markets of 12 orders and 6 offers: the mean is above 0.985 of the optimum, and none below 0.9."""
    ratios = []
    for seed in range(30):
        snapshot = _young(Uniform(orders=12, offers=6, **MARKETS[name]).snapshot(seed))
        columns = columns_of(snapshot)
        best = by_mip(columns).surplus(columns)
        ratios.append(surplus_of(columns, clear(snapshot).fills) / best if best else 1.0)

    assert statistics.mean(ratios) >= 0.985
    assert min(ratios) >= 0.9
    assert max(ratios) <= 1.0


def test_one_huge_gang_gives_way_to_many_small_orders_that_are_worth_more() -> None:
    """And has the machine where they are not: all or nothing is weighed in GPUs times limit, not in heads."""
    market = Uniform(orders=30, offers=6, **FULL_MACHINES | {"gangs": (1, 8), "gang_weights": (9, 1)})
    ratios = []
    for seed in range(15):
        columns = columns_of(snapshot := _young(market.snapshot(seed)))
        ratios.append(surplus_of(columns, clear(snapshot).fills) / by_mip(columns).surplus(columns))

    assert statistics.mean(ratios) >= 0.995
