"""Whom a bid displaces: who would leave a machine so that a gang has room there, and what they would lose. Compiled by numba, integers only.

Most machines have few orders on them, but one of many GPUs may have thousands, and be asked for by gangs of a hundred sizes: so those who could
be displaced are sorted once for all sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scheduler.engine.arrays import NEVER, NOWHERE, Ints

PAIR = np.dtype([("order", np.int64), ("value", np.int64)])
"""An order and what it loses, or where it came from."""


@njit(cache=True)
def displaced_by(
    orders: Any, offers: Any, elsewhere: Ints, displaced: Any, path: int, offer: int, gpus: int, move_shift: int
) -> tuple[int, int]:
    """Who would leave the offer for so many GPUs, the first n of ``displaced``, and what they would lose: (n, loss); n is NOWHERE where all of them leaving would not make room.

    Those who lose least for each GPU go first, and nobody goes who need not.
    """
    short = gpus - offers[offer].room
    if short <= 0:
        return 0, 0
    count, held = losses(orders, offers, elsewhere, displaced, path, offer, move_shift)
    if held < short:
        return NOWHERE, NEVER
    sort_by_loss(orders, displaced, count)
    n, freed, loss = first_to_free(orders, displaced, short, 0, 0, 0)
    for at in range(n - 1, -1, -1):
        order, value = displaced[at].order, displaced[at].value
        if freed - orders[order].gpus >= short:
            freed, loss, n = freed - orders[order].gpus, loss - value, n - 1
            for after in range(at, n):
                displaced[after].order, displaced[after].value = displaced[after + 1].order, displaced[after + 1].value
    return n, loss


@njit(cache=True)
def losses(
    orders: Any, offers: Any, elsewhere: Ints, displaced: Any, path: int, offer: int, move_shift: int
) -> tuple[int, int]:
    """All who are assigned to the offer and may be moved, and what each would lose: (how many, how many GPUs).

    An order that leaves loses its surplus, or less if it could go elsewhere, by what an entry last cost there; and a little for the move.
    """
    count, held, ask, order = 0, 0, offers[offer].ask, offers[offer].first
    while order != NOWHERE:
        row = orders[order]
        if row.path != path and not row.is_held:
            here = row.gpus * ask
            loss = max(0, min(row.gpus * row.limit, elsewhere[row.demand, row.size]) - here) + (here >> move_shift) + 1
            displaced[count].order, displaced[count].value = order, loss
            count, held = count + 1, held + row.gpus
        order = row.next
    return count, held


@njit(cache=True)
def sort_by_loss(orders: Any, displaced: Any, count: int) -> None:
    """Who loses least for each GPU first; of equal ones the one of lower priority. A Shell sort: nearly all offers have few, but one may have many."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for end in range(gap, count):
            order, value, gpus, at = displaced[end].order, displaced[end].value, orders[displaced[end].order].gpus, end
            while at >= gap:
                before = displaced[at - gap]
                mine, others = value * orders[before.order].gpus, before.value * gpus
                if mine > others or (mine == others and order < before.order):
                    break
                displaced[at].order, displaced[at].value = before.order, before.value
                at -= gap
            displaced[at].order, displaced[at].value = order, value
        gap //= 3


@njit(cache=True)
def effort_of(assigned: int) -> int:
    """Of looking at so many who are assigned to one offer, and of sorting them, which takes longer where they are many."""
    return assigned if assigned < 64 else 12 * assigned


@njit(cache=True)
def first_to_free(orders: Any, displaced: Any, short: int, n: int, freed: int, loss: int) -> tuple[int, int, int]:
    """How many of the first displaced free so many GPUs, how many they free, and what they lose. It goes on from n who do not."""
    while freed < short:
        freed, loss, n = freed + orders[displaced[n].order].gpus, loss + displaced[n].value, n + 1
    return n, freed, loss


@njit(cache=True)
def least_loss(orders: Any, displaced: Any, short: int, n: int, freed: int, loss: int) -> int:
    """What those of the first n lose who have to go, when nobody goes who need not."""
    at = n - 1
    while freed > short and at >= 0:
        gpus = orders[displaced[at].order].gpus
        if freed - gpus >= short:
            freed, loss = freed - gpus, loss - displaced[at].value
        at -= 1
    return loss
