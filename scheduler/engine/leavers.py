"""Who would leave a machine so that a gang has room there, and what they would lose. Compiled by numba, in integers only.

Most machines have few orders on them, but one of many GPUs may have thousands, and be asked for by gangs of a hundred sizes: so the leavers are
sorted once for all sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scheduler.engine.market import NEVER, NOWHERE, Ints

PAIR = np.dtype([("order", np.int64), ("value", np.int64)])
"""An order and what it loses, or where it came from."""


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
    count, held = losses(orders, offers, elsewhere, leavers, chain, offer, hop)
    if held < short:
        return NOWHERE, NEVER
    sort(orders, leavers, count)
    n, freed, loss = first_who_free(orders, leavers, short, 0, 0, 0)
    for at in range(n - 1, -1, -1):
        order, value = leavers[at].order, leavers[at].value
        if freed - orders[order].gpus >= short:
            freed, loss, n = freed - orders[order].gpus, loss - value, n - 1
            for after in range(at, n):
                leavers[after].order, leavers[after].value = leavers[after + 1].order, leavers[after + 1].value
    return n, loss


@njit(cache=True)
def losses(
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
def sort(orders: Any, leavers: Any, count: int) -> None:
    """Who loses least for each GPU first; of equal ones the one of lower priority. A Shell sort: nearly all offers have few, but one may have many."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for end in range(gap, count):
            order, value, gpus, at = leavers[end].order, leavers[end].value, orders[leavers[end].order].gpus, end
            while at >= gap:
                before = leavers[at - gap]
                mine, others = value * orders[before.order].gpus, before.value * gpus
                if mine > others or (mine == others and order < before.order):
                    break
                leavers[at].order, leavers[at].value = before.order, before.value
                at -= gap
            leavers[at].order, leavers[at].value = order, value
        gap //= 3


@njit(cache=True)
def toil(sitting: int) -> int:
    """The effort of looking at so many who sit on one offer, and of sorting them, which takes longer where they are many."""
    return sitting if sitting < 64 else 12 * sitting


@njit(cache=True)
def first_who_free(orders: Any, leavers: Any, short: int, n: int, freed: int, loss: int) -> tuple[int, int, int]:
    """How many of the first leavers free so many GPUs, how many they free, and what they lose. It goes on from n who do not."""
    while freed < short:
        freed, loss, n = freed + orders[leavers[n].order].gpus, loss + leavers[n].value, n + 1
    return n, freed, loss


@njit(cache=True)
def without_idle(orders: Any, leavers: Any, short: int, n: int, freed: int, loss: int) -> int:
    """What those of the first n lose who have to go, when nobody goes who need not."""
    at = n - 1
    while freed > short and at >= 0:
        gpus = orders[leavers[at].order].gpus
        if freed - gpus >= short:
            freed, loss = freed - gpus, loss - leavers[at].value
        at -= 1
    return loss
