"""Made-up markets are the same for everybody who draws them, and are read as the contract and the engine would read them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from marketplace.domain.book import BookOrder
from marketplace.domain.fitting import Pair, mismatch
from marketplace.domain.ids import sha256_in
from marketplace.domain.offers import Offer
from marketplace.domain.spec import read_spec
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.assembly import NOW
from scripts.bench.columns import columns_of
from scripts.bench.generators import Thin, Trace, Uniform, generator

MIXED = Uniform(
    orders=80, offers=30, models=5, regions=2, pinned_share=0.2, named_share=0.2, excluding_share=0.2,
    offers_per_provider=3, min_seconds=90, scored_share=0.3, machine_kinds=3, hungry_share=0.3,
)  # fmt: skip


def _fits(snapshot: Snapshot, order: BookOrder, offer: Offer) -> bool:
    return mismatch(Pair.of(order, snapshot.offer_row(offer)), snapshot.circumstances) is None


@pytest.mark.parametrize(
    "market",
    [MIXED, Trace(orders=60, offers=30), Thin(orders=40, offers=30, regions=2)],
    ids=lambda market: type(market).__name__,
)
def test_columns_accept_what_the_rulebook_accepts(market: Uniform) -> None:
    """For every pair of an order and an offer."""
    snapshot = market.snapshot(1)
    columns = columns_of(snapshot)
    pinned = columns.pinned[:, None]
    found = columns.accepts[columns.demand][:, columns.kind] & ((pinned < 0) | (pinned == np.arange(len(columns.free))))
    expected = [[_fits(snapshot, order, offer) for offer in snapshot.view.offers] for order in snapshot.view.orders]

    assert 0 < found.sum() < found.size
    assert found.tolist() == expected


def test_equal_seeds_give_equal_markets() -> None:
    """And others others; the specs are what the orders' hashes stand for."""
    one, same, other = (Trace(orders=50, offers=20).snapshot(seed) for seed in (1, 1, 2))

    assert one == same
    assert {order.id for order in one.view.orders}.isdisjoint(order.id for order in other.view.orders)
    for order in one.view.orders:
        assert sha256_in(order.signed.order.spec) == order.spec.sha256
        assert read_spec(order.spec.canonical()) == order.spec


def test_a_churned_market_keeps_all_but_its_share() -> None:
    """One in a hundred orders and offers is another, a block later; the rest are the very same objects."""
    market = Uniform(orders=400, offers=300)
    before = market.snapshot(1)
    after = market.churned(before, 1)

    assert after.now.number == before.now.number + 1
    assert len({order.id for order in after.view.orders} & {order.id for order in before.view.orders}) == 396
    assert len({offer.id for offer in after.view.offers} & {offer.id for offer in before.view.offers}) == 297
    later = market.churned(after, 2)
    assert (len(later.view.orders), len({offer.id for offer in later.view.offers})) == (400, 300)
    assert (len(after.view.orders), len(after.view.offers)) == (400, 300)
    assert len(columns_of(after).order_ids) == 400


@pytest.mark.parametrize(
    "market", [Uniform(orders=200, offers=100), Trace(orders=200, offers=100)], ids=["uniform", "trace"]
)
def test_nothing_falls_silent_or_expires_in_a_market_that_goes_on(market: Uniform) -> None:
    """After thirty blocks, a minute, every provider is still heard of and every order may still be opened."""
    snapshot = market.snapshot(1)
    for step in range(30):
        snapshot = market.churned(snapshot, step)
    columns = columns_of(snapshot)

    assert snapshot.now.timestamp == NOW + 60
    assert set(snapshot.view.heartbeats.values()) == {snapshot.now.timestamp - 1}
    assert (len(columns.order_ids), len(columns.offer_ids)) == (200, 100)


def test_a_trace_has_bursts_and_large_providers() -> None:
    """Equal jobs of one client, accepted within a minute; some job and some provider is far larger than the median."""
    view = Trace(orders=2_000, offers=500).snapshot(1).view
    burst = Counter((order.signed.order.client, order.signed.order.max_price) for order in view.orders).most_common(1)
    providers = Counter(offer.provider for offer in view.offers)
    seconds = sorted(order.signed.order.max_seconds for order in view.orders)

    assert burst[0][1] > 20
    assert max(providers.values()) > 10 * np.median(list(providers.values()))
    assert seconds[-20] > 10 * seconds[len(seconds) // 2]


def test_parameters_are_read_as_they_are_typed() -> None:
    """By the type of their default; an unknown one is an error."""
    market = generator("trace", 10, 5, gangs="1,3", gang_weights="0.5,0.5", own_specs="false", regions="2")

    assert (market.orders, market.gangs, market.gang_weights) == (10, (1, 3), (0.5, 0.5))
    assert (market.own_specs, market.regions) == (False, 2)
    with pytest.raises(ValueError, match="no such parameter: colour"):
        generator("trace", 10, 5, colour="red")
