"""What a fill pays: the clearing price of the GPUs that it takes, or its own signed limit where that is lower (I-4).

GPUs of one pool on machines with equally many free make a *node*: an order that may go to one of them may go to all. The price of a node is
the least that leaves nobody with a reason to complain, the lower end of what the duals of the assignment allow:

1. it is no lower than the dearest ask that was needed there: who was needed is paid alike;
2. it is no lower than the highest limit of an order that was left out and could have gone there: that one would have paid as much;
3. it is no lower than what any order pays elsewhere that could have come here: else it would rather be here;
4. 2 and 3 raise it no higher than the lowest ask of a machine on which nothing was sold and to which one who pays it could have gone.

Whole gangs cannot always be priced so that nobody complains: where the rules differ 1 goes before 4, and 4 before 2 and 3.

So a price depends on what others ask and would have paid, and hardly on what the order itself said; ``docs/research/regret.md`` shows what shading
a limit or padding an ask is worth, and how near to the duals prices are, measured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from scheduler.engine.columns import numbered
from scheduler.engine.market import NEVER, NOWHERE, Ints, SeatMap
from scheduler.engine.pools import Pools, lowest_of

MOST_LOOKS = 1 << 30
"""Orders, nodes and pools that accept a demand, that rules 3 and 4 may look at, each: a second. A price moves on by one node a pass, so a flood of wide
orders beside a long chain of nodes would hold the round up. Usual markets need less than a thousandth; where it is not enough, prices stay
as they are by then."""


class Seated(NamedTuple):
    """Those who sit, by priority: what they ask for (``Market.wish``), the node where they sit, and their limits."""

    wish: Ints
    node: Ints
    limit: Ints


class Nodes(NamedTuple):
    """The nodes of a market, by pool and then by room."""

    of: Ints
    """Of each offer: its node."""
    free: Ints
    """GPUs that were free on each of a node's offers before anybody was seated."""
    starts: Ints
    """``starts[k]:starts[k + 1]`` are the nodes of pool k."""


def nodes_of(pools: Pools, room: Ints) -> tuple[Ints, Nodes]:
    """The first offer of each node; and the nodes. ``room``: what is free on each offer before anybody is seated."""
    first, of = numbered(pools.of * (1 + room.max(initial=0)) + room)
    starts = np.searchsorted(pools.of[first], np.arange(len(pools.members_from)))
    return first, Nodes(of, room[first], starts)


def clearing_prices(market: SeatMap, nodes: Nodes, room: Ints) -> Ints:
    """The price of each offer in ticks. ``room``: what may be sold on each, less than is free where its provider cannot bond more."""
    if not len(market.orders):
        return np.zeros(len(room), np.int64)
    free = np.zeros_like(nodes.free)
    np.maximum.at(free, nodes.of, room)
    return np.asarray(_prices(market, nodes.of, nodes.starts, free, room)[nodes.of])


@njit(cache=True)
def _prices(market: Any, node: Ints, starts: Ints, free: Ints, room: Ints) -> Ints:
    price, most = _by_asks(market, node, free, room)
    seated, left_out = _seated_and_left_out(market, node)
    _lower(market, seated, most, starts, free)
    for wish in range(len(left_out)):  # rule 2
        if left_out[wish] > 0:
            _raise(market, price, most, starts, free, wish, left_out[wish])
    told, is_rising, looks = np.zeros_like(left_out), True, 0
    while is_rising and looks < MOST_LOOKS:  # rule 3
        is_rising, looks = False, looks + len(seated.wish)
        for order in range(len(seated.wish)):
            wish, pays = seated.wish[order], min(price[seated.node[order]], seated.limit[order])
            if pays > told[wish] and looks < MOST_LOOKS:
                told[wish] = pays
                looks += _accepting(market, wish)
                is_rising |= _raise(market, price, most, starts, free, wish, pays)
    return price


@njit(cache=True)
def _by_asks(market: Any, node: Ints, free: Ints, room: Ints) -> tuple[Ints, Ints]:
    """Rule 1: the dearest ask that was needed on each node; and for rule 4 the lowest of a machine there that was not."""
    offers, needed, unneeded = market.offers, np.zeros(len(free), np.int64), np.full(len(free), NEVER, np.int64)
    for offer in range(len(offers)):
        at, ask = node[offer], offers[offer].ask
        if offers[offer].room < room[offer]:
            needed[at] = max(needed[at], ask)
        elif room[offer] == free[at]:
            # Else its provider cannot bond what it has free, and it would not have served all.
            unneeded[at] = min(unneeded[at], ask)
    return needed, unneeded


@njit(cache=True)
def _lower(market: Any, seated: Any, most: Ints, starts: Ints, free: Ints) -> None:
    """Rule 4: the most that a node's price may be is the least of it on all nodes where those who sit there could have gone."""
    nodes, has_fallen, looks = np.arange(len(free)), True, 0
    a_pass = len(seated.wish) + len(market.accepts) + len(free) * len(market.sizes)
    asked = np.zeros((len(market.accepts_from) - 1) * len(market.sizes), np.bool_)
    for wish in seated.wish:
        asked[wish] = True
    asked = asked.reshape((-1, len(market.sizes)))
    while has_fallen and looks < MOST_LOOKS:
        has_fallen, looks = False, looks + a_pass
        least = lowest_of(market.sizes, asked, market.accepts_from, market.accepts, starts, nodes, most, free).ravel()
        for order in range(len(seated.wish)):
            wish, at = seated.wish[order], seated.node[order]
            if least[wish] < most[at]:
                most[at], has_fallen = least[wish], True


@njit(cache=True)
def _seated_and_left_out(market: Any, node: Ints) -> tuple[Seated, Ints]:
    """The orders that sit, and the highest limit that was left out of each demand and size; without those who took no part."""
    orders, left_out = market.orders, np.zeros((len(market.accepts_from) - 1) * len(market.sizes), np.int64)
    wish, at, limit = np.empty(len(orders), np.int64), np.empty(len(orders), np.int64), np.empty(len(orders), np.int64)
    count = 0
    for order in range(len(orders)):
        row = orders[order]
        if row.is_held:
            continue
        if row.offer == NOWHERE:
            left_out[market.wish[order]] = max(left_out[market.wish[order]], row.limit)
        else:
            wish[count], at[count], limit[count] = market.wish[order], node[row.offer], row.limit
            count += 1
    return Seated(wish[:count].copy(), at[:count].copy(), limit[:count].copy()), left_out


@njit(cache=True)
def _raise(market: Any, price: Ints, most: Ints, starts: Ints, free: Ints, wish: int, to: int) -> bool:
    """Raise to ``to`` all nodes that accept this demand and have room for the gang; whether that changed any."""
    demand, gpus, has_risen = wish // len(market.sizes), market.sizes[wish % len(market.sizes)], False
    for at in range(market.accepts_from[demand], market.accepts_from[demand + 1]):
        pool = market.accepts[at]
        for node in range(starts[pool + 1] - 1, starts[pool] - 1, -1):
            if free[node] < gpus:
                continue
            target = min(to, most[node])
            if target > price[node]:
                price[node] = target
                has_risen = True
    return has_risen


@njit(cache=True)
def _accepting(market: Any, wish: int) -> int:
    """How many pools accept it."""
    demand = wish // len(market.sizes)
    return int(market.accepts_from[demand + 1] - market.accepts_from[demand])
