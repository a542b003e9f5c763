"""The state of an auction as arrays: what each order bids for, and where it is assigned. Compiled by numba, in integers only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scheduler.engine.arrays import NOWHERE, Bools, Ints, Records, sizes_of, starts_of
from scheduler.engine.matching.pools import Pools, asked_of, lowest_of
from scheduler.engine.tables.facts import Facts
from scheduler.engine.tables.ticks import TickColumn

ORDER = np.dtype(
    [(name, np.int32) for name in ("row", "limit", "offer", "next", "previous", "path")]
    + [(name, np.uint16) for name in ("demand", "size", "gpus", "shard")]
    + [("is_held", np.uint8)]
)
"""``row``: of the snapshot's orders, for who reads the outcome; ``demand``: its row in ``accepts``; ``size``: of its GPUs among ``sizes``;
``offer``: where it is assigned, or NOWHERE; ``next`` and ``previous`` of those assigned there; ``path``: the last one in which it was
assigned, for nobody is moved twice in one; ``is_held``: it takes no part: it keeps its offer, or has none. Limits and asks are in ticks.

An auction passes over all orders some ten times: so they are packed. Ticks end at 2^30, a contract's GPUs at 2^16, and a round's demands and shards
long before (``bounds.MOST_DEMANDS``)."""

GANG = np.dtype(np.int32)

OFFER = np.dtype([(name, np.int32) for name in ("pool", "ask", "rank", "room", "first", "assigned")])
"""``pool``: the offers that no order of this round can tell apart but by ask and room; ``rank``: by ask first, smaller is better; ``room``:
GPUs free; ``first`` of the orders assigned to it, and how many are ``assigned``."""


class Auction(NamedTuple):
    """Who may go where, and who is assigned where."""

    orders: Records
    """By priority."""
    gang: NDArray[np.int32]
    """Of each order: the gang that it bids for, ``demand`` and ``size`` in one number, ``demand * len(sizes) + size``. Who passes over all
    orders need not look further."""
    offers: Records
    sizes: Ints
    """The distinct numbers of GPUs that orders ask for, ascending."""
    accepts_from: Ints
    """``accepts[accepts_from[d]:accepts_from[d + 1]]`` are the pools that demand d accepts."""
    accepts: Ints
    members_from: Ints
    """``members[members_from[k]:members_from[k + 1]]`` are the offers of pool k, best first."""
    members: Ints


def auction_of(pools: Pools, rows: Ints, facts: Facts, limit: TickColumn, room: Ints, is_held: Bools) -> Auction:
    """An auction among these orders, which come by priority: the highest limits first, equal ones by id.

    ``is_held``: of each order, by row, whether it takes no part. Left out are machines that are full from the start, and orders for which there is
    no machine at all with so many GPUs at their limit.
    """
    is_open = room[pools.members] > 0
    members = pools.members[is_open]
    members_from = starts_of(is_open)[pools.members_from]
    offers = np.empty(len(room), OFFER)
    for name, values in {"pool": pools.of, "ask": facts.offers["ask"], "rank": pools.rank, "room": room}.items():
        offers[name] = values
    offers["first"], offers["assigned"] = NOWHERE, 0
    sizes, size_of = sizes_of(facts.orders["gpus"][rows], int(room.max(initial=0)))
    asked = asked_of(rows, pools.demand, facts.orders["gpus"], size_of, len(pools.shard), len(sizes))
    ask = facts.offers["ask"]
    lowest = lowest_of(sizes, asked, pools.accepts_from, pools.accepts, members_from, members, ask, room)
    orders, gang = np.empty(len(rows), ORDER), np.empty(len(rows), GANG)
    count = _fill(orders, gang, rows, pools.demand, facts.orders["gpus"], size_of, limit, lowest, pools.shard, is_held)
    return Auction(
        orders[:count], gang[:count], offers, sizes, pools.accepts_from, pools.accepts, members_from, members
    )


@njit(cache=True)
def _fill(
    orders: Any, gang: Any, rows: Ints, demands: Ints, gpus: Ints, size_of: Ints, limits: Ints, lowest: Ints, shard: Ints,
    is_held: Bools,
) -> int:  # fmt: skip
    """Write down those orders that have a chance; how many."""
    count = 0
    for row in rows:
        demand, size, limit = demands[row], size_of[gpus[row]], limits[row]
        if limit >= lowest[demand, size]:
            order = orders[count]
            order.row, order.demand, order.size, order.shard = row, demand, size, shard[demand]
            order.gpus, order.limit, order.is_held = gpus[row], limit, is_held[row]
            order.offer, order.next, order.previous, order.path = NOWHERE, NOWHERE, NOWHERE, NOWHERE
            gang[count] = demand * lowest.shape[1] + size
            count += 1
    return count


@njit(cache=True)
def assign(orders: Any, offers: Any, order: int, offer: int) -> None:
    """Give the order its GPUs on this offer."""
    first = offers[offer].first
    orders[order].offer, orders[order].next, orders[order].previous = offer, first, NOWHERE
    if first != NOWHERE:
        orders[first].previous = order
    offers[offer].first = order
    offers[offer].assigned += 1
    offers[offer].room -= orders[order].gpus


@njit(cache=True)
def release(orders: Any, offers: Any, order: int) -> None:
    """Take them back."""
    offer, before, after = orders[order].offer, orders[order].previous, orders[order].next
    if before == NOWHERE:
        offers[offer].first = after
    else:
        orders[before].next = after
    if after != NOWHERE:
        orders[after].previous = before
    orders[order].offer = NOWHERE
    offers[offer].assigned -= 1
    offers[offer].room += orders[order].gpus


@njit(cache=True)
def restart(auction: Any, held: Ints, is_held: Bools, room: Ints) -> None:
    """Before another auction: who is held where ``held`` says, by row, nobody else anywhere, and all room as it was."""
    for order in auction.orders:
        order.offer, order.is_held, order.path = held[order.row], is_held[order.row], NOWHERE
    for offer in range(len(auction.offers)):
        row = auction.offers[offer]
        row.room, row.first, row.assigned = room[offer], NOWHERE, 0


@njit(cache=True)
def begin(auction: Any) -> None:
    """Assign those who are held."""
    for order in range(len(auction.orders)):
        if auction.orders[order].offer != NOWHERE:
            assign(auction.orders, auction.offers, order, auction.orders[order].offer)


def assigned_after(auction: Auction, rows: int, room: Ints) -> Ints:
    """The offer of each order after an auction, by row; and in the auction what is left of this room."""
    assigned = np.full(rows, NOWHERE, np.int64)
    _close(auction, assigned, room)
    return assigned


@njit(cache=True)
def _close(auction: Any, assigned: Ints, room: Ints) -> None:
    for offer in range(len(room)):
        auction.offers[offer].room = room[offer]
    for order in auction.orders:
        assigned[order.row] = order.offer
        if order.offer != NOWHERE:
            auction.offers[order.offer].room -= order.gpus
