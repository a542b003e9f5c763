"""The split of a market into shards is exact: cleared together, apart or in any bundling, everybody is placed alike."""

from __future__ import annotations

import random
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.engine.arrays import NOWHERE, Ints
from scheduler.engine.auction import bidding as auctions
from scheduler.engine.auction.bidding import Auctioneer, hold_here
from scheduler.engine.auction.shards import bundles_of
from scheduler.engine.auction.state import Auction, restart
from scheduler.engine.clear import clear
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.generators import Thin, Uniform
from tests.unit.engine.markets import snapshots

SEVERAL = settings(max_examples=30, deadline=None)
THIN = Thin(orders=300, offers=90, models=4, regions=4, machine_kinds=2, hungry_share=0.2)
WIDE = Uniform(orders=300, offers=60, models=4, regions=3)
SEEDS = st.integers(0, 2**32)


def part_of(auction: Auction, rows: Ints) -> Auction:
    """These orders by themselves, as if the others were not there. The rows are those of whole shards."""
    return auction._replace(orders=auction.orders[rows], gang=auction.gang[rows], offers=auction.offers.copy())


class Apart:
    """An auctioneer that holds the auction bundle by bundle, in some order, and remembers the auctions."""

    def __init__(self, most: int, shuffler: random.Random | None = None, hold: Auctioneer = hold_here) -> None:
        self.most, self.shuffler, self.hold = most, shuffler, hold
        self.held: list[Auction] = []

    def __call__(self, auction: Auction, shards: int) -> Ints:
        self.held.append(auction)
        offer, bundles = np.empty(len(auction.orders), np.int64), bundles_of(auction, self.most)
        if self.shuffler:
            self.shuffler.shuffle(bundles)
        for rows in bundles:
            offer[rows] = self.hold(part_of(auction, rows), shards)
        return offer


@SEVERAL
@given(SEEDS, st.sampled_from([THIN, WIDE]), st.integers(1, 40), st.randoms(use_true_random=False))
def test_any_bundling_of_shards_gives_the_plan_of_all_at_once(
    seed: int, market: Uniform, most: int, shuffler: random.Random
) -> None:
    """One bundle, a few, or every shard by itself, in whatever order: the same bytes."""
    snapshot = market.snapshot(seed)

    assert clear(snapshot).canonical() == clear(snapshot, Apart(most, shuffler)).canonical()


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_troubled_little_markets_split_as_exactly(snapshot: Snapshot) -> None:
    """With groups, overdue orders, empty balances and every other trouble, clearing shard by shard gives the same plan."""
    assert clear(snapshot).canonical() == clear(snapshot, Apart(100)).canonical()


def test_a_later_auction_of_a_round_begins_anew() -> None:
    """It ends where the first one ended, whatever everybody had in between: nothing of an auction is left over for the next."""
    snapshot, ended = WIDE.snapshot(2), list[tuple[Auction, list[int]]]()

    def hold(auction: Auction, shards: int) -> Ints:
        ended.append((auction, hold_here(auction, shards).tolist()))
        return np.asarray(auction.orders["offer"])

    clear(snapshot, hold)
    (auction, first), rows = ended[0], len(snapshot.view.orders)
    free = np.array([offer.free for offer in sorted(snapshot.view.offers, key=attrgetter("id"))], np.int64)
    auction.orders["offer"], auction.orders["path"] = 0, 1
    restart(auction, np.full(rows, NOWHERE), np.zeros(rows, np.bool_), free)

    assert max(first) > NOWHERE
    assert hold_here(auction, 1 + int(auction.orders["shard"].max())).tolist() == first


def test_a_shard_that_uses_up_its_effort_takes_none_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound on what an auction looks at is counted for each shard alone, so it bites the same together and apart."""
    monkeypatch.setattr(auctions, "EFFORT", 500)
    snapshot = replace(THIN, orders=2_000, offers=200).snapshot(5)
    together = clear(snapshot, _hold_uncompiled)

    assert together.canonical() == clear(snapshot, Apart(100, hold=_hold_uncompiled)).canonical()
    assert together.canonical() != clear(snapshot).canonical()


@SEVERAL
@given(SEEDS, st.randoms(use_true_random=False))
def test_shards_are_numbered_alike_whatever_the_order_of_the_rows(seed: int, shuffler: random.Random) -> None:
    """Each order is in the shard of the same number when the snapshot's rows come shuffled."""
    snapshot, one, other = THIN.snapshot(seed), Apart(1), Apart(1)
    view = snapshot.view
    orders, offers = shuffler.sample(view.orders, len(view.orders)), shuffler.sample(view.offers, len(view.offers))
    clear(snapshot, one)
    clear(replace(snapshot, view=replace(view, orders=tuple(orders), offers=tuple(offers))), other)

    assert one.held[0].orders["shard"].max() > 0
    for first, second in zip(one.held, other.held, strict=True):
        assert (first.orders["shard"] == second.orders["shard"]).all()


@SEVERAL
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(1, 9))
def test_bundles_are_whole_shards_and_every_order_is_in_one(shards: list[int], most: int) -> None:
    """No shard is torn, no row is lost or moved before one of higher priority, and no bundle is empty."""
    auction = _auction_with(shards)
    bundles = bundles_of(auction, most)
    found = [{shards[row] for row in rows.tolist()} for rows in bundles]

    assert sorted(np.concatenate(bundles).tolist()) == list(range(len(shards)))
    assert sum(len(of_bundle) for of_bundle in found) == len(set(shards))
    assert all((np.diff(rows) > 0).all() for rows in bundles)
    assert 1 <= len(bundles) <= min(most, len(set(shards)))


def test_bundles_are_about_even() -> None:
    """Four hundred shards of one to four orders fill eight bundles to within one shard of each other."""
    sizes = [1 + number % 4 for number in range(400)]
    bundles = bundles_of(_auction_with([number for number, size in enumerate(sizes) for _ in range(size)]), 8)
    counts = [len(rows) for rows in bundles]

    assert max(counts) - min(counts) <= 4


def _auction_with(shards: list[int]) -> Auction:
    """An auction of which only the shards of its orders matter."""
    seen = list[Auction]()

    def auctioneer(auction: Auction, count: int) -> Ints:
        seen.append(auction)
        return hold_here(auction, count)

    clear(Thin(orders=60, offers=20, models=1, regions=1, limit_level=9.0).snapshot(1), auctioneer)
    orders = np.repeat(seen[0].orders[:1], len(shards))
    orders["shard"] = shards
    return seen[0]._replace(orders=orders)


def _hold_in_python(auction: Auction, shards: int) -> Ints:
    """The auction, its frame in plain Python, where a test can change what it calls."""
    auctions.hold.py_func(auction, shards)
    return np.asarray(auction.orders["offer"])


def _hold_uncompiled(auction: Auction, shards: int) -> Ints:
    """The same with the frame of its sweeps, where a test can change the constants."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auctions, "improve", auctions.improve.py_func)
        return _hold_in_python(auction, shards)
