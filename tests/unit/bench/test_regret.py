"""What prices are compared with: the duals of the linear program, and what a misreport is worth."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.bench import rules
from scripts.bench.columns import columns_of
from scripts.bench.duals import dual_interval
from scripts.bench.ends import prices_by
from scripts.bench.generators import Trace, Uniform
from scripts.bench.regret import Bourse
from tests.unit.engine.markets import DOLLAR, a_snapshot, an_offer, an_order


def test_the_duals_of_a_market_by_hand() -> None:
    """Two GPUs at a dollar for offers of 5, 3 and 2: any price from 2 to 3 clears the market."""
    orders = [an_order(f"{limit}", max_price=limit * DOLLAR) for limit in (5, 3, 2)]
    lowest, highest = dual_interval(columns_of(a_snapshot(orders, [an_offer(free=2)])))

    assert [round(float(end[0]) / DOLLAR, 3) for end in (lowest, highest)] == [2.0, 3.0]


def test_the_rules_divide_the_surplus_of_a_market_by_hand() -> None:
    """The same market by each rule, who pays 5 and who pays 3."""
    orders = [an_order(f"{limit}", max_price=limit * DOLLAR) for limit in (5, 3, 2)]
    bourse = Bourse(a_snapshot(orders, [an_offer(free=2)]))
    prices = prices_by(bourse.columns, bourse.tiers, bourse.placed)

    assert {rule: (price / DOLLAR).tolist() for rule, price in prices.items()} == {
        "clearing": [2.0, 2.0], "middle": [2.5, 2.5], "upper": [3.0, 3.0], "ask": [1.0, 1.0], "limit": [5.0, 3.0]
    }  # fmt: skip


@pytest.mark.parametrize("market", [Uniform(orders=80, offers=40, models=3), Trace(orders=80, offers=40, models=3)])
def test_whoever_asks_or_offers_more_than_he_must_is_paid_so_by_his_own_word(market: Uniform) -> None:
    """By pay-as-ask padding pays for providers, by pay-as-limit shading pays for clients; by every rule the surplus is all there is."""
    bourse = Bourse(market.snapshot(0))
    placed, columns = bourse.placed, bourse.columns
    gains = {side: [bourse.gains(side, int(who)) for who in np.unique(seated)[:5]] for side, seated in (
        ("clients", columns.client[placed.orders]), ("providers", columns.provider[placed.offers])
    )}  # fmt: skip

    for rule in rules.RULES:
        assert sum(int(bourse.utilities[side, rule].sum()) for side in rules.SIDES) == bourse.surplus
        assert all((bourse.utilities[side, rule] >= 0).all() for side in rules.SIDES)
    assert max(float(one["ask"].max()) for one in gains["providers"]) > 0
    assert max(float(one["limit"].max()) for one in gains["clients"]) > 0
