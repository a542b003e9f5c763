"""`python -m scripts.bench.scale`: rounds of up to a million orders, their time and memory. Writes what docs/research/scale.md is computed from.

It takes some four minutes and 4 GB of memory.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import psutil

from marketplace.chain import verbs
from scheduler.engine.arrays import Ints
from scheduler.engine.auction.bidding import hold_here
from scheduler.engine.auction.state import GANG, OFFER, ORDER, Auction
from scheduler.engine.clear import clear
from scheduler.engine.tables.columns import ColumnReader
from scripts.bench import ten_million as t
from scripts.bench.assembly import TERMS
from scripts.bench.generators import Thin, Uniform
from scripts.bench.sizes import size_of
from scripts.bench.trial import WARM_UP_SEED
from scripts.bench.versions import versions
from scripts.deep import tables
from scripts.deep.figures import Measured, Number, write_figures

T = TypeVar("T")
SEED = 0
ROUNDS = 3
"""Of each kind; the fastest counts, for the machine may have had other work beside the others."""


@dataclass
class TimedAuctions:
    """Holds the auctions of a round here, and keeps the time."""

    seconds: float = 0.0
    shard_sizes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def __call__(self, auction: Auction, shards: int) -> Ints:
        begun = time.perf_counter()
        offer = hold_here(auction, shards)
        self.seconds += time.perf_counter() - begun
        self.shard_sizes = np.bincount(auction.orders["shard"], minlength=shards)
        return offer


@dataclass(frozen=True, slots=True)
class Sample:
    """One market: rounds of it with a reader that has seen nothing and with one that has seen all, and what they took."""

    seconds: float
    seconds_again: float
    auction_seconds: float
    """Of the latter."""
    book_bytes: float
    round_bytes: float
    """Both for each order."""
    fills_percent: float
    shards: int
    largest_shard_percent: float


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes of what a round writes down and posts."""

    snapshot: float
    """For each order."""
    plan: float
    """For each fill, as the next."""
    calldata: float


def main(arguments: list[str]) -> int:
    """Measure, print, and write unless other sizes than the published were asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.scale", description=__doc__)
    parser.add_argument("--sizes", help="orders x offers, such as 10kx1k: print only")
    options = parser.parse_args(arguments)
    sizes = tuple(size_of(text) for text in options.sizes.split(",")) if options.sizes else t.SIZES
    values = dict[str, Number]()
    for orders, offers in sizes:
        thin, wide = (_apart(sampled, kind(orders=orders, offers=offers)) for kind in (Thin, Uniform))
        values |= _of_size(orders, thin, wide)
    values |= _of_one(thin, _apart(written, Thin(*sizes[0])))
    for key, value in values.items():
        print(f"{value:>14,}  {t.words().get(key, key)}")
    if not options.sizes:
        write_figures(Measured(values, versions()), t.COMMAND)
        tables.main([])
    return 0


def _of_size(orders: int, thin: Sample, wide: Sample) -> dict[str, Number]:
    found = {
        "seconds": thin.seconds,
        "seconds_again": thin.seconds_again,
        "auction_seconds": thin.auction_seconds,
        "one_shard_seconds": wide.auction_seconds,
    }
    return {t.size_key(name, orders): round(seconds, 3) for name, seconds in found.items()}


def _of_one(thin: Sample, bytes_of: Written) -> dict[str, Number]:
    """What an order, a fill or a market takes: of the largest market, for the beginning of a process counts least there."""
    found: dict[str, Number] = {
        "book_bytes": round(thin.book_bytes),
        "round_bytes": round(thin.round_bytes),
        "snapshot_bytes": round(bytes_of.snapshot),
        "plan_bytes": round(bytes_of.plan),
        "calldata_bytes": round(bytes_of.calldata),
        "order_bytes": ORDER.itemsize + GANG.itemsize + np.dtype(np.int64).itemsize,
        "offer_bytes": OFFER.itemsize,
        "fills_percent": round(thin.fills_percent, 2),
        "shards": thin.shards,
        "largest_shard_percent": round(thin.largest_shard_percent, 2),
    }
    return {f"{t.GROUP}.{name}": value for name, value in found.items()}


def _apart(measure: Callable[[Uniform], T], market: Uniform) -> T:
    """In a process of its own, so that its memory is its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(measure, market).result()


def sampled(market: Uniform) -> Sample:
    """Rounds of this market, timed and weighed."""
    clear(type(market)(orders=300, offers=100).snapshot(WARM_UP_SEED))
    empty = _memory()
    snapshot = market.snapshot(SEED)
    gc.collect()
    full, peak, news, again = _memory(), 0, list[float](), list[tuple[float, float]]()
    for _ in range(ROUNDS):
        reader, auctions = ColumnReader(), TimedAuctions()
        begun = time.perf_counter()
        clear(snapshot, reader=reader)
        ended = time.perf_counter()
        plan = clear(snapshot, auctions, reader)
        news.append(ended - begun)
        again.append((time.perf_counter() - ended, auctions.seconds))
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    seconds_again, auction_seconds = min(again)
    return Sample(
        seconds=min(news),
        seconds_again=seconds_again,
        auction_seconds=auction_seconds,
        book_bytes=(full - empty) / market.orders,
        round_bytes=(peak - full) / market.orders,
        fills_percent=100 * len(plan.fills) / market.orders,
        shards=int(np.count_nonzero(auctions.shard_sizes)),
        largest_shard_percent=100 * float(auctions.shard_sizes.max()) / float(auctions.shard_sizes.sum()),
    )


def written(market: Uniform) -> Written:
    """A round of this market as bytes. They do not depend much on how many orders there are, and large ones take long to write."""
    snapshot = market.snapshot(SEED)
    plan = clear(snapshot)
    batch = plan.fills[: t.BATCH_FILLS]
    return Written(
        snapshot=sum(map(len, (snapshot.canonical(), *snapshot.pages.values()))) / market.orders,
        plan=len(plan.canonical()) / len(plan.fills),
        calldata=len(verbs.open_fills(TERMS.market, batch).input) / len(batch),
    )


def _memory() -> int:
    """Resident bytes of this process."""
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
