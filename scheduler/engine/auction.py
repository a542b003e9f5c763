"""The auction: who gets which GPUs. The only inner loop of the engine, compiled by numba, in integers only.

1. *The highest limits first.* Each order in turn takes the best offer that has room for it: the cheapest that its demand accepts.
2. *Then the rest bid.* The quote of a pool for a gang is the least that so many GPUs on one of its machines cost: what the offer asks,
   and what those lose who would have to leave. An order takes the best quote below its limit; those who leave bid in their turn, a
   chain of at most ``CHAIN`` moves. The chain stands up to where it raised the surplus most, and is undone, move by move, from there on.
3. *Sweeps* of 2 go on until nothing changes, then with moves made cheaper, so that longer chains are tried, or until the effort of that
   shard is used up.

The surplus, the sum of gpus × (limit − ask), rises with every chain that stands, so the auction ends. Orders come sorted by priority and
offers by rank, whatever the order of the snapshot's rows, and there is neither a float nor a clock: equal markets give equal seats on
every machine. Shards share nothing, not even their effort: cleared together or apart, they end the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scheduler.engine.leavers import PAIR, first_who_free, losses, sort, toil, who_leaves, without_idle
from scheduler.engine.market import NEVER, NOWHERE, Bools, Ints, Records, begin, leave, sit, sizes_in

NO_CHAIN = -2
"""Nobody was seated in it."""
CHAIN = 32
"""Moves in one chain. Longer ones seldom stand."""
PAPER = 64 * CHAIN
SWEEPS = 12
EFFORT = 4_000_000
"""Offers, and orders on them, that are looked at per shard, in units of some 25 ns: a tenth of a second. Small markets are done long before."""
EFFORT_PER_ROW = 200
"""A small shard has less, so many for each of its orders and offers: a market of a thousand shards must not take a thousand times as long."""
HOPS = (5, 6, 7)
"""A move costs 2^-5 of the ask in a quote (never in the surplus), so that of two chains of equal worth the shorter is tried first. When nothing
changes any more it costs 2^-6, then 2^-7."""

QUOTE = np.dtype([("cost", np.int64), ("offer", np.int64)])
"""Of a pool and a size: what such a gang costs there, all its GPUs for an hour, and on which offer."""


class Notes(NamedTuple):
    """Paper of the auction."""

    quotes: Records
    is_fresh: Bools
    """Of each pool: whether its quotes are still true. They are until somebody comes or goes."""
    elsewhere: Ints
    """Of each demand and size: the best quote it was last given. What leaving costs an order that can go there."""
    leavers: Records
    """Orders that would leave, and what each loses."""
    moves: Records
    """The moves of this chain: the order, and the offer that it came from."""
    bidders: Ints
    """Who still has to bid in this chain."""
    effort: Ints
    """Of each shard: how much it may still look at."""
    hop: Ints
    """One number: the shift that makes a move's cost out of an ask (``HOPS``)."""
    shard: Ints
    """Of each pool; NOWHERE where no order accepts it."""
    beats: Ints
    """Of each order: what a quote must stay below for it to bid: what it would lose where it sits, or its limit; 0 where it takes no part."""
    asks: Bools
    """Of each demand and size: whether anybody takes part who asks for it."""


# 1. The highest limits first ------------------------------------------------------------------------------------------


@njit(cache=True)
def seat_by_priority(market: Any) -> None:
    """Each order that has no seat takes the best offer with room. Room only shrinks here: what was too small once is not looked at again."""
    orders, wishes, offers, sizes, _, _, members_from, _ = market
    looked, has_none = np.empty((len(members_from) - 1, len(sizes)), np.int64), _without_room(market)
    looked[:] = members_from[:-1].reshape((-1, 1))
    # Of each wish, the best when it was last looked for. While it has room it stays the best: the others can only lose theirs.
    found = np.full(len(has_none), NOWHERE, np.int64)
    for order in range(len(orders)):
        if has_none[wishes[order]] or orders[order].offer != NOWHERE or orders[order].is_held:
            continue
        best = found[wishes[order]]
        if best == NOWHERE or offers[best].room < orders[order].gpus:
            best = _best_with_room(market, looked, orders[order].demand, orders[order].size, orders[order].gpus)
            found[wishes[order]] = best
        if best != NOWHERE and offers[best].ask <= orders[order].limit:
            sit(orders, offers, order, best)
        else:  # Nor is there one for those who come later, with lower limits.
            has_none[wishes[order]] = True


@njit(cache=True)
def _best_with_room(market: Any, looked: Ints, demand: int, size: int, gpus: int) -> int:
    """The best offer that the demand accepts and that has room, or NOWHERE. ``looked``: of each pool and size, up to where there is none."""
    offers, members, best = market.offers, market.members, NOWHERE
    for at in range(market.accepts_from[demand], market.accepts_from[demand + 1]):
        pool = market.accepts[at]
        look, end = looked[pool, size], market.members_from[pool + 1]
        while look < end and offers[members[look]].room < gpus:
            look += 1
        looked[pool, size] = look
        if look < end and (best == NOWHERE or offers[members[look]].rank < offers[best].rank):
            best = members[look]
    return best


@njit(cache=True)
def _without_room(market: Any) -> Bools:
    """The wishes for which there is no room at all."""
    most, sizes = np.zeros(len(market.members_from) - 1, np.int64), market.sizes
    for pool in range(len(most)):
        for offer in market.members[market.members_from[pool] : market.members_from[pool + 1]]:
            most[pool] = max(most[pool], market.offers[offer].room)
    found = np.empty((len(market.accepts_from) - 1) * len(sizes), np.bool_)
    for demand in range(len(market.accepts_from) - 1):
        room = 0
        for pool in market.accepts[market.accepts_from[demand] : market.accepts_from[demand + 1]]:
            room = max(room, most[pool])
        for size in range(len(sizes)):
            found[demand * len(sizes) + size] = room < sizes[size]
    return found


# 2. The rest bid ------------------------------------------------------------------------------------------------------


@njit(cache=True)
def _quote(market: Any, notes: Any, chain: int, pool: int, shard: int) -> None:
    """Work out what a gang of each size costs in this pool."""
    orders, _, offers, sizes, _, _, members_from, members = market
    leavers, looks = notes.leavers, 0
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
                count, held = losses(orders, offers, notes.elsewhere, leavers, chain, offer, notes.hop[0])
                sort(orders, leavers, count)
                looks += toil(offers[offer].sitting)
            if held >= short:
                looks += n >> 4
                n, freed, loss = first_who_free(orders, leavers, short, n, freed, loss)
                least = asked + without_idle(orders, leavers, short, n, freed, loss)
                if least < cost[size]:
                    cost[size], best[size] = least, offer
        if is_dear:
            break
    for size in range(len(sizes)):
        quote = notes.quotes[pool, size]
        quote.cost, quote.offer = cost[size], best[size]
    notes.is_fresh[pool] = True
    notes.effort[shard] -= looks * (1 + (len(sizes) >> 4))


@njit(cache=True)
def _best_quote(market: Any, notes: Any, chain: int, demand: int, size: int, shard: int) -> tuple[int, int]:
    """The best of all pools that the demand accepts: (cost, offer)."""
    cost, offer, accepts, quotes = NEVER, NOWHERE, market.accepts, notes.quotes
    start, end = market.accepts_from[demand], market.accepts_from[demand + 1]
    notes.effort[shard] -= (end - start) >> 6
    for at in range(start, end):
        pool = accepts[at]
        if not notes.is_fresh[pool]:
            _quote(market, notes, chain, pool, shard)
        if quotes[pool, size].cost < cost:
            cost, offer = quotes[pool, size].cost, quotes[pool, size].offer
    return cost, offer


@njit(cache=True)
def bid(market: Any, notes: Any, chain: int, order: int) -> bool:
    """One chain, begun by this order, which gives up its own place if it has one; whether the chain stands."""
    orders, offers, bidders = market.orders, market.offers, notes.bidders
    gain, moves, waiting, most, kept = 0, 0, 1, 0, 0
    bidders[0] = order
    if orders[order].offer != NOWHERE:
        gain -= _surplus(orders, offers, order)
        moves = _move(market, notes, moves, order, NOWHERE)
    for _ in range(CHAIN):
        if waiting == 0:
            break
        waiting -= 1
        bidder = orders[bidders[waiting]]
        cost, offer = _best_quote(market, notes, chain, bidder.demand, bidder.size, bidder.shard)
        notes.elsewhere[bidder.demand, bidder.size] = cost
        if cost >= bidder.gpus * bidder.limit:
            continue
        notes.effort[bidder.shard] -= toil(offers[offer].sitting) >> 4
        n, _ = who_leaves(orders, offers, notes.elsewhere, notes.leavers, chain, offer, bidder.gpus, notes.hop[0])
        if n == NOWHERE or moves + n >= PAPER or waiting + n >= PAPER:
            continue
        newcomer = bidders[waiting]
        for at in range(n):
            leaver = notes.leavers[at].order
            gain -= _surplus(orders, offers, leaver)
            moves = _move(market, notes, moves, leaver, NOWHERE)
            bidders[waiting] = leaver
            waiting += 1
        moves = _move(market, notes, moves, newcomer, offer)
        gain += _surplus(orders, offers, newcomer)
        orders[newcomer].chain = chain
        if gain > most:
            most, kept = gain, moves
    for at in range(moves - 1, kept - 1, -1):
        _move(market, notes, at, notes.moves[at].order, notes.moves[at].value)
    return most > 0


@njit(cache=True)
def _surplus(orders: Any, offers: Any, order: int) -> int:
    """What a seated order adds: gpus × (limit − ask)."""
    surplus: int = orders[order].gpus * (orders[order].limit - offers[orders[order].offer].ask)
    return surplus


@njit(cache=True)
def _move(market: Any, notes: Any, moves: int, order: int, to: int) -> int:
    """Note where the order sat, and seat it there; how many moves the chain has now."""
    orders, offers, came_from = market.orders, market.offers, market.orders[order].offer
    notes.moves[moves].order, notes.moves[moves].value = order, came_from
    if came_from != NOWHERE:
        leave(orders, offers, order)
        notes.is_fresh[offers[came_from].pool] = False
    if to != NOWHERE:
        sit(orders, offers, order, to)
        notes.is_fresh[offers[to].pool] = False
    notes.beats[order] = _beats(orders, offers, order)
    return moves + 1


@njit(cache=True)
def _beats(orders: Any, offers: Any, order: int) -> int:
    row = orders[order]
    beats: int = row.gpus * (row.limit if row.offer == NOWHERE else offers[row.offer].ask)
    return beats


# 3. Sweeps ------------------------------------------------------------------------------------------------------------


@njit(cache=True)
def improve(market: Any, notes: Any) -> None:
    """Sweep after sweep while it raises the surplus; then again at lower costs of a move, so that longer chains are tried."""
    chain = 0
    # The first sweep looks round again, then knowing what those can be quoted who would have to leave.
    _look_round(market, notes, np.ones(len(notes.effort), np.bool_))
    for hop in HOPS:
        notes.hop[0] = hop
        is_moving = notes.effort > 0
        for _ in range(SWEEPS):
            if not is_moving.any():
                break
            is_moving, chain = _sweep(market, notes, is_moving, chain)


@njit(cache=True)
def noted(market: Any, shards: int, effort: int) -> Notes:
    """Paper as it is before the first bid."""
    orders, offers = market.orders, market.offers
    pools, demands, sizes = len(market.members_from) - 1, len(market.accepts_from) - 1, len(market.sizes)
    beats = np.zeros(len(orders), np.int64)
    asks, shard = np.zeros((demands, sizes), np.bool_), np.full(pools, NOWHERE, np.int64)
    is_told, rows = np.zeros(demands, np.bool_), np.zeros(shards, np.int64)
    for order in range(len(orders)):
        row = orders[order]
        if not is_told[row.demand]:
            is_told[row.demand] = True
            for at in range(market.accepts_from[row.demand], market.accepts_from[row.demand + 1]):
                shard[market.accepts[at]] = row.shard
        rows[row.shard] += 1
        if not row.is_held:
            asks[row.demand, row.size], beats[order] = True, _beats(orders, offers, order)
    for pool in range(pools):
        if shard[pool] != NOWHERE:
            rows[shard[pool]] += market.members_from[pool + 1] - market.members_from[pool]
    return Notes(
        np.empty((pools, sizes), QUOTE), np.zeros(pools, np.bool_), np.full((demands, sizes), NEVER, np.int64), np.empty(len(orders) + 1, PAIR),
        np.empty(PAPER, PAIR), np.empty(PAPER, np.int64), np.minimum(effort, EFFORT_PER_ROW * rows), np.array([HOPS[0]]), shard, beats, asks,
    )  # fmt: skip


@njit(cache=True)
def _sweep(market: Any, notes: Any, is_moving: Bools, chain: int) -> tuple[Bools, int]:
    """Every order that was left out or was quoted a cheaper place bids once: which shards changed, and how many chains there have been.

    When one order's chain was undone, those of the same demand and size with lower limits need not try in this sweep.
    """
    _look_round(market, notes, is_moving)
    has_changed, has_failed, elsewhere = (
        np.zeros_like(is_moving),
        np.zeros(notes.asks.size, np.bool_),
        notes.elsewhere.ravel(),
    )
    for order in range(len(notes.beats)):
        wish = market.wish[order]
        if elsewhere[wish] >= notes.beats[order] or has_failed[wish]:
            continue
        shard = market.orders[order].shard
        if is_moving[shard] and notes.effort[shard] > 0:
            chain += 1
            stands = bid(market, notes, chain, order)
            has_changed[shard] |= stands
            has_failed[wish] = not stands
    return has_changed, chain


@njit(cache=True)
def _look_round(market: Any, notes: Any, is_moving: Bools) -> None:
    """What each demand would be quoted now, where those would have to leave who were quoted something elsewhere the last time."""
    for pool in range(len(notes.shard)):
        shard = notes.shard[pool]
        if shard != NOWHERE and is_moving[shard]:
            _quote(market, notes, NO_CHAIN, pool, shard)
    found, paper = notes.elsewhere.copy(), np.empty(len(market.sizes), np.int64)
    for demand in range(len(found)):
        pools = market.accepts[market.accepts_from[demand] : market.accepts_from[demand + 1]]
        wanted = paper[: sizes_in(notes.asks, demand, paper)]
        if not len(wanted) or not is_moving[notes.shard[pools[0]]]:
            continue
        for size in wanted:
            found[demand, size] = NEVER
        for pool in pools:
            if not notes.is_fresh[pool]:
                _quote(market, notes, NO_CHAIN, pool, notes.shard[pool])
            for size in wanted:
                found[demand, size] = min(found[demand, size], notes.quotes[pool, size].cost)
    notes.elsewhere[:] = found


@njit(cache=True)
def auction(market: Any, shards: int) -> None:
    """Seat the orders: ``market.orders["offer"]`` says where each of them sits in the end, or NOWHERE. Nobody for whom there is room stands.

    Where it says an offer at the beginning, the order is held there.
    """
    begin(market)
    seat_by_priority(market)
    improve(market, noted(market, shards, EFFORT))
    seat_by_priority(market)
