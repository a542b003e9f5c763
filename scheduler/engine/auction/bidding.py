"""The auction: who gets which GPUs. The only inner loop of the engine, compiled by numba, in integers only.

1. *The highest limits first.* Each order in turn takes the best offer that has room for it: the cheapest that its demand accepts.
2. *Then the rest bid.* The *entry cost* of a pool for a gang is the least that so many GPUs on one of its machines cost: what the offer asks,
   and what those lose who would be displaced. An order takes the least entry cost below its limit; those who are displaced bid in their turn:
   an augmenting *path* of at most ``PATH`` moves. It stands up to where it raised the surplus most, and is undone, move by move, from there on.
3. *Sweeps* of 2 go on until nothing changes, then with moves made cheaper, so that longer paths are tried, or until the effort of that
   shard is used up.

The surplus, the sum of gpus × (limit − ask), rises with every path that stands, so the auction ends. Orders come sorted by priority and
offers by rank, whatever the order of the snapshot's rows, and there is neither a float nor a clock: equal orders and offers end the same on
every machine. Shards share nothing, not even their effort: cleared together or apart, they end the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scheduler.engine.arrays import NEVER, NOWHERE, Bools, Ints, Records, sizes_in
from scheduler.engine.auction.displacement import (
    PAIR,
    displaced_by,
    effort_of,
    first_to_free,
    least_loss,
    losses,
    sort_by_loss,
)
from scheduler.engine.auction.state import Auction, assign, begin, release

Auctioneer = Callable[[Auction, int], Ints]
"""Holds an auction with so many shards; the offer of each order, or NOWHERE."""

NO_PATH = -2
"""In which nobody was moved."""
PATH = 32
"""Moves in one path. Longer ones seldom stand."""
MOST_MOVES = 64 * PATH
SWEEPS = 12
EFFORT = 4_000_000
"""Offers, and orders on them, that are looked at per shard, in units of some 25 ns: a tenth of a second. Small shards are done long before."""
EFFORT_PER_ROW = 200
"""A small shard has less, so many for each of its orders and offers: an auction of a thousand shards must not take a thousand times as long."""
MOVE_SHIFTS = (5, 6, 7)
"""A move costs 2^-5 of the ask in an entry cost (never in the surplus), so that of two paths of equal worth the shorter is tried first. When nothing
changes any more it costs 2^-6, then 2^-7."""
ENTRY = np.dtype([("cost", np.int64), ("offer", np.int64)])
"""Of a pool and a size: the entry cost of such a gang, all its GPUs for an hour, and on which offer."""


class Scratch(NamedTuple):
    """What the auction remembers while it is held."""

    entries: Records
    is_fresh: Bools
    """Of each pool: whether its entry costs still hold. They do until somebody comes or goes."""
    elsewhere: Ints
    """Of each demand and size: the least entry cost when it was last asked for: what an order that is displaced would pay elsewhere."""
    displaced: Records
    """Orders that could be displaced, and what each would lose."""
    moves: Records
    """The moves of this path: the order, and the offer that it came from."""
    bidders: Ints
    """Who still has to bid in this path."""
    effort: Ints
    """Of each shard: how much it may still look at."""
    move_shift: Ints
    """One number: the shift that makes a move's cost out of an ask (``MOVE_SHIFTS``)."""
    shard: Ints
    """Of each pool; NOWHERE where no order accepts it."""
    threshold: Ints
    """Of each order: what an entry cost must stay below for it to bid: what it costs where it is assigned, or its limit; 0 where it takes no part."""
    is_asked: Bools
    """Of each demand and size: whether anybody takes part who asks for it."""


# 1. The highest limits first ------------------------------------------------------------------------------------------


@njit(cache=True)
def assign_by_priority(auction: Any) -> None:
    """Each order that is assigned nowhere takes the best offer with room. Room only shrinks here: what was too small once is not looked at again."""
    orders, gangs, offers, sizes, _, _, members_from, _ = auction
    looked, has_none = np.empty((len(members_from) - 1, len(sizes)), np.int64), _without_room(auction)
    looked[:] = members_from[:-1].reshape((-1, 1))
    # Of each gang, the best when it was last looked for. While it has room it stays the best: the others can only lose theirs.
    found = np.full(len(has_none), NOWHERE, np.int64)
    for order in range(len(orders)):
        if has_none[gangs[order]] or orders[order].offer != NOWHERE or orders[order].is_held:
            continue
        best = found[gangs[order]]
        if best == NOWHERE or offers[best].room < orders[order].gpus:
            best = _best_with_room(auction, looked, orders[order].demand, orders[order].size, orders[order].gpus)
            found[gangs[order]] = best
        if best != NOWHERE and offers[best].ask <= orders[order].limit:
            assign(orders, offers, order, best)
        else:  # Nor is there one for those who come later, with lower limits.
            has_none[gangs[order]] = True


@njit(cache=True)
def _best_with_room(auction: Any, looked: Ints, demand: int, size: int, gpus: int) -> int:
    """The best offer that the demand accepts and that has room, or NOWHERE. ``looked``: of each pool and size, up to where there is none."""
    offers, members, best = auction.offers, auction.members, NOWHERE
    for at in range(auction.accepts_from[demand], auction.accepts_from[demand + 1]):
        pool = auction.accepts[at]
        look, end = looked[pool, size], auction.members_from[pool + 1]
        while look < end and offers[members[look]].room < gpus:
            look += 1
        looked[pool, size] = look
        if look < end and (best == NOWHERE or offers[members[look]].rank < offers[best].rank):
            best = members[look]
    return best


@njit(cache=True)
def _without_room(auction: Any) -> Bools:
    """The gangs for which there is no room at all."""
    most, sizes = np.zeros(len(auction.members_from) - 1, np.int64), auction.sizes
    for pool in range(len(most)):
        for offer in auction.members[auction.members_from[pool] : auction.members_from[pool + 1]]:
            most[pool] = max(most[pool], auction.offers[offer].room)
    found = np.empty((len(auction.accepts_from) - 1) * len(sizes), np.bool_)
    for demand in range(len(auction.accepts_from) - 1):
        room = 0
        for pool in auction.accepts[auction.accepts_from[demand] : auction.accepts_from[demand + 1]]:
            room = max(room, most[pool])
        for size in range(len(sizes)):
            found[demand * len(sizes) + size] = room < sizes[size]
    return found


# 2. The rest bid ------------------------------------------------------------------------------------------------------


@njit(cache=True)
def _find_entries(auction: Any, scratch: Any, path: int, pool: int, shard: int) -> None:
    """Work out the entry cost of a gang of each size in this pool."""
    orders, _, offers, sizes, _, _, members_from, members = auction
    displaced, looks = scratch.displaced, 0
    cost, best = np.full(len(sizes), NEVER, np.int64), np.full(len(sizes), NOWHERE, np.int64)
    for offer in members[members_from[pool] : members_from[pool + 1]]:
        count, held, n, freed, loss, is_dear, looks = NOWHERE, 0, 0, 0, 0, True, looks + 1
        for size in range(len(sizes)):
            asked, short = sizes[size] * offers[offer].ask, sizes[size] - offers[offer].room
            if asked >= cost[size]:
                continue
            is_dear = False
            if short <= 0:
                cost[size], best[size] = asked, offer
                continue
            if count == NOWHERE:
                count, held = losses(orders, offers, scratch.elsewhere, displaced, path, offer, scratch.move_shift[0])
                sort_by_loss(orders, displaced, count)
                looks += effort_of(offers[offer].assigned)
            if held >= short:
                looks += n >> 4
                n, freed, loss = first_to_free(orders, displaced, short, n, freed, loss)
                least = asked + least_loss(orders, displaced, short, n, freed, loss)
                if least < cost[size]:
                    cost[size], best[size] = least, offer
        if is_dear:
            break
    for size in range(len(sizes)):
        entry = scratch.entries[pool, size]
        entry.cost, entry.offer = cost[size], best[size]
    scratch.is_fresh[pool] = True
    scratch.effort[shard] -= looks * (1 + (len(sizes) >> 4))


@njit(cache=True)
def _best_entry(auction: Any, scratch: Any, path: int, demand: int, size: int, shard: int) -> tuple[int, int]:
    """The best of all pools that the demand accepts: (cost, offer)."""
    cost, offer, accepts, entries = NEVER, NOWHERE, auction.accepts, scratch.entries
    start, end = auction.accepts_from[demand], auction.accepts_from[demand + 1]
    scratch.effort[shard] -= (end - start) >> 6
    for at in range(start, end):
        pool = accepts[at]
        if not scratch.is_fresh[pool]:
            _find_entries(auction, scratch, path, pool, shard)
        if entries[pool, size].cost < cost:
            cost, offer = entries[pool, size].cost, entries[pool, size].offer
    return cost, offer


@njit(cache=True)
def bid(auction: Any, scratch: Any, path: int, order: int) -> bool:
    """One path, begun by this order, which gives up its own place if it has one; whether the path stands."""
    orders, offers, bidders = auction.orders, auction.offers, scratch.bidders
    gain, moves, waiting, most, kept = 0, 0, 1, 0, 0
    bidders[0] = order
    if orders[order].offer != NOWHERE:
        gain -= _surplus(orders, offers, order)
        moves = _move(auction, scratch, moves, order, NOWHERE)
    for _ in range(PATH):
        if waiting == 0:
            break
        waiting -= 1
        bidder = orders[bidders[waiting]]
        cost, offer = _best_entry(auction, scratch, path, bidder.demand, bidder.size, bidder.shard)
        scratch.elsewhere[bidder.demand, bidder.size] = cost
        if cost >= bidder.gpus * bidder.limit:
            continue
        scratch.effort[bidder.shard] -= effort_of(offers[offer].assigned) >> 4
        n, _ = displaced_by(
            orders, offers, scratch.elsewhere, scratch.displaced, path, offer, bidder.gpus, scratch.move_shift[0]
        )
        if n == NOWHERE or moves + n >= MOST_MOVES or waiting + n >= MOST_MOVES:
            continue
        newcomer = bidders[waiting]
        for at in range(n):
            one = scratch.displaced[at].order
            gain -= _surplus(orders, offers, one)
            moves = _move(auction, scratch, moves, one, NOWHERE)
            bidders[waiting] = one
            waiting += 1
        moves = _move(auction, scratch, moves, newcomer, offer)
        gain += _surplus(orders, offers, newcomer)
        orders[newcomer].path = path
        if gain > most:
            most, kept = gain, moves
    for at in range(moves - 1, kept - 1, -1):
        _move(auction, scratch, at, scratch.moves[at].order, scratch.moves[at].value)
    return most > 0


@njit(cache=True)
def _surplus(orders: Any, offers: Any, order: int) -> int:
    """What an assigned order adds: gpus × (limit − ask)."""
    surplus: int = orders[order].gpus * (orders[order].limit - offers[orders[order].offer].ask)
    return surplus


@njit(cache=True)
def _move(auction: Any, scratch: Any, moves: int, order: int, to: int) -> int:
    """Note where the order was assigned, and assign it there; how many moves the path has now."""
    orders, offers, came_from = auction.orders, auction.offers, auction.orders[order].offer
    scratch.moves[moves].order, scratch.moves[moves].value = order, came_from
    if came_from != NOWHERE:
        release(orders, offers, order)
        scratch.is_fresh[offers[came_from].pool] = False
    if to != NOWHERE:
        assign(orders, offers, order, to)
        scratch.is_fresh[offers[to].pool] = False
    scratch.threshold[order] = _threshold(orders, offers, order)
    return moves + 1


@njit(cache=True)
def _threshold(orders: Any, offers: Any, order: int) -> int:
    row = orders[order]
    threshold: int = row.gpus * (row.limit if row.offer == NOWHERE else offers[row.offer].ask)
    return threshold


# 3. Sweeps ------------------------------------------------------------------------------------------------------------


@njit(cache=True)
def improve(auction: Any, scratch: Any) -> None:
    """Sweep after sweep while it raises the surplus; then again at lower costs of a move, so that longer paths are tried."""
    path = 0
    # The first sweep does it again, then knowing what those would pay elsewhere who would be displaced.
    _refresh(auction, scratch, np.ones(len(scratch.effort), np.bool_))
    for move_shift in MOVE_SHIFTS:
        scratch.move_shift[0] = move_shift
        is_moving = scratch.effort > 0
        for _ in range(SWEEPS):
            if not is_moving.any():
                break
            is_moving, path = _sweep(auction, scratch, is_moving, path)


@njit(cache=True)
def scratch_for(auction: Any, shards: int, effort: int) -> Scratch:
    """As it is before the first bid."""
    orders, offers = auction.orders, auction.offers
    pools, demands, sizes = len(auction.members_from) - 1, len(auction.accepts_from) - 1, len(auction.sizes)
    threshold = np.zeros(len(orders), np.int64)
    is_asked, shard = np.zeros((demands, sizes), np.bool_), np.full(pools, NOWHERE, np.int64)
    is_known, rows = np.zeros(demands, np.bool_), np.zeros(shards, np.int64)
    for order in range(len(orders)):
        row = orders[order]
        if not is_known[row.demand]:
            is_known[row.demand] = True
            for at in range(auction.accepts_from[row.demand], auction.accepts_from[row.demand + 1]):
                shard[auction.accepts[at]] = row.shard
        rows[row.shard] += 1
        if not row.is_held:
            is_asked[row.demand, row.size], threshold[order] = True, _threshold(orders, offers, order)
    for pool in range(pools):
        if shard[pool] != NOWHERE:
            rows[shard[pool]] += auction.members_from[pool + 1] - auction.members_from[pool]
    return Scratch(
        np.empty((pools, sizes), ENTRY), np.zeros(pools, np.bool_), np.full((demands, sizes), NEVER, np.int64), np.empty(len(orders) + 1, PAIR),
        np.empty(MOST_MOVES, PAIR), np.empty(MOST_MOVES, np.int64), np.minimum(effort, EFFORT_PER_ROW * rows), np.array([MOVE_SHIFTS[0]]), shard, threshold, is_asked,
    )  # fmt: skip


@njit(cache=True)
def _sweep(auction: Any, scratch: Any, is_moving: Bools, path: int) -> tuple[Bools, int]:
    """Every order that was left out or could go to a cheaper place bids once: which shards changed, and how many paths there have been.

    When one order's path was undone, those of the same demand and size with lower limits need not try in this sweep.
    """
    _refresh(auction, scratch, is_moving)
    has_changed, has_failed = np.zeros_like(is_moving), np.zeros(scratch.is_asked.size, np.bool_)
    elsewhere = scratch.elsewhere.ravel()
    for order in range(len(scratch.threshold)):
        gang = auction.gang[order]
        if elsewhere[gang] >= scratch.threshold[order] or has_failed[gang]:
            continue
        shard = auction.orders[order].shard
        if is_moving[shard] and scratch.effort[shard] > 0:
            path += 1
            stands = bid(auction, scratch, path, order)
            has_changed[shard] |= stands
            has_failed[gang] = not stands
    return has_changed, path


@njit(cache=True)
def _refresh(auction: Any, scratch: Any, is_moving: Bools) -> None:
    """The entry costs of all demands now, given what those who would be displaced would have paid elsewhere the last time."""
    for pool in range(len(scratch.shard)):
        shard = scratch.shard[pool]
        if shard != NOWHERE and is_moving[shard]:
            _find_entries(auction, scratch, NO_PATH, pool, shard)
    found, sizes_asked = scratch.elsewhere.copy(), np.empty(len(auction.sizes), np.int64)
    for demand in range(len(found)):
        pools = auction.accepts[auction.accepts_from[demand] : auction.accepts_from[demand + 1]]
        wanted = sizes_asked[: sizes_in(scratch.is_asked, demand, sizes_asked)]
        if not len(wanted) or not is_moving[scratch.shard[pools[0]]]:
            continue
        for size in wanted:
            found[demand, size] = NEVER
        for pool in pools:
            if not scratch.is_fresh[pool]:
                _find_entries(auction, scratch, NO_PATH, pool, scratch.shard[pool])
            for size in wanted:
                found[demand, size] = min(found[demand, size], scratch.entries[pool, size].cost)
    scratch.elsewhere[:] = found


@njit(cache=True)
def hold(auction: Any, shards: int) -> None:
    """Assign the orders: ``auction.orders["offer"]`` says where each of them ends, or NOWHERE. Nobody for whom there is room is left out.

    Where it says an offer at the beginning, the order is held there.
    """
    begin(auction)
    assign_by_priority(auction)
    improve(auction, scratch_for(auction, shards, EFFORT))
    assign_by_priority(auction)


def hold_here(auction: Auction, shards: int) -> Ints:
    """The auction in this process, all shards in one go."""
    hold(auction, shards)
    return np.asarray(auction.orders["offer"])


def highest_first(auction: Auction, shards: int) -> Ints:
    """No auction: the highest limits first, and nobody gives way."""
    begin(auction)
    assign_by_priority(auction)
    return np.asarray(auction.orders["offer"])
