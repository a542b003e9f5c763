"""The market of an auction as arrays: who may go where, and who sits where. Compiled by numba, in integers only."""

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

ORDER = np.dtype(
    [(name, np.int32) for name in ("row", "limit", "offer", "next", "previous", "chain")]
    + [(name, np.uint16) for name in ("demand", "size", "gpus", "shard")]
    + [("is_held", np.uint8)]
)
"""``row``: of the snapshot's orders, for who reads the outcome; ``demand``: its row in ``accepts``; ``size``: of its GPUs among ``sizes``;
``offer``: where it sits, or NOWHERE, in a list of those who sit there; ``chain``: the last one in which it was seated, for nobody is moved
twice in one; ``is_held``: it takes no part: it stays on its seat, or stands aside without one. Limits and asks are in ticks (``columns``).

An auction passes over all orders some ten times: so they are packed. Ticks end at 2^30, a contract's GPUs at 2^16, and a round's demands and shards
long before (``bounds.MOST_DEMANDS``)."""

WISH = np.dtype(np.int32)

OFFER = np.dtype([(name, np.int32) for name in ("pool", "ask", "rank", "room", "first", "sitting")])
"""``pool``: the offers that no order of this round can tell apart but by ask and room; ``rank``: by ask first, smaller is better; ``room``:
GPUs free; ``first`` of those who sit there, and how many are ``sitting``."""


class SeatMap(NamedTuple):
    """Who may go where, and who sits where."""

    orders: Records
    """By priority."""
    wish: NDArray[np.int32]
    """Of each order: ``demand`` and ``size`` in one number, ``demand * len(sizes) + size``. Who passes over all orders need not look further."""
    offers: Records
    sizes: Ints
    """The distinct numbers of GPUs that orders ask for, ascending."""
    accepts_from: Ints
    """``accepts[accepts_from[d]:accepts_from[d + 1]]`` are the pools that demand d accepts."""
    accepts: Ints
    members_from: Ints
    """``members[members_from[k]:members_from[k + 1]]`` are the offers of pool k, best first."""
    members: Ints


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


@njit(cache=True)
def seat_anew(market: Any, seats: Ints, is_held: Bools, room: Ints) -> None:
    """Before another auction: who is held where ``seats`` says, by row, nobody else anywhere, and all room as it was."""
    for order in market.orders:
        order.offer, order.is_held, order.chain = seats[order.row], is_held[order.row], NOWHERE
    for offer in range(len(market.offers)):
        market.offers[offer].room, market.offers[offer].first, market.offers[offer].sitting = room[offer], NOWHERE, 0


@njit(cache=True)
def _settle(market: Any, seats: Ints, room: Ints) -> None:
    for offer in range(len(room)):
        market.offers[offer].room = room[offer]
    for order in market.orders:
        seats[order.row] = order.offer
        if order.offer != NOWHERE:
            market.offers[order.offer].room -= order.gpus


def seats_after(market: SeatMap, rows: int, room: Ints) -> Ints:
    """Where everybody sits after an auction, by row, and in the market what is left of this room."""
    seats = np.full(rows, NOWHERE, np.int64)
    _settle(market, seats, room)
    return seats


def gpus_on(places: Ints, gpus: Ints, count: int) -> Ints:
    """How many GPUs in all there are on each of so many places. Exact: nothing near 2^53 comes together."""
    return np.bincount(places, gpus, count).astype(np.int64)


@njit(cache=True)
def begin(market: Any) -> None:
    """Seat those who are held."""
    for order in range(len(market.orders)):
        if market.orders[order].offer != NOWHERE:
            sit(market.orders, market.offers, order, market.orders[order].offer)


@njit(cache=True)
def sizes_in(asked: Bools, demand: int, sizes: Ints) -> int:
    """Write down the sizes that are asked for of this demand; how many."""
    count = 0
    for size in range(asked.shape[1]):
        if asked[demand, size]:
            sizes[count] = size
            count += 1
    return count
