"""How much one round looks at: nobody can hold it up by orders that are made to take long, and who has to wait for that is told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from eth_utils.address import to_checksum_address

import scheduler.engine.auction.bidding as auctions
import scheduler.engine.auction.prices as prices
from marketplace.domain.book import BookOrder, RefusedFill, RejectionReason
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Constraints
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, TokenUnits, UnixTime
from scheduler.engine.arrays import Ints
from scheduler.engine.auction.bidding import hold_here
from scheduler.engine.auction.state import Auction
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.funds import funding
from scheduler.engine.funds.balances import Remaining
from scheduler.engine.matching import bounds
from scheduler.engine.placement import groups, precedence
from scripts.bench.floods import FLOODS
from scripts.bench.generators import Thin, Uniform
from tests.unit.engine.markets import BLOCK, DOLLAR, NOW, PEOPLE, SPEC, a_snapshot, an_offer, an_order
from tests.unit.engine.test_groups import FAR, RATHER_FAR, a_group

R = RejectionReason
HASHES = [Bytes32("0x" + hashlib.sha256(bytes([turn])).hexdigest()) for turn in range(200)]
"""Of blocks."""
MOST = 500
"""Of effort, for a shard."""


def _all(linked: Sequence[Sequence[BookOrder]]) -> list[BookOrder]:
    return [order for of_group in linked for order in of_group]


def _told(plan: Plan, orders: Sequence[BookOrder]) -> list[dict[RejectionReason, int]]:
    return [dict(plan.explanation(order.id).reasons) for order in orders]


# Sizes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3, 8, 40])
@pytest.mark.parametrize("seed", range(5))
def test_the_sizes_that_most_orders_ask_for_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, seed: int, most: int
) -> None:
    """Of equally common ones the smaller; some that are drawn; and all orders for more than anybody has, who are refused anyway."""
    monkeypatch.setattr(bounds, "MOST_SIZES", most)
    rng = np.random.default_rng(seed)
    gpus = rng.integers(1, 40, 300) * rng.integers(0, 2, 300) + 1
    rows, largest = np.sort(rng.choice(300, 200, replace=False)), 25
    kept = bounds.of_common_sizes(rows, gpus, largest, HASHES[0]).tolist()

    asked = [count for count in gpus[rows].tolist() if count <= largest]
    common = sorted(set(asked), key=lambda count: (-asked.count(count), count))
    seen = {int(gpus[row]) for row in kept if gpus[row] <= largest}
    assert seen >= set(common[: most - most // bounds.BY_LOT])
    assert len(seen) == min(most, len(common))
    assert kept == [row for row in rows.tolist() if gpus[row] in seen or gpus[row] > largest]


def test_every_rare_size_is_looked_at_in_some_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lots of a block cannot be known before it; and the common sizes are looked at in every one."""
    monkeypatch.setattr(bounds, "MOST_SIZES", 8)
    gpus = np.concatenate((np.repeat(np.arange(1, 7), 9), np.arange(7, 31)))
    seen = [set(gpus[bounds.of_common_sizes(np.arange(len(gpus)), gpus, 99, one)].tolist()) for one in HASHES]

    assert all(len(one) == 8 and one >= set(range(1, 7)) for one in seen)
    assert set().union(*seen) == set(range(1, 31))


def test_who_asks_for_a_rare_number_of_gpus_waits_and_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that nobody has is told as ever."""
    monkeypatch.setattr(bounds, "MOST_SIZES", 2)
    common = [an_order(f"common {n}", gpus=1 + n % 2) for n in range(4)]
    rare, huge = an_order("rare", gpus=3, max_price=9 * DOLLAR), an_order("huge", gpus=99)
    plan = clear(a_snapshot([*common, rare, huge], [an_offer(n) for n in range(1, 5)]))

    assert {fill.signed.id for fill in plan.fills} == {order.id for order in common}
    assert _told(plan, [rare, huge]) == [{R.ROUND_FULL: 1}, {R.NOT_ENOUGH_GPUS: 4}]


def test_gangs_of_many_sizes_each_find_the_machine_that_they_fit() -> None:
    """Where sizes are many only those that a demand is asked for are looked at: each of these is, once."""
    sizes = range(1, 41)
    orders = [an_order(f"of {gpus}", gpus=gpus) for gpus in sizes]
    plan = clear(a_snapshot(orders, [an_offer(gpus, gpus=gpus, free=gpus) for gpus in sizes]))

    assert {(fill.signed.order.gpus, fill.offer) for fill in plan.fills} == {(gpus, gpus) for gpus in sizes}


# Demands and ways -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 5, 60, 500, 10**6])
@pytest.mark.parametrize("seed", range(5))
def test_the_demands_that_take_the_fewest_ways_for_an_order_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, seed: int, most: int
) -> None:
    """As many as there is time for, one after the other; a way is a group of offers, a demand and a size. A part of the time is for those that
    are drawn."""
    monkeypatch.setattr(bounds, "MOST_WAYS", most)
    rng = np.random.default_rng(seed)
    asked = bounds.Asked(
        *(rng.integers(0, most, 100) for most in (12, 5, 9)), id_prefix=np.arange(100, dtype=np.uint64)
    )
    fitting = rng.integers(0, 30, 12)
    kept = bounds.narrow_demands(asked, fitting, HASHES[0]).tolist()

    rows = {one: np.nonzero(asked.demand == one)[0].tolist() for one in range(12)}
    ways = {one: int(fitting[one]) * len({int(asked.gpus[row]) for row in rows[one]}) for one in rows}
    turn = sorted(rows, key=lambda one: (ways[one] / len(rows[one]), -max(asked.limit[rows[one]]), rows[one][0]))
    first = [one for at, one in enumerate(turn) if sum(ways[before] for before in turn[: at + 1]) <= most - most // 4]
    assert kept[: len(first)] == first
    assert sum(ways[one] for one in kept) <= most
    assert sum(ways.values()) > most or set(kept) == set(rows)


def test_every_rare_demand_is_looked_at_in_some_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others there are of which each is wanted by more."""
    monkeypatch.setattr(bounds, "MOST_DEMANDS", 8)
    demand = np.concatenate((np.repeat(np.arange(20), 3), np.arange(20, 40)))
    id_prefix = np.random.default_rng(1).integers(0, 2**63, len(demand)).astype(np.uint64)
    asked = bounds.Asked(demand, np.ones_like(demand), np.ones_like(demand), id_prefix)
    seen = [set(bounds.common_demands(asked, 40, one).tolist()) for one in HASHES]

    assert all(len(one) == 8 and one >= set(range(6)) for one in seen)
    assert set().union(*seen) == set(range(40))


def test_orders_that_each_exclude_another_provider_do_not_stop_the_market(monkeypatch: pytest.MonkeyPatch) -> None:
    """What many orders want alike is looked at first, and a flood of demands that each fit nearly every offer waits."""
    monkeypatch.setattr(bounds, "MOST_WAYS", 12)
    monkeypatch.setattr(bounds, "MOST_SIZES", 1)
    offers = [an_offer(n + 1, provider=PEOPLE[n], price=DOLLAR + n) for n in range(4)]
    common = [an_order(f"common {n}") for n in range(3)]
    wide = [
        an_order(f"wide {n}", max_price=9 * DOLLAR + n, spec=replace(SPEC, constraints=Constraints(exclude_providers=(PEOPLE[n],))))
        for n in range(4)
    ]  # fmt: skip
    plan = clear(a_snapshot([*common, *wide], offers))

    placed = {fill.signed.id for fill in plan.fills}
    waiting = [order for order in wide if order.id not in placed]
    assert placed >= {order.id for order in [*common, wide[-1]]}
    assert len(waiting) == 2  # The fourth place was drawn.
    assert _told(plan, waiting) == [{R.ROUND_FULL: 1}] * 2
    assert "a later one looks at it" in plan.explanation(waiting[0].id).nearest_miss


def test_a_demand_that_only_a_refused_order_would_make_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract refused it on one offer, so it makes a demand of its own, and nobody is left who makes the one that it would have made."""
    monkeypatch.setattr(bounds, "MOST_DEMANDS", 2)
    common = [an_order(f"common {n}") for n in range(3)]
    refused = an_order("refused", offer=OfferId(1))
    row = RefusedFill(OfferId(1), Refusal.PriceOutOfBounds, BLOCK.number)
    rare = an_order("rare", offer=OfferId(2))
    plan = clear(a_snapshot([*common, refused, rare], [an_offer(1), an_offer(2)], refused={refused.id: (row,)}))

    assert {fill.signed.id for fill in plan.fills} >= {order.id for order in common}
    assert len(plan.fills) + len(plan.rejections) == 5


def test_without_a_flood_the_bounds_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A market that is looked at closely because it might have too many ways has the same plan."""
    snapshot = FLOODS["excluding"](400, 60)
    plan = clear(snapshot)
    monkeypatch.setattr(bounds, "MOST_SIZES", 10**6)

    assert clear(snapshot).canonical() == plan.canonical()
    assert R.ROUND_FULL not in {reason for why in plan.rejections for reason in why.reasons}


# Effort ---------------------------------------------------------------------------------------------------------------


def test_a_small_shard_has_an_effort_of_its_size() -> None:
    """So much for each order and open offer, and never more than a large one: a thousand shards take no longer than one."""
    told: list[tuple[Auction, Ints]] = []

    def hold(auction: Auction, shards: int) -> Ints:
        scratch = auctions.scratch_for(auction, shards, MOST)
        told.append((auction, scratch.effort))
        return hold_here(auction, shards)

    clear(replace(Thin(), orders=300, offers=100).snapshot(3), hold)
    auction, effort = told[0]
    rows = np.bincount(auction.orders["shard"], minlength=len(effort))
    for pool in range(len(auction.members_from) - 1):
        shard = {
            int(auction.orders["shard"][at]) for at in range(len(auction.orders)) if pool in _accepted(auction, at)
        }
        for one in shard:
            rows[one] += auction.members_from[pool + 1] - auction.members_from[pool]

    assert effort.tolist() == np.minimum(MOST, auctions.EFFORT_PER_ROW * rows).tolist()
    assert 0 < int((effort == MOST).sum()) < len(effort)


def _accepted(auction: Auction, order: int) -> set[int]:
    demand = int(auction.orders["demand"][order])
    return set(auction.accepts[auction.accepts_from[demand] : auction.accepts_from[demand + 1]].tolist())


@pytest.mark.parametrize(("sizes", "factor"), [(4, 1), (15, 1), (16, 2), (40, 3)])
def test_a_quote_for_many_sizes_takes_more_effort(sizes: int, factor: int) -> None:
    """It is worked out for each of them."""
    orders = [an_order(f"of {gpus}", gpus=gpus) for gpus in range(1, sizes + 1)]
    told: list[int] = []

    def hold(auction: Auction, shards: int) -> Ints:
        scratch = auctions.scratch_for(auction, shards, 10**6)
        before = int(scratch.effort[0])
        auctions._find_entries(auction, scratch, auctions.NO_PATH, 0, 0)
        told.append(before - int(scratch.effort[0]))
        return hold_here(auction, shards)

    clear(a_snapshot(orders, [an_offer(n, gpus=sizes, free=sizes) for n in (1, 2)]), hold)

    assert told[0] == 2 * factor  # Two offers; the second asks no less.


@pytest.mark.parametrize("flood", FLOODS)
def test_an_auction_under_a_flood_ends_soon_after_its_effort_is_used_up(flood: str) -> None:
    """What is over is at most one path, and one look at all entry costs for each cost of a move."""
    over: list[tuple[int, int]] = []

    def hold(auction: Auction, shards: int) -> Ints:
        auctions.begin(auction)
        auctions.assign_by_priority(auction)
        scratch = auctions.scratch_for(auction, shards, 1_000)
        auctions.improve(auction, scratch)
        factor = 1 + len(auction.sizes) // 16
        once = factor * (2 * len(auction.orders) + len(auction.members)) + len(auction.accepts)
        over.append((int(scratch.effort.min()), once))
        return np.asarray(auction.orders["offer"])

    clear(FLOODS[flood](2_000, 200), hold)

    assert all(effort > -(auctions.PATH + 3) * once for effort, once in over), over


# Money and preferences ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_who_is_found_in_time_is_served_and_nobody_else_is_touched(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Where providers are short of bonds, those of the highest limits are looked at first."""
    snapshot = Uniform(orders=400, offers=60, provider_money=0.3).snapshot(seed)
    served = []
    for effort in (0, 2_000, 10**9):
        monkeypatch.setattr(funding, "FILL_EFFORT", effort)
        served.append({fill.signed.id for fill in clear(snapshot).fills})

    assert served[0] <= served[1] <= served[2]
    assert served[0] < served[2]


def test_filling_up_raises_no_more_prices_than_its_effort_pays_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each offer that one order tries would make those dearer who assign on its equals: beyond the effort no further one is tried."""
    monkeypatch.setattr(funding, "FILL_EFFORT", 20_000)
    raised, real = list[int](), Remaining.raise_to

    def counted(remaining: Remaining, fills: list[tuple[Fill, PricePerGpuHour]]) -> bool:
        raised.append(len(fills))
        return real(remaining, fills)

    monkeypatch.setattr(Remaining, "raise_to", counted)
    clear(FLOODS["preferring"](4_000, 400))

    assert max(raised) > 1
    # What was tried last may be taken back, too.
    assert sum(raised) <= 2 * (20_000 // funding._ONE_ORDER + max(raised))


@pytest.mark.parametrize("money", [0, 1, 30])
def test_providers_of_many_gpus_without_money_do_not_starve_the_market(money: int) -> None:
    """However many they are, and whatever bonds they promise: what they cannot bond takes nobody in for longer than some clearings."""
    honest = Uniform(orders=300, offers=60).snapshot(1)
    view, giants = honest.view, list[Offer]()
    for turn in range(40):
        whose, bond_bps = Address(to_checksum_address(f"0x{turn // 2 + 16**39:040x}")), Bps(turn % 3 * 5_000)
        for gpu_class in {offer.gpu_class for offer in view.offers}:
            giants.append(
                replace(
                    view.offers[0], id=OfferId(1_000 + len(giants)), provider=whose, gpu_class=gpu_class, bond_bps=bond_bps,
                    gpus=GpuCount(65_535), free=GpuCount(65_535), price=PricePerGpuHour(100 + turn), min_seconds=0,
                )
            )  # fmt: skip
    poor = {giant.provider: TokenUnits(money * honest.terms.bond_floor) for giant in giants}
    flooded = replace(
        honest,
        view=replace(
            view, offers=(*view.offers, *giants), accounts={**view.accounts, **poor},
            heartbeats={**view.heartbeats, **dict.fromkeys(poor, view.block.timestamp)},
        ),
    )  # fmt: skip

    assert _surplus(clear(flooded)) >= _surplus(clear(honest)) * 99 // 100


def _surplus(plan: Plan) -> int:
    asks = {offer.id: offer.price for offer in plan.source.view.offers}
    terms = [(fill.signed.order, asks[fill.offer]) for fill in plan.fills]
    return sum(order.gpus * (order.max_price - ask) for order, ask in terms)


def test_who_prefers_a_region_is_moved_in_time_or_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is placed in any case."""
    far = an_offer(2, spec=FAR, price=DOLLAR + DOLLAR // 100)
    snapshot = a_snapshot([an_order(spec=RATHER_FAR)], [an_offer(1), far])
    placed = []
    for effort in (1, 0):
        monkeypatch.setattr(precedence, "PREFERRING", effort)
        placed.append([fill.offer for fill in clear(snapshot).fills])

    assert placed == [[2], [1]]


# Prices ---------------------------------------------------------------------------------------------------------------


def test_prices_that_are_not_passed_on_to_the_end_still_lose_nobody_money(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of tiers along which a price passes on one tier a pass, with no time for that."""
    snapshot = FLOODS["chain"](40, 40)
    whole = clear(snapshot)
    monkeypatch.setattr(prices, "MOST_LOOKS", 1)
    monkeypatch.setattr(prices, "_prices", prices._prices.py_func)
    monkeypatch.setattr(prices, "_lower", prices._lower.py_func)
    cut = clear(snapshot)

    asks = {offer.id: offer.price for offer in snapshot.view.offers}
    assert len({fill.price for fill in whole.fills}) == 1
    assert len({fill.price for fill in cut.fills}) > 1
    assert len(cut.fills) == len(whole.fills)
    assert all(asks[fill.offer] <= fill.price <= fill.signed.order.max_price for fill in cut.fills)


# Groups ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("effort", "count"), [(0, 0), (1, 2), (10**6, 3)])
def test_groups_for_which_there_is_no_time_wait_and_are_told_so(
    monkeypatch: pytest.MonkeyPatch, effort: int, count: int
) -> None:
    """Those who offer most are looked at first, one before the auction and one after it if there is time for one. Who comes alone is placed."""
    monkeypatch.setattr(groups, "EFFORT", effort)
    linked = [a_group(name=name, max_price=price * DOLLAR) for name, price in (("aa", 2), ("bb", 4), ("cc", 3))]
    alone = an_order("alone")
    plan = clear(a_snapshot([*_all(linked), alone], [an_offer(n) for n in range(1, 8)]))

    by_turn = [linked[1], linked[2], linked[0]]
    placed = {fill.signed.id for fill in plan.fills}
    assert placed == {order.id for order in [*_all(by_turn[:count]), alone]}
    assert _told(plan, _all(by_turn[count:])) == [{R.ROUND_FULL: 1}] * (6 - 2 * count)


def test_a_flood_of_groups_that_nearly_fit_leaves_the_others_their_places() -> None:
    """A provider with one large machine cannot take two large nodes, however many small ones it has."""
    snapshot = FLOODS["groups"](1_000, 40)
    grouped = {order.id for order in snapshot.view.orders if order.spec.group}
    plan = clear(snapshot)

    assert grouped
    assert not grouped & {fill.signed.id for fill in plan.fills}
    assert {reason for why in plan.rejections if why.order in grouped for reason in why.reasons} >= {
        R.GROUP_NOT_TOGETHER
    }
    assert plan.fills


def test_a_group_goes_to_the_cheapest_provider_who_can_take_all_of_it() -> None:
    """Also when cheaper ones have machines enough, but not for everyone in it."""
    size = 3
    who: list[Address] = list(PEOPLE[:4])
    offers: list[Offer] = []
    for turn, provider in enumerate(who):
        for machine in range(size):
            free = 4 if machine == 0 or turn == 2 else 1
            offers.append(
                an_offer(10 * turn + machine + 1, provider=provider, free=free, price=DOLLAR + turn * 1_000, expires_at=UnixTime(NOW + 9_999))
            )  # fmt: skip
    linked = a_group(size)
    small: list[Any] = [
        replace(linked[2], signed=replace(linked[2].signed, order=replace(linked[2].signed.order, gpus=1)))
    ]
    plan = clear(a_snapshot([*linked[:2], *small], offers))

    assert {fill.offer // 10 for fill in plan.fills} == {2}
    assert len(plan.fills) == size
