"""Other ways to clear: take the orders one after the other, in some order, and give each the cheapest offer that is left for it.

All of them know what fits whom, keep gangs whole and count everybody's money, as the engine does. They differ in who comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from scripts.bench.columns import NOBODY, Columns, Ints


@dataclass(frozen=True, slots=True)
class Pairs:
    """Who got what, in the order in which it was given: rows of the columns."""

    orders: Ints
    offers: Ints

    def surplus(self, columns: Columns) -> int:
        """GPUs × (limit − ask) per hour, in token units."""
        return columns.surplus(self.orders, self.offers)


def first_come(columns: Columns) -> Pairs:
    """FIFO: who was accepted first is served first. This is what comparable markets do."""
    return _served(columns, np.lexsort((_by_id(columns), columns.accepted_at)))


def price_time(columns: Columns) -> Pairs:
    """Greedy: the highest limit first, then the earliest."""
    return _served(columns, np.lexsort((_by_id(columns), columns.accepted_at, -columns.limit)))


def largest_first(columns: Columns) -> Pairs:
    """Greedy: the largest gang first, then the highest limit."""
    return _served(columns, np.lexsort((_by_id(columns), columns.accepted_at, -columns.limit, -columns.gpus)))


BASELINES: dict[str, Callable[[Columns], Pairs]] = {
    "fifo": first_come,
    "greedy": price_time,
    "largest": largest_first,
}


def _by_id(columns: Columns) -> Ints:
    """The place of every order by its id."""
    place = np.empty(len(columns.order_ids), dtype=np.int64)
    place[np.argsort(np.array(columns.order_ids))] = np.arange(len(place))
    return place


class _Book(NamedTuple):
    """The columns as compiled code takes them. A kind's offers stand in ``by_ask`` from ``kind_start`` on; a demand's kinds in ``kinds``."""

    demand: Ints
    gpus: Ints
    size: Ints
    limit: Ints
    seconds: Ints
    tip: Ints
    client: Ints
    pinned: Ints
    demand_start: Ints
    kinds: Ints
    kind: Ints
    kind_start: Ints
    by_ask: Ints
    marks: Ints
    """Per kind and size of gang, where in ``by_ask`` to look next: what is too full for a size now will be too full for ever."""
    free: Ints
    ask: Ints
    bond_bps: Ints
    provider: Ints
    accepts: NDArray[np.bool_]
    balance: Ints
    delegate: Ints
    budget: Ints
    worst: Ints
    bond_floor: int


def _served(columns: Columns, turn: Ints) -> Pairs:
    """Serve the orders in this order."""
    demands, kinds = columns.accepts.shape
    of_demand, kind_list = np.nonzero(columns.accepts)
    by_ask = np.lexsort((np.arange(len(columns.ask)), columns.ask, columns.kind))
    kind_start = np.searchsorted(columns.kind[by_ask], np.arange(kinds + 1))
    sizes, size = np.unique(columns.gpus, return_inverse=True)
    book = _Book(
        columns.demand, columns.gpus, size, columns.limit, columns.seconds, columns.tip, columns.client,
        columns.pinned, np.searchsorted(of_demand, np.arange(demands + 1)), kind_list, columns.kind, kind_start,
        by_ask, np.repeat(kind_start[:-1, None], len(sizes), axis=1), columns.free.copy(), columns.ask,
        columns.bond_bps, columns.provider, columns.accepts, columns.balance.copy(), columns.delegate, columns.budget.copy(),
        columns.worst_costs(np.arange(len(columns.gpus))), columns.bond_floor,
    )  # fmt: skip
    chosen = _serve(book, turn)
    orders = turn[chosen[turn] != NOBODY]
    return Pairs(orders, chosen[orders])


@njit(cache=True)
def _serve(book: _Book, turn: Ints) -> Ints:
    """The offer that each order gets, or nobody."""
    chosen = np.full(len(book.demand), NOBODY, dtype=np.int64)
    for order in turn:
        one = book.pinned[order]
        if one == NOBODY:
            one = _cheapest(book, order)
        elif not (book.accepts[book.demand[order], book.kind[one]] and book.ask[one] <= book.limit[order]):
            one = NOBODY
        # Where the cheapest is too dear for the client's balance, so are all others.
        if one != NOBODY and _has_room(book, order, one) and _can_pay(book, order, one):
            cost, bond = _costs(book, order, one)
            chosen[order] = one
            book.free[one] -= book.gpus[order]
            book.balance[book.client[order]] -= cost
            book.balance[book.provider[one]] -= bond
            if book.delegate[order] != NOBODY:
                book.budget[book.delegate[order]] -= book.worst[order]
    return chosen


@njit(cache=True)
def _cheapest(book: _Book, order: int) -> int:
    """The cheapest offer that is left for this order, by row where asks are equal."""
    best = NOBODY
    size = book.size[order]
    for place in range(book.demand_start[book.demand[order]], book.demand_start[book.demand[order] + 1]):
        kind = book.kinds[place]
        end = book.kind_start[kind + 1]
        mark = book.marks[kind, size]
        while mark < end and book.free[book.by_ask[mark]] < book.gpus[order]:
            mark += 1
        book.marks[kind, size] = mark
        for rank in range(mark, end):
            one = book.by_ask[rank]
            if book.ask[one] > book.limit[order] or (best != NOBODY and book.ask[one] >= book.ask[best]):
                break
            if _has_room(book, order, one):
                best = one
                break
    return best


@njit(cache=True)
def _costs(book: _Book, order: int, one: int) -> tuple[int, int]:
    """What the client and the provider put up for this pair, at the ask."""
    locked = -(-book.ask[one] * book.gpus[order] * book.seconds[order] // 3_600)
    return locked + book.tip[order], max(locked * book.bond_bps[one] // 10_000, book.bond_floor)


@njit(cache=True)
def _has_room(book: _Book, order: int, one: int) -> bool:
    """Whether the offer has the GPUs and its provider the bond. Two roles may be one account (P-07)."""
    cost, bond = _costs(book, order, one)
    both = cost if book.provider[one] == book.client[order] else 0
    return bool(book.free[one] >= book.gpus[order] and book.balance[book.provider[one]] - both >= bond)


@njit(cache=True)
def _can_pay(book: _Book, order: int, one: int) -> bool:
    cost, _ = _costs(book, order, one)
    may_spend = book.delegate[order] == NOBODY or book.budget[book.delegate[order]] >= book.worst[order]
    return bool(may_spend and book.balance[book.client[order]] >= cost)
