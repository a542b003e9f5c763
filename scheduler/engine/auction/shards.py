"""A round's shards in bundles, to be cleared apart: by other processes, or on other machines.

A shard is a connected component of demands and pools (``pools``). Shards share neither an offer nor the auction's effort, so any bundling of
whole shards ends as all of them together would have ended, bit for bit.
"""

from __future__ import annotations

import heapq

import numpy as np

from scheduler.engine.arrays import Ints
from scheduler.engine.auction.state import Auction


def bundles_of(auction: Auction, most: int) -> list[Ints]:
    """The rows of the auction's orders in at most so many bundles of whole shards, of sizes as even as shards allow. None is empty.

    The largest shard first, each to the bundle with the fewest orders. Rows stay in their order, which is the priority.
    """
    shard = auction.orders["shard"]
    sizes = np.bincount(shard)
    bundle = np.zeros(len(sizes), np.int64)
    heap = [(0, number) for number in range(max(1, most))]
    for one in np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)].tolist():
        held, number = heap[0]
        bundle[one] = number
        heapq.heapreplace(heap, (held + int(sizes[one]), number))
    by_bundle = np.argsort(bundle[shard], kind="stable")
    counts = np.bincount(bundle[shard])
    return [rows for rows in np.split(by_bundle, np.cumsum(counts)[:-1]) if len(rows)]
