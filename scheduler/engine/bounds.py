"""How much one round looks at. A book in which everybody wants something else, or a flood of orders made to look so, must not stop the market.

Usual markets are far below all of these bounds. Who has to wait for a later round is told ``RoundFull``.
"""

from __future__ import annotations

import numpy as np

from scheduler.engine.market import Ints

MOST_SIZES = 128
"""Different numbers of GPUs that orders ask for. Usual markets have some ten."""
MOST_DEMANDS = 16_384
"""Demands: what orders ask for beside GPUs and price. Usual markets have some hundreds."""
MOST_WAYS = 1 << 23
"""Pairs of a group of like offers and a demand and size that it fits. Usual markets have some ten thousands. Nearly all that a round does
takes time in proportion to them."""


def of_common_sizes(rows: Ints, gpus: Ints, largest: int) -> Ints:
    """Those of these orders that ask for one of the numbers of GPUs that most orders ask for; of equally common numbers the smaller.

    More than the ``largest`` that any offer has free is no number of its own: such an order is refused, whether or not it is looked at.
    """
    if np.count_nonzero(np.bincount(gpus)) <= MOST_SIZES:
        return rows
    asked = np.bincount(gpus[rows], minlength=largest + 1)
    is_common = np.ones(len(asked), np.bool_)
    is_common[np.argsort(-asked[: largest + 1], kind="stable")[MOST_SIZES:]] = False
    return np.asarray(rows[is_common[gpus[rows]]])


def common_demands(demand: Ints, limit: Ints, count: int) -> Ints:
    """The demands that most orders make, of these those with the highest limits. ``demand`` and ``limit``: of each order."""
    return _first(-np.bincount(demand, minlength=count), demand, limit, count)[:MOST_DEMANDS]


def narrow_demands(demand: Ints, gpus: Ints, limit: Ints, fitting: Ints) -> Ints:
    """The demands that take the fewest ways for each of their orders, as many as there is time for.

    ``fitting``: of each demand, how many groups of offers fit it. The others are as in ``common_demands``.
    """
    count, wish = len(fitting), np.unique(demand << 16 | gpus)
    ways = fitting * np.bincount(wish >> 16, minlength=count)
    by_turn = _first((ways << 20) // np.maximum(1, np.bincount(demand, minlength=count)), demand, limit, count)
    return np.asarray(by_turn[np.cumsum(ways[by_turn]) <= MOST_WAYS])


def _first(turn: Ints, demand: Ints, limit: Ints, count: int) -> Ints:
    """All demands: by turn, of the same turn those with the highest limits first, then those of the first order."""
    highest, first = np.zeros(count, np.int64), np.full(count, len(demand), np.int64)
    np.maximum.at(highest, demand, limit)
    np.minimum.at(first, demand, np.arange(len(demand)))
    return np.lexsort((first, -highest, turn))
