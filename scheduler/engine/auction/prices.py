"""What a fill pays: the clearing price of the GPUs that it takes, or its own signed limit where that is lower (I-4).

GPUs of one pool on machines with equally many free at the start make a *tier*: an order that may go to one of them may go to all. The price of a tier is
the least that leaves nobody with a reason to complain, the lower end of what the duals of the assignment allow:

1. it is no lower than the dearest ask that was needed there: who was needed is paid alike;
2. it is no lower than the highest limit of an order that was left out and could have gone there: that one would have paid as much;
3. it is no lower than what any order pays elsewhere that could have come here: else it would rather be here;
4. 2 and 3 raise it no higher than the ask of any idle machine that one of those who pay it could have used instead.

Whole gangs cannot always be priced so that nobody complains: where the rules differ 1 goes before 4, and 4 before 2 and 3.

So a price depends on what others ask and would have paid, and hardly on what the order itself said; ``docs/research/regret.md`` shows what shading
a limit or padding an ask is worth, and how near to the duals prices are, measured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scheduler.engine.arrays import NEVER, NOWHERE, Ints, numbered
from scheduler.engine.auction.state import Auction
from scheduler.engine.matching.pools import Pools, lowest_of
from scheduler.engine.tables.ticks import TickColumn

MOST_LOOKS = 1 << 30
"""Orders, tiers and pools that accept a demand, that rules 3 and 4 may look at, each: a second. A price moves on by one tier a pass, so a flood of wide
orders beside a long row of tiers would hold the round up. Usual markets need less than a thousandth; where it is not enough, prices stay
as they are by then."""


class Assigned(NamedTuple):
    """Those who are assigned, by priority: the gang that they bid for (``Auction.gang``), the tier of their offer, and their limits."""

    gang: Ints
    tier: Ints
    limit: Ints


class Tiers(NamedTuple):
    """The tiers of a round, by pool and then by room."""

    of: Ints
    """Of each offer: its tier."""
    free: Ints
    """GPUs that were free on each of a tier's offers before anybody was assigned."""
    starts: Ints
    """``starts[k]:starts[k + 1]`` are the tiers of pool k."""


def tiers_of(pools: Pools, room: Ints) -> tuple[Ints, Tiers]:
    """The first offer of each tier; and the tiers. ``room``: what is free on each offer before anybody is assigned."""
    first, of = numbered(pools.of * (1 + room.max(initial=0)) + room)
    starts = np.searchsorted(pools.of[first], np.arange(len(pools.members_from)))
    return first, Tiers(of, room[first], starts)


def clearing_prices(auction: Auction, tiers: Tiers, room: Ints) -> TickColumn:
    """The price of each offer. ``room``: what may be sold on each, less than is free where its provider cannot bond more."""
    if not len(auction.orders):
        return TickColumn(np.zeros(len(room), np.int64))
    free = np.zeros_like(tiers.free)
    np.maximum.at(free, tiers.of, room)
    return TickColumn(_prices(auction, tiers.of, tiers.starts, free, room)[tiers.of])


@njit(cache=True)
def _prices(auction: Any, tier: Ints, starts: Ints, free: Ints, room: Ints) -> Ints:
    price, most = _by_asks(auction, tier, free, room)
    assigned, left_out = _assigned_and_left_out(auction, tier)
    _lower(auction, assigned, most, starts, free)
    for gang in range(len(left_out)):  # rule 2
        if left_out[gang] > 0:
            _raise(auction, price, most, starts, free, gang, left_out[gang])
    paid, is_rising, looks = np.zeros_like(left_out), True, 0
    while is_rising and looks < MOST_LOOKS:  # rule 3
        is_rising, looks = False, looks + len(assigned.gang)
        for order in range(len(assigned.gang)):
            gang, pays = assigned.gang[order], min(price[assigned.tier[order]], assigned.limit[order])
            if pays > paid[gang] and looks < MOST_LOOKS:
                paid[gang] = pays
                demand = gang // len(auction.sizes)
                looks += auction.accepts_from[demand + 1] - auction.accepts_from[demand]
                is_rising |= _raise(auction, price, most, starts, free, gang, pays)
    return price


@njit(cache=True)
def _by_asks(auction: Any, tier: Ints, free: Ints, room: Ints) -> tuple[Ints, Ints]:
    """Rule 1: the dearest ask that was needed on each tier; and for rule 4 the lowest of a machine there that was not."""
    offers, needed, unneeded = auction.offers, np.zeros(len(free), np.int64), np.full(len(free), NEVER, np.int64)
    for offer in range(len(offers)):
        at, ask = tier[offer], offers[offer].ask
        if offers[offer].room < room[offer]:
            needed[at] = max(needed[at], ask)
        elif room[offer] == free[at]:
            # Else its provider cannot bond what it has free, and it would not have served all.
            unneeded[at] = min(unneeded[at], ask)
    return needed, unneeded


@njit(cache=True)
def _lower(auction: Any, assigned: Any, most: Ints, starts: Ints, free: Ints) -> None:
    """Rule 4: the most that a tier's price may be is the least of it on all tiers where those who are assigned there could have gone."""
    tiers, has_fallen, looks = np.arange(len(free)), True, 0
    a_pass = len(assigned.gang) + len(auction.accepts) + len(free) * len(auction.sizes)
    asked = np.zeros((len(auction.accepts_from) - 1) * len(auction.sizes), np.bool_)
    for gang in assigned.gang:
        asked[gang] = True
    asked = asked.reshape((-1, len(auction.sizes)))
    while has_fallen and looks < MOST_LOOKS:
        has_fallen, looks = False, looks + a_pass
        least = lowest_of(
            auction.sizes, asked, auction.accepts_from, auction.accepts, starts, tiers, most, free
        ).ravel()
        for order in range(len(assigned.gang)):
            gang, at = assigned.gang[order], assigned.tier[order]
            if least[gang] < most[at]:
                most[at], has_fallen = least[gang], True


@njit(cache=True)
def _assigned_and_left_out(auction: Any, tier: Ints) -> tuple[Assigned, Ints]:
    """The orders that are assigned, and the highest limit that was left out of each demand and size; without those who took no part."""
    orders, left_out = auction.orders, np.zeros((len(auction.accepts_from) - 1) * len(auction.sizes), np.int64)
    gang, at, limit = np.empty(len(orders), np.int64), np.empty(len(orders), np.int64), np.empty(len(orders), np.int64)
    count = 0
    for order in range(len(orders)):
        row = orders[order]
        if row.is_held:
            continue
        if row.offer == NOWHERE:
            left_out[auction.gang[order]] = max(left_out[auction.gang[order]], row.limit)
        else:
            gang[count], at[count], limit[count] = auction.gang[order], tier[row.offer], row.limit
            count += 1
    return Assigned(gang[:count].copy(), at[:count].copy(), limit[:count].copy()), left_out


@njit(cache=True)
def _raise(auction: Any, price: Ints, most: Ints, starts: Ints, free: Ints, gang: int, to: int) -> bool:
    """Raise to ``to`` all tiers that accept this demand and have room for the gang; whether that changed any."""
    demand, gpus, has_risen = gang // len(auction.sizes), auction.sizes[gang % len(auction.sizes)], False
    for at in range(auction.accepts_from[demand], auction.accepts_from[demand + 1]):
        pool = auction.accepts[at]
        for tier in range(starts[pool + 1] - 1, starts[pool] - 1, -1):
            if free[tier] < gpus:
                continue
            target = min(to, most[tier])
            if target > price[tier]:
                price[tier] = target
                has_risen = True
    return has_risen
