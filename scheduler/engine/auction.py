"""The auction: who gets which GPUs. The only inner loop of the engine, compiled by numba, in integers only.

1. *The highest limits first.* Each order in turn takes the best offer that has room for it: the cheapest that its demand accepts.
2. *Then the rest bid.* The quote of a pool for a gang is the least that so many GPUs on one of its machines cost: what the offer asks,
   and what those lose who would have to leave. An order takes the best quote below its limit; those who leave bid in their turn, a
   chain of at most ``CHAIN`` moves. The chain stands up to where it raised the surplus most, and is undone, move by move, from there on.
3. *Sweeps* of 2 go on until nothing changes, then with moves made cheaper, so that longer chains are tried, or until the effort of that
   shard is used up.

An auction may begin from the seats of an earlier one. A shard in which most seats are kept *goes on*: its sweeps make short chains only,
and ask all pools once, in the first.

The surplus, the sum of gpus × (limit − ask), rises with every chain that stands, so the auction ends. Orders come sorted by priority and
offers by rank, whatever the order of the snapshot's rows, and there is neither a float nor a clock: equal markets give equal seats on
every machine. Shards share nothing, not even their effort: cleared together or apart, they end the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Records = NDArray[np.void]
"""Rows with named columns. (mypy cannot know the names: a row is Any.)"""

NOWHERE = -1
NEVER = 1 << 60
"""More than any quote."""
CHAIN = 32
"""Moves in one chain. Longer ones seldom stand."""
PAPER = 64 * CHAIN
SWEEPS = 12
EFFORT = 4_000_000
"""Offers, and orders on them, that are looked at per shard: a tenth of a second. Small markets are done long before."""
HOPS = (5, 6, 7)
"""A move costs 2^-5 of the ask in a quote (never in the surplus), so that of two chains of equal worth the shorter is tried first. When nothing
changes any more it costs 2^-6, then 2^-7."""

ORDER = np.dtype(
    [
        (name, np.int64)
        for name in (
            "row", "demand", "size", "gpus", "limit", "shard", "offer", "next", "previous", "chain", "is_held",
        )
    ]
)  # fmt: skip
"""``row``: of the snapshot's orders, for who reads the outcome; ``demand``: its row in ``accepts``; ``size``: of its GPUs among ``sizes``; ``offer``: where it sits, or NOWHERE, in a list of those who sit
there; ``chain``: the last one in which it was seated, for nobody is moved twice in one; ``is_held``: takes no part: it stays on its seat, or stands
aside without one. Limits and asks are in ticks (``columns``)."""

OFFER = np.dtype([(name, np.int64) for name in ("pool", "ask", "rank", "room", "first", "sitting")])
"""``pool``: the offers that no order of this round can tell apart but by ask and room; ``rank``: by ask first, smaller is better; ``room``:
GPUs free; ``first`` of those who sit there, and how many are ``sitting``."""

QUOTE = np.dtype([("cost", np.int64), ("offer", np.int64), ("is_fresh", np.int64)])
"""Of a pool and a size: what such a gang costs there, all its GPUs for an hour, and on which offer. Fresh until the pool changes."""

PAIR = np.dtype([("order", np.int64), ("value", np.int64)])


class Market(NamedTuple):
    """Who may go where, and who sits where."""

    orders: Records
    """By priority."""
    offers: Records
    sizes: Ints
    """The distinct numbers of GPUs that orders ask for, ascending."""
    accepts_from: Ints
    """``accepts[accepts_from[d]:accepts_from[d + 1]]`` are the pools that demand d accepts."""
    accepts: Ints
    members_from: Ints
    """``members[members_from[k]:members_from[k + 1]]`` are the offers of pool k, best first."""
    members: Ints


class Notes(NamedTuple):
    """Paper of the auction."""

    quotes: Records
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


@njit(cache=True)
def sit(orders: Any, offers: Any, order: int, offer: int) -> None:
    first = offers[offer].first
    orders[order].offer, orders[order].next, orders[order].previous = offer, first, NOWHERE
    if first != NOWHERE:
        orders[first].previous = order
    offers[offer].first = order
    offers[offer].sitting += 1
    offers[offer].room -= orders[order].gpus


@njit(cache=True)
def leave(orders: Any, offers: Any, order: int) -> None:
    offer, before, after = orders[order].offer, orders[order].previous, orders[order].next
    if before == NOWHERE:
        offers[offer].first = after
    else:
        orders[before].next = after
    if after != NOWHERE:
        orders[after].previous = before
    orders[order].offer = NOWHERE
    offers[offer].sitting -= 1
    offers[offer].room += orders[order].gpus


# 1. The highest limits first ------------------------------------------------------------------------------------------


@njit(cache=True)
def seat_by_priority(market: Any) -> None:
    """Each order that has no seat takes the best offer with room. Room only shrinks here: what was too small once is not looked at again."""
    orders, offers, sizes, accepts_from, accepts, members_from, members = market
    looked = np.empty((len(members_from) - 1, len(sizes)), np.int64)
    for pool in range(len(members_from) - 1):
        looked[pool, :] = members_from[pool]
    has_none = np.zeros((len(accepts_from) - 1, len(sizes)), np.bool_)
    for order in range(len(orders)):
        demand, size, gpus = orders[order].demand, orders[order].size, orders[order].gpus
        if orders[order].offer != NOWHERE or has_none[demand, size] or orders[order].is_held:
            continue
        best = NOWHERE
        for at in range(accepts_from[demand], accepts_from[demand + 1]):
            pool = accepts[at]
            look, end = looked[pool, size], members_from[pool + 1]
            while look < end and offers[members[look]].room < gpus:
                look += 1
            looked[pool, size] = look
            if look < end and (best == NOWHERE or offers[members[look]].rank < offers[best].rank):
                best = members[look]
        if best != NOWHERE and offers[best].ask <= orders[order].limit:
            sit(orders, offers, order, best)
        else:  # Nor is there one for those who come later, with lower limits.
            has_none[demand, size] = True


# 2. The rest bid ------------------------------------------------------------------------------------------------------


@njit(cache=True)
def who_leaves(
    orders: Any, offers: Any, elsewhere: Ints, leavers: Any, chain: int, offer: int, gpus: int, hop: int
) -> tuple[int, int]:
    """Who would leave the offer for so many GPUs, the first n of ``leavers``, and what they would lose: (n, loss). NOWHERE: all would not do.

    Those who lose least for each GPU go first, and nobody goes who need not.
    """
    short = gpus - offers[offer].room
    if short <= 0:
        return 0, 0
    count, held = _losses(orders, offers, elsewhere, leavers, chain, offer, hop)
    if held < short:
        return NOWHERE, NEVER
    n, freed, loss = 0, 0, 0
    while freed < short:
        least = n
        for at in range(n + 1, count):
            mine, others = (
                leavers[at].value * orders[leavers[least].order].gpus,
                leavers[least].value * orders[leavers[at].order].gpus,
            )
            if mine < others or (mine == others and leavers[at].order > leavers[least].order):
                least = at
        order, value = leavers[least].order, leavers[least].value
        leavers[least].order, leavers[least].value = leavers[n].order, leavers[n].value
        leavers[n].order, leavers[n].value = order, value
        freed, loss, n = freed + orders[order].gpus, loss + value, n + 1
    for at in range(n - 1, -1, -1):
        spared = orders[leavers[at].order].gpus
        if freed - spared >= short:
            freed, loss, n = freed - spared, loss - leavers[at].value, n - 1
            for after in range(at, n):
                leavers[after].order, leavers[after].value = leavers[after + 1].order, leavers[after + 1].value
    return n, loss


@njit(cache=True)
def _losses(
    orders: Any, offers: Any, elsewhere: Ints, leavers: Any, chain: int, offer: int, hop: int
) -> tuple[int, int]:
    """All who sit on the offer and may be moved, and what each would lose: (how many, how many GPUs).

    An order that leaves loses its surplus, or less if it was quoted a place elsewhere; and a little for the move.
    """
    count, held, ask, order = 0, 0, offers[offer].ask, offers[offer].first
    while order != NOWHERE:
        row = orders[order]
        if row.chain != chain and not row.is_held:
            here = row.gpus * ask
            loss = max(0, min(row.gpus * row.limit, elsewhere[row.demand, row.size]) - here) + (here >> hop) + 1
            leavers[count].order, leavers[count].value = order, loss
            count, held = count + 1, held + row.gpus
        order = row.next
    return count, held


@njit(cache=True)
def _quote(market: Any, notes: Any, chain: int, pool: int, size: int, shard: int) -> None:
    """Work out what a gang of this size costs in this pool."""
    orders, offers, sizes, _, _, members_from, members = market
    gpus, best, best_offer, looks = sizes[size], NEVER, NOWHERE, 0
    for at in range(members_from[pool], members_from[pool + 1]):
        offer = members[at]
        asked = gpus * offers[offer].ask
        if asked >= best:
            break
        looks += 1 + offers[offer].sitting
        n, loss = who_leaves(orders, offers, notes.elsewhere, notes.leavers, chain, offer, gpus, notes.hop[0])
        if n != NOWHERE and asked + loss < best:
            best, best_offer = asked + loss, offer
    quote = notes.quotes[pool, size]
    quote.cost, quote.offer, quote.is_fresh = best, best_offer, 1
    notes.effort[shard] -= looks


@njit(cache=True)
def _best_quote(market: Any, notes: Any, chain: int, demand: int, size: int, shard: int) -> tuple[int, int]:
    """The best of all pools that the demand accepts: (cost, offer)."""
    cost, offer, accepts, quotes = NEVER, NOWHERE, market.accepts, notes.quotes
    for at in range(market.accepts_from[demand], market.accepts_from[demand + 1]):
        pool = accepts[at]
        if not quotes[pool, size].is_fresh:
            _quote(market, notes, chain, pool, size, shard)
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
    orders, offers, quotes, came_from = market.orders, market.offers, notes.quotes, market.orders[order].offer
    notes.moves[moves].order, notes.moves[moves].value = order, came_from
    if came_from != NOWHERE:
        leave(orders, offers, order)
    if to != NOWHERE:
        sit(orders, offers, order, to)
    for offer in (came_from, to):
        if offer != NOWHERE:
            for size in range(len(market.sizes)):
                quotes[offers[offer].pool, size].is_fresh = 0
    return moves + 1


# 3. Sweeps ------------------------------------------------------------------------------------------------------------


@njit(cache=True)
def improve(market: Any, goes_on: Bools) -> None:
    """Sweep after sweep while it raises the surplus; then again at lower costs of a move, so that longer chains are tried.

    ``goes_on``: of each shard. Such a one does not try longer chains, and keeps its quotes from sweep to sweep.
    """
    pools, demands, sizes = len(market.members_from) - 1, len(market.accepts_from) - 1, len(market.sizes)
    notes = Notes(
        np.zeros((pools, sizes), QUOTE), np.full((demands, sizes), NEVER, np.int64), np.empty(len(market.orders) + 1, PAIR),
        np.empty(PAPER, PAIR), np.empty(PAPER, np.int64), np.full(len(goes_on), EFFORT, np.int64), np.array([HOPS[0]]),
    )  # fmt: skip
    shard = _shards_of_pools(market)
    is_moving, chain = np.ones_like(goes_on), 0
    _look_round(
        market, notes, is_moving
    )  # Twice: in the first sweep again, knowing what those can be quoted who would have to leave.
    _forget_quotes(notes, shard, is_moving)
    for hop in HOPS:
        notes.hop[0] = hop
        is_moving |= ~goes_on
        for _ in range(SWEEPS):
            if not is_moving.any():
                break
            is_moving, chain = _sweep(market, notes, is_moving, chain)
            _forget_quotes(notes, shard, ~goes_on)
        is_moving[:] = False


@njit(cache=True)
def _shards_of_pools(market: Any) -> Ints:
    found, is_told = (
        np.full(len(market.members_from) - 1, NOWHERE, np.int64),
        np.zeros(len(market.accepts_from) - 1, np.bool_),
    )
    for order in range(len(market.orders)):
        demand = market.orders[order].demand
        if not is_told[demand]:
            is_told[demand] = True
            for at in range(market.accepts_from[demand], market.accepts_from[demand + 1]):
                found[market.accepts[at]] = market.orders[order].shard
    return found


@njit(cache=True)
def _forget_quotes(notes: Any, shard: Ints, of: Bools) -> None:
    """The quotes of all pools in these shards."""
    for pool in range(len(shard)):
        if shard[pool] != NOWHERE and of[shard[pool]]:
            for size in range(notes.quotes.shape[1]):
                notes.quotes[pool, size].is_fresh = 0


@njit(cache=True)
def _sweep(market: Any, notes: Any, is_moving: Bools, chain: int) -> tuple[Bools, int]:
    """Every order that was left out or was quoted a cheaper place bids once: which shards changed, and how many chains there have been.

    When one order's chain was undone, those of the same demand and size with lower limits need not try in this sweep.
    """
    orders, offers = market.orders, market.offers
    _look_round(market, notes, is_moving)
    has_changed, has_failed = np.zeros_like(is_moving), np.zeros(notes.elsewhere.shape, np.bool_)
    for order in range(len(orders)):
        row = orders[order]
        if has_failed[row.demand, row.size] or not is_moving[row.shard] or row.is_held:
            continue
        best = row.gpus * (row.limit if row.offer == NOWHERE else offers[row.offer].ask)
        if notes.elsewhere[row.demand, row.size] < best and notes.effort[row.shard] > 0:
            chain += 1
            stands = bid(market, notes, chain, order)
            has_changed[row.shard] |= stands
            has_failed[row.demand, row.size] = not stands
    return has_changed, chain


@njit(cache=True)
def _look_round(market: Any, notes: Any, is_moving: Bools) -> None:
    """What each demand would be quoted now, where those would have to leave who were quoted something elsewhere the last time."""
    orders, found, is_found = market.orders, notes.elsewhere.copy(), np.zeros(notes.elsewhere.shape, np.bool_)
    for order in range(len(orders)):
        row = orders[order]
        if is_moving[row.shard] and not is_found[row.demand, row.size] and not row.is_held:
            found[row.demand, row.size], _ = _best_quote(market, notes, -2, row.demand, row.size, row.shard)
            is_found[row.demand, row.size] = True
    notes.elsewhere[:] = found


@njit(cache=True)
def seat_anew(market: Any, seats: Ints, is_held: Bools, room: Ints) -> None:
    """Before another auction: everybody where ``seats`` says, by row, and all room as it was."""
    for order in market.orders:
        order.offer, order.is_held, order.chain = seats[order.row], is_held[order.row], NOWHERE
    for offer in range(len(market.offers)):
        market.offers[offer].room, market.offers[offer].first, market.offers[offer].sitting = room[offer], NOWHERE, 0


@njit(cache=True)
def auction(market: Any, shards: int) -> None:
    """Seat the orders: ``market.orders["offer"]`` says where each of them sits in the end, or NOWHERE. Nobody for whom there is room stands.

    Where it says an offer at the beginning, the order begins there if it still can: an auction goes on from an earlier one.
    """
    kept = begin(market, shards)
    seat_by_priority(market)
    improve(market, 2 * kept > _seated(market, shards))
    seat_by_priority(market)


@njit(cache=True)
def begin(market: Any, shards: int) -> Ints:
    """Seat those who are held, then those who sat somewhere where they may still sit; how many of each shard."""
    orders, offers, kept = market.orders, market.offers, np.zeros(shards, np.int64)
    for order in range(len(orders)):
        if orders[order].is_held and orders[order].offer != NOWHERE:
            sit(orders, offers, order, orders[order].offer)
    for order in range(len(orders)):
        row, former = orders[order], orders[order].offer
        if row.is_held or former == NOWHERE:
            continue
        row.offer = NOWHERE
        fits = offers[former].room >= row.gpus and offers[former].ask <= row.limit
        if fits and _accepts(market, row.demand, offers[former].pool):
            sit(orders, offers, order, former)
            kept[row.shard] += 1
    return kept


@njit(cache=True)
def _accepts(market: Any, demand: int, pool: int) -> bool:
    at, end = market.accepts_from[demand], market.accepts_from[demand + 1]
    while at < end and market.accepts[at] != pool:
        at += 1
    return bool(at < end)


@njit(cache=True)
def _seated(market: Any, shards: int) -> Ints:
    """How many orders of each shard sit, and are not held."""
    found = np.zeros(shards, np.int64)
    for order in range(len(market.orders)):
        row = market.orders[order]
        if row.offer != NOWHERE and not row.is_held:
            found[row.shard] += 1
    return found
