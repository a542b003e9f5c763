"""What both sides gain by a round."""

from __future__ import annotations

import pytest

from marketplace.domain.fills import Fill
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.clear import clear
from scheduler.engine.gains import sums_of
from tests.unit.engine.markets import a_snapshot, an_offer, an_order


def test_gains_are_the_way_from_ask_to_limit() -> None:
    """For all of the order's time on all of its GPUs; together they are what the deal is worth to both."""
    order, offer = an_order(gpus=2, max_seconds=1800, max_price=3_000_000), an_offer(price=2_000_000)
    plan = clear(a_snapshot([order], [offer]))
    (fill,) = plan.fills

    sums = sums_of(plan)

    assert (sums.fills, sums.gpus) == (1, 2)
    assert (sums.client_gain, sums.provider_gain) == (3_000_000 - fill.price, fill.price - 2_000_000)


@pytest.mark.parametrize("price", [2_000_000, 2_500_000, 3_000_000])
def test_a_price_shares_what_is_gained(price: int) -> None:
    """Whatever the price, it only moves from one side to the other."""
    order, offer = an_order(gpus=2, max_seconds=1800, max_price=3_000_000), an_offer(price=2_000_000)
    plan = clear(a_snapshot([order], [offer]))
    moved = type(plan)(**{**plan.__dict__, "fills": (Fill(order.signed, offer.id, PricePerGpuHour(price)),)})

    assert sums_of(moved).client_gain + sums_of(moved).provider_gain == 1_000_000
