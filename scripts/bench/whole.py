"""`python -m scripts.bench.whole`: rounds as a scheduler has them, from the board in Redis to the documents on disk, but for the posting.

The first one begins with nothing read; in each later one a hundredth of the orders and offers is another. It takes about two minutes.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.ledger import Rows
from marketplace.domain.units import UnixTime
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.board_projection import Step
from marketplace.store.redis_server import start_redis
from scheduler.archive import Archive
from scheduler.engine.auction.bidding import hold_here
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.tables.columns import ColumnReader
from scripts.bench import whole_rounds as w
from scripts.bench.generators import Uniform
from scripts.bench.sizes import size_of
from scripts.bench.trial import WARM_UP_SEED
from scripts.bench.versions import versions
from scripts.deep import tables
from scripts.deep.figures import Measured, Number, write_figures

Row = TypeVar("Row")
LATER_ROUNDS = 5
AT_ONCE = 5_000
"""Rows that one step of the indexer writes."""
LONG_AGO = UnixTime(1)


def main(arguments: list[str]) -> int:
    """Measure, print, and write unless another size than the published was asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.whole", description=__doc__)
    parser.add_argument("--size", help="orders x offers, such as 10kx1k: print only")
    options = parser.parse_args(arguments)
    orders, offers = size_of(options.size) if options.size else (w.ORDERS, w.OFFERS)
    clear(Uniform(orders=300, offers=100).snapshot(WARM_UP_SEED))
    values = figures_of(measured(Uniform(orders=orders, offers=offers)))
    for key, value in values.items():
        print(f"{value:>10.3f}  {w.words()[key] if not options.size else key}")
    if not options.size:
        write_figures(Measured(values, versions()), w.COMMAND)
        tables.main([])
    return 0


@dataclass(frozen=True, slots=True)
class Round:
    """What a round took: seconds of each step, and bytes on disk."""

    seconds: Mapping[str, float]
    stored_bytes: int


def figures_of(rounds: Sequence[Round]) -> dict[str, Number]:
    """The first round, and the median of the later ones, step by step."""
    first, later = rounds[0].seconds, [one.seconds for one in rounds[1:]]
    stored = round(statistics.median(one.stored_bytes for one in rounds[1:]))
    values: dict[str, Number] = {w.first_key(step): round(first[step], 3) for step in w.STEPS}
    values |= {w.later_key(step): round(statistics.median(one[step] for one in later), 3) for step in w.STEPS}
    whole, rest = sum(first.values()), statistics.median(sum(one.values()) for one in later)
    values |= {w.FIRST: round(whole, 3), w.LATER: round(rest, 3), w.SHARE: round(rest / whole, 3)}
    return values | {w.FIRST_STORED: rounds[0].stored_bytes, w.LATER_STORED: stored}


def measured(market: Uniform) -> list[Round]:
    """What each round took, on a Redis and in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as at_end:
        redis = start_redis(Path(folder) / "redis")
        at_end.callback(redis.stop)
        board = at_end.enter_context(closing(Board(redis.url)))
        return _rounds(market, board, FolderBlobs(Path(folder) / "blobs"))


def _rounds(market: Uniform, board: Board, blobs: FolderBlobs) -> list[Round]:
    snapshot = market.snapshot(0)
    indexer = Indexer(board)
    indexer.write(snapshot.view, None)
    archive = Archive(blobs, lambda name, size, at: None)
    scheduler, found = Scheduler(board, archive, snapshot), list[Round]()
    for turn in range(1 + LATER_ROUNDS):
        found.append(scheduler.round())
        before = scheduler.seen
        indexer.write(market.churned(replace(snapshot, view=before), turn).view, before)
    return found


@dataclass
class Scheduler:
    """The steps of a round, timed; what the service keeps between rounds is kept here too."""

    board: Board
    archive: Archive
    terms: Snapshot
    """Of its terms and policy; its view is not looked at."""
    reader: ColumnReader = field(default_factory=ColumnReader)
    plan: Plan | None = None

    @property
    def seen(self) -> BookView:
        """The view of the last round."""
        if self.plan is None:
            raise ValueError("there has been a round")
        return self.plan.source.view

    def round(self) -> Round:
        gc.collect()
        begun = time.perf_counter()
        view = self.board.view()
        if view is None:
            raise ValueError("the projection is whole")
        read = time.perf_counter()
        snapshot = replace(self.terms, view=view)
        self.plan = clear(snapshot, hold_here, self.reader)
        cleared = time.perf_counter()
        stored = self.archive.keep(snapshot)
        _ = self.plan.canonical(), self.plan.round
        documents = time.perf_counter() - cleared
        return Round({"view": read - begun, "clear": cleared - read, "documents": documents}, stored)


@dataclass
class Indexer:
    """Writes the projection: at first whole, then what has changed."""

    board: Board
    changes: int = 0

    def write(self, view: BookView, before: BookView | None) -> None:
        """Bring the projection from one view to another. Offers never go: one that is gone has expired."""
        table, known = self.board.projection, before or BookView(view.block, (), (), {}, {}, {}, {})
        head = table.head() or table.begin("bench", None)
        offers, orders = {offer.id: offer for offer in view.offers}, {order.id: order for order in view.orders}
        had = {order.id for order in known.orders}
        gone = [replace(offer, expires_at=LONG_AGO) for offer in known.offers if offer.id not in offers]
        come: list[BookOrder] = [order for name, order in orders.items() if name not in had]
        steps: list[dict[str, Any]] = [{"machines": view.machines} if before is None else {}]
        steps += [{"rows": Rows(accounts=dict(part))} for part in _parts(_news(view.accounts, known.accounts))]
        listed = {offer.id for offer in known.offers}
        fresh = [offer for offer in view.offers if offer.id not in listed]
        steps += [{"rows": Rows(offers={offer.id: offer for offer in part})} for part in _parts([*fresh, *gone])]
        steps += [{"booked": {order.id: order for order in part}} for part in _parts(come)]
        steps += [{"unbooked": frozenset(had - orders.keys())}]
        for step in steps:
            self.changes += 1
            whole = Step(
                cursor=view.block, changed=self.changes, is_ready=True, expired_before=UnixTime(0), refused_before=0, **step
            )  # fmt: skip
            head = table.write(whole, head)
        for provider, at in _news(view.heartbeats, {} if before is None else known.heartbeats):
            self.board.beat(provider, at)


def _news(table: Mapping[Any, Any], before: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [(name, row) for name, row in table.items() if before.get(name) != row]


def _parts(rows: Iterable[Row]) -> list[list[Row]]:
    every = list(rows)
    return [every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
