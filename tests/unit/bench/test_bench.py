"""What the engine is measured by: made-up markets, a bound that nothing surpasses, and other ways to clear."""

from __future__ import annotations

import pytest

from scheduler.engine.clear import clear
from scripts.bench.baselines import BASELINES
from scripts.bench.bound import loose_bound, ratio, tight_bound
from scripts.bench.columns import columns_of
from scripts.bench.exact import by_cp_sat, by_mip
from scripts.bench.generators import Thin, Trace, Uniform

ODD = {"gangs": (1, 3, 5, 6), "free": (1, 2, 4, 7, 8), "models": 4, "regions": 2}
SMALL = [
    Uniform(orders=60, offers=25, models=4, regions=2),
    Uniform(orders=50, offers=20, **ODD),
    Uniform(orders=60, offers=25, **ODD, pinned_share=0.3, named_share=0.2, excluding_share=0.2, offers_per_provider=4),
    Uniform(orders=60, offers=25, **ODD, client_money=0.6, provider_money=0.7, min_seconds=120),
    Trace(orders=80, offers=25, models=4, regions=2),
    Thin(orders=60, offers=30, models=5, regions=3),
]


@pytest.mark.parametrize("market", SMALL, ids=repr)
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
