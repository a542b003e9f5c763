"""The market of a round as a graph: demands on one side, pools of offers on the other, and the shards that it falls into.

A *pool* is the offers that no order of this round can tell apart, but by their ask and their room: nobody has to say what makes a class,
a region or a bond worth a pool of its own. A *shard* is a connected component of demands and pools. No order of one shard can go to an
offer of another, so clearing the shards apart is not an approximation (they share accounts, and ``funds`` looks at those afterwards).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from marketplace.domain.units import BPS_WHOLE
from scheduler.engine.arrays import NEVER, UNKNOWN, Bools, Ints, lots, sizes_in, starts_of
from scheduler.engine.matching.demands import Demands
from scheduler.engine.tables.facts import Facts

_FEW_SIZES = 16
"""To look at all of so many is faster than to find out which are asked for."""
_WHOLE = (1 << 17) - 1
"""In the place of the GPUs that are free, where nobody uses any: more than a machine has."""


@dataclass(frozen=True)
class Pools:
    """The graph of one round: the same for every auction in it."""

    demand: Ints
    """Of each order, by row: its demand, or UNKNOWN."""
    of: Ints
    """Of each offer: its pool. Pools are numbered by their first offer."""
    rank: Ints
    """Of each offer: its place among all, the best first."""
    accepts_from: Ints
    accepts: Ints
    members_from: Ints
    members: Ints
    shard: Ints
    """Of each demand."""

    @property
    def shards(self) -> int:
        return int(self.shard.max(initial=UNKNOWN)) + 1

    def accepted(self, demand: int) -> Ints:
        """The pools that a demand accepts."""
        return self.accepts[self.accepts_from[demand] : self.accepts_from[demand + 1]]

    def members_of(self, demand: int) -> Ints:
        """The offers that fit a demand."""
        pools = self.accepted(demand)
        starts, counts = self.members_from[pools], self.members_from[pools + 1] - self.members_from[pools]
        before = np.cumsum(counts) - counts
        return np.asarray(self.members[np.repeat(starts - before, counts) + np.arange(counts.sum())])

    def offers_of(self, demand: int) -> Ints:
        """The same, the best first."""
        found = self.members_of(demand)
        return np.asarray(found[np.argsort(self.rank[found], kind="stable")])


def pools_of(demands: Demands, rank: Ints) -> Pools:
    """The pools that these demands make of the offers, and who accepts which."""
    pool_of_kind = _numbered(demands.fits)
    of, count = pool_of_kind[demands.offer_kind], int(pool_of_kind.max(initial=UNKNOWN)) + 1
    _, first = np.unique(pool_of_kind, return_index=True)
    edges = demands.fits[:, first]
    accepts_from = starts_of(edges.sum(axis=1))
    accepts = np.nonzero(edges)[1].astype(np.int64)
    best_first = np.empty(len(rank), np.int64)
    best_first[rank] = np.arange(len(rank))
    members = best_first[np.argsort(of[best_first], kind="stable")]
    members_from = starts_of(np.bincount(of, minlength=count))
    shard = _components(accepts_from, accepts, count)
    return Pools(demands.of, of, rank, accepts_from, accepts, members_from, members, shard)


def _numbered(fits: Any) -> Ints:
    """Equal columns, equal numbers, in the order in which they are met."""
    if not fits.size:
        return np.zeros(fits.shape[1], np.int64)
    packed = np.ascontiguousarray(np.packbits(fits, axis=0).T)
    words = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, at = np.unique(words, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return np.asarray(number[at])


@njit(cache=True)
def _components(accepts_from: Ints, accepts: Ints, pools: int) -> Ints:
    """The connected component of each demand, numbered by its first pool; UNKNOWN for those that accept none."""
    root = np.arange(pools)
    for demand in range(len(accepts_from) - 1):
        for at in range(accepts_from[demand] + 1, accepts_from[demand + 1]):
            one, other = _root(root, accepts[at - 1]), _root(root, accepts[at])
            root[max(one, other)] = min(one, other)
    number, count = np.full(pools, UNKNOWN, np.int64), 0
    found = np.full(len(accepts_from) - 1, UNKNOWN, np.int64)
    for pool in range(pools):
        if _root(root, pool) == pool:
            number[pool] = count
            count += 1
    for demand in range(len(found)):
        if accepts_from[demand] < accepts_from[demand + 1]:
            found[demand] = number[_root(root, accepts[accepts_from[demand]])]
    return found


@njit(cache=True)
def _root(root: Ints, pool: int) -> int:
    while root[pool] != pool:
        root[pool] = root[root[pool]]
        pool = root[pool]
    return pool


def rank_of(facts: Facts) -> Ints:
    """The place of each offer among all. By ask; of equal asks the more reliable provider (by the percent); of these machines in use, the one
    with the fewest GPUs free first, so that whole ones stay whole for gangs; then by a lot that every block draws anew: equal offers have
    equal shares, and a machine in pieces, each of them whole, has no larger one.
    """
    offers = facts.offers
    room = np.where(offers["free"] < offers["gpus"], offers["free"], _WHOLE)
    less_reliable = BPS_WHOLE // 100 - facts.reliability // 100
    rank = np.empty(offers.rows, np.int64)
    # Lots differ wherever numbers do.
    order = np.lexsort(
        (lots(facts.snapshot.now.hash, offers["id"]), (offers["ask"] << 24 | less_reliable << 17) | room)
    )
    rank[order] = np.arange(offers.rows)
    return rank


@njit(cache=True)
def asked_of(rows: Ints, demands: Ints, gpus: Ints, size_of: Ints, count: int, sizes: int) -> Bools:
    """Of each demand and size: whether one of these orders asks for it, or there are so few sizes that it is not worth finding out."""
    if sizes <= _FEW_SIZES:
        return np.ones((count, sizes), np.bool_)
    asked = np.zeros((count, sizes), np.bool_)
    for row in rows:
        asked[demands[row], size_of[gpus[row]]] = True
    return asked


@njit(cache=True)
def lowest_of(
    sizes: Ints, asked: Bools, accepts_from: Ints, accepts: Ints, members_from: Ints, members: Ints, cost: Ints, room: Ints
) -> Ints:  # fmt: skip
    """Of each demand and size that is ``asked`` for: the least cost of an offer that fits and has room; NEVER where there is none."""
    of_pool = np.full((len(members_from) - 1, len(sizes)), NEVER, np.int64)
    for pool in range(len(of_pool)):
        for offer in members[members_from[pool] : members_from[pool + 1]]:
            for size in range(len(sizes)):
                if room[offer] >= sizes[size] and cost[offer] < of_pool[pool, size]:
                    of_pool[pool, size] = cost[offer]
    found, sizes_asked = np.full((len(accepts_from) - 1, len(sizes)), NEVER, np.int64), np.empty(len(sizes), np.int64)
    for demand in range(len(found)):
        wanted = sizes_asked[: sizes_in(asked, demand, sizes_asked)]
        for pool in accepts[accepts_from[demand] : accepts_from[demand + 1]]:
            for size in wanted:
                found[demand, size] = min(found[demand, size], of_pool[pool, size])
    return found
