"""How much one round looks at. A book in which everybody wants something else, or a flood of orders made to look so, must not stop the market.

Usual markets are far below all of these bounds. Who has to wait for a later round is told ``RoundFull``; a part of the places is drawn by lot in
every block, so nobody who asks for something rare waits for as long as a flood lasts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scheduler.engine.arrays import Ints, lots

MOST_SIZES = 128
"""Different numbers of GPUs that orders ask for. Usual markets have some ten."""
MOST_DEMANDS = 16_384
"""Demands: what orders ask for beside GPUs and price. Usual markets have some hundreds."""
MOST_WAYS = 1 << 23
"""Kinds of offers, each with a demand and a size that it fits. Usual markets have some ten thousands. Nearly all that a round does
takes time in proportion to them."""
BY_LOT = 4
"""One place in so many is drawn by lot."""


class Asked(NamedTuple):
    """What some orders ask for: columns with a row for each of them."""

    demand: Ints
    gpus: Ints
    limit: Ints
    id_prefix: Any
    """Of its id."""


def of_common_sizes(rows: Ints, gpus: Ints, largest: int, block_hash: str) -> Ints:
    """Those of these orders that ask for one of the numbers of GPUs that most orders ask for, of equally common numbers the smaller; or for a
    number that is drawn.

    More than the ``largest`` that any offer has free is no number of its own: such an order is refused, whether or not it is looked at.
    """
    if np.count_nonzero(np.bincount(gpus)) <= MOST_SIZES:
        return rows
    asked = np.bincount(gpus[rows], minlength=largest + 1)
    is_seen, numbers = np.ones(len(asked), np.bool_), np.arange(largest + 1)
    is_seen[: largest + 1] = False
    by_turn = np.argsort(-asked[: largest + 1], kind="stable")[: np.count_nonzero(asked[: largest + 1])]
    is_seen[_within(MOST_SIZES, by_turn, np.ones_like(numbers), lots(block_hash, numbers))] = True
    return np.asarray(rows[is_seen[gpus[rows]]])


def common_demands(asked: Asked, count: int, block_hash: str) -> Ints:
    """The demands that most orders make, of these those with the highest limits; and some that are drawn."""
    by_turn, lot = _by_turn(-np.bincount(asked.demand, minlength=count), asked, block_hash)
    return _within(MOST_DEMANDS, by_turn, np.ones_like(by_turn), lot)


def narrow_demands(asked: Asked, fitting: Ints, block_hash: str) -> Ints:
    """The demands that take the fewest ways for each of their orders, and some that are drawn, as many as there is time for.

    ``fitting``: of each demand, how many kinds of offers fit it.
    """
    count, gang = len(fitting), np.unique(asked.demand << 16 | asked.gpus)
    ways = fitting * np.bincount(gang >> 16, minlength=count)
    turn = (ways << 20) // np.maximum(1, np.bincount(asked.demand, minlength=count))
    by_turn, lot = _by_turn(turn, asked, block_hash)
    return _within(MOST_WAYS, by_turn, ways, lot)


def _by_turn(turn: Ints, asked: Asked, block_hash: str) -> tuple[Ints, Any]:
    """All demands by turn, of the same turn those with the highest limits first, then those of the first order; and the lot of each."""
    highest, first = np.zeros(len(turn), np.int64), np.full(len(turn), len(asked.demand) - 1, np.int64)
    np.maximum.at(highest, asked.demand, asked.limit)
    np.minimum.at(first, asked.demand, np.arange(len(asked.demand)))
    return np.lexsort((first, -highest, turn)), lots(block_hash, asked.id_prefix[first])


def _within(most: int, by_turn: Ints, weight: Ints, lot: Any) -> Ints:
    """So many of these as weigh no more than ``most`` together: the first of them, and of the others, for a quarter of it, those with the smallest lots."""
    is_first = np.cumsum(weight[by_turn]) <= most - most // BY_LOT
    first, others = by_turn[is_first], by_turn[~is_first]
    drawn = others[np.argsort(lot[others], kind="stable")]
    return np.concatenate((first, drawn[np.cumsum(weight[drawn]) <= most - int(weight[first].sum())]))
