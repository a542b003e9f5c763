"""A round does not depend on what the engine has read before, on the order of rows, on the process, or on the compiler."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.domain import editions
from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.ids import ZERO_ADDRESS, Sha256, sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.units import GpuCount, PricePerGpuHour
from scheduler.engine.auction.bidding import hold_here
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.tables import columns, kept
from scheduler.engine.tables.columns import ColumnReader, Known
from scheduler.engine.tables.table import ColumnTable
from scripts.bench.generators import Thin, Trace, Uniform
from tests.unit.engine.changing import Changing
from tests.unit.engine.markets import a_snapshot, an_offer, an_order
from tests.unit.engine.wild import wild_market

ROOT = Path(__file__).parents[3]
MARKETS = (Uniform(orders=120, offers=40, client_money=0.3), Trace(orders=120, offers=40), Thin(orders=120, offers=40))


def told(plan: Plan) -> tuple[bytes, tuple[object, ...]]:
    return plan.canonical(), plan.explanations


@pytest.mark.parametrize("seed", range(12))
def test_a_warm_reader_gives_the_plans_of_a_cold_one(seed: int) -> None:
    """Over twenty rounds in which rows come, go, change and are shuffled, at six decimals and at eighteen, with other markets in between."""
    draw, reader = random.Random(seed), ColumnReader()
    snapshot, other = wild_market(draw), wild_market(draw)
    for turn in range(20):
        snapshot = _changed(draw, snapshot, other)
        if turn % 7 == 6:
            clear(wild_market(draw), hold_here, reader)

        assert told(clear(snapshot, hold_here, reader)) == told(clear(snapshot))


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: type(market).__name__)
def test_a_warm_reader_follows_a_market_that_churns(market: Uniform) -> None:
    """The same for larger markets, of which a twentieth changes each round."""
    snapshot, reader = market.snapshot(3), ColumnReader()
    for turn in range(5):
        assert clear(snapshot, hold_here, reader).canonical() == clear(snapshot).canonical()
        snapshot = market.churned(snapshot, turn, share=0.05)


@pytest.mark.parametrize("seed", range(15))
def test_a_reader_that_is_told_what_changed_knows_what_one_knows_that_reads_all(seed: int) -> None:
    """Of every order, offer, balance and reputation, over forty rounds of editions.

    Rounds are skipped, now and then a table is no edition, other markets come in between, and once in a while all prices are others.
    """
    draw, reader = random.Random(seed), ColumnReader()
    market = Changing(draw)
    for turn in range(40):
        for _ in range(draw.choice([1, 1, 1, 2, 3, editions.MOST_STEPS + 1])):
            market.step()
        if turn % 11 == 10:
            clear(wild_market(draw), hold_here, reader)
        snapshot = market.snapshot

        assert _known_by(reader, snapshot.view) == _known_by(ColumnReader(), snapshot.view)
        if turn % 4 == 0:
            assert told(clear(snapshot, hold_here, reader)) == told(clear(snapshot))


def test_a_reader_that_is_told_what_changed_looks_at_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at other accounts, nor at other rows, not even at their identities: without that a round would be right, and late."""
    read = dict[str, list[int]]()
    for name in ("_read_orders", "_read_offers"):
        monkeypatch.setattr(ColumnReader, name, _counted(getattr(ColumnReader, name), read.setdefault(name, [])))
    market, reader = Uniform(orders=400, offers=100), ColumnReader()
    snapshot = market.churned(market.snapshot(3), 1, share=0.02)
    reader.columns(snapshot.view)
    for turn in range(2, 6):
        snapshot = market.churned(snapshot, turn, share=0.02)
        view, looks = snapshot.view, list[object]()
        reader.columns(
            replace(
                view,
                orders=_watched(_WatchedRows(view.orders), view.orders, looks),
                accounts=_watched(_WatchedTable(view.accounts), view.accounts, looks),
                reputations=_watched(_WatchedTable(view.reputations), view.reputations, looks),
            )
        )

        assert (read["_read_orders"][-1], read["_read_offers"][-1]) == (8, 2)
        assert 0 < len(looks) <= 2 * (8 + 2 + 2)


def test_a_reader_forgets_what_is_long_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows hardly more names, kinds and rows than there are, however many have come and gone, and plans of former rounds can still be asked."""
    monkeypatch.setattr(columns, "SPARE", 20)
    monkeypatch.setattr(kept, "SPARE", 20)
    market, reader = Uniform(orders=120, offers=40), ColumnReader()
    snapshot = market.snapshot(3)
    plans = [clear(snapshot, hold_here, reader)]
    for turn in range(12):
        snapshot = market.churned(snapshot, turn, share=0.4)
        plans.append(clear(snapshot, hold_here, reader))

    assert len(reader.known.accounts.all) < 3 * 160 + 20
    assert len(reader._orders._values) <= 2 * 120 + 20
    assert [told(plan) for plan in plans] == [told(clear(plan.source)) for plan in plans]


def _known_by(reader: ColumnReader, view: BookView) -> tuple[object, ...]:
    """All that a reader says of a view, in names instead of its own numbers."""
    read = reader.columns(view)
    kinds, known, evidence = _named(read.kinds, read.known), read.known, read.evidence
    orders = [row | kinds[row["kind"]] | {"kind": None} for row in _named(read.orders, known)]
    held = zip(read.balances.tolist(), evidence.heard.tolist(), evidence.failed.tolist(), strict=True)
    accounts = dict(zip(known.accounts.all, held, strict=True))
    whose = {ZERO_ADDRESS, *(row[who] for row in orders for who in ("client", "arbiter", "opener"))}
    whose |= {offer.provider for offer in view.offers}
    return (
        orders,
        list(read.book),
        _named(read.offers, known),
        list(read.listings),
        {who: accounts[who] for who in whose},
    )


def _named(rows: ColumnTable, known: Known) -> list[dict[str, Any]]:
    """Rows with names in the place of numbers. Where a reader keeps them is its own business."""
    lists = dict.fromkeys(("client", "arbiter", "opener", "provider"), known.accounts)
    lists |= {
        "classes": known.classes,
        "regions": known.regions,
        "machine": known.machines,
        "providers": known.providers,
    }
    names = [name for name in rows if name != "place"]
    columns = [[lists[name].all[n] for n in rows[name]] if name in lists else rows[name].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _counted(
    read: Callable[[ColumnReader, list[Any]], ColumnTable], counts: list[int]
) -> Callable[[ColumnReader, list[Any]], ColumnTable]:
    """The same, and how many rows it was given each time."""

    def counting(reader: ColumnReader, rows: list[Any]) -> ColumnTable:
        counts.append(len(rows))
        return read(reader, rows)

    return counting


class _WatchedRows(editions.RowSet[Any]):
    """Rows that note who passes over them."""

    looks: list[object]

    def __iter__(self) -> Iterator[Any]:
        for row in super().__iter__():
            self.looks.append(row)
            yield row


class _WatchedTable(editions.Table[Any, Any]):
    """A table that notes what it is asked for."""

    looks: list[object]

    def get(self, name: Any, default: Any = None) -> Any:
        self.looks.append(name)
        return super().get(name, default)


def _watched(watched: Any, edition: Any, looks: list[object]) -> Any:
    """The edition in other words, with the same past."""
    watched.mark, watched._steps, watched.looks = edition.mark, edition._steps, looks
    return watched


def _changed(draw: random.Random, snapshot: Snapshot, other: Snapshot) -> Snapshot:
    """A round later: some rows are gone, some have come, some are the same in new objects, some have changed."""
    view = snapshot.view
    orders = [_order_changed(draw, order) for order in view.orders if draw.random() < 0.9]
    known = {order.id for order in orders}
    orders += [order for order in other.view.orders if order.id not in known and draw.random() < 0.2]
    offers = [_offer_changed(draw, offer) for offer in view.offers if draw.random() < 0.95]
    draw.shuffle(orders)
    draw.shuffle(offers)
    return replace(snapshot, view=replace(view, orders=tuple(orders), offers=tuple(offers)))


def _order_changed(draw: random.Random, order: BookOrder) -> BookOrder:
    """Mostly the same object; else one that is equal to it, or of another age."""
    change = draw.random()
    if change < 0.7:
        return order
    return replace(order) if change < 0.85 else replace(order, accepted_at=order.accepted_at - 4_000)


def _offer_changed(draw: random.Random, offer: Offer) -> Offer:
    change = draw.random()
    if change < 0.7:
        return offer
    if change < 0.85:
        return replace(offer, free=GpuCount(draw.randint(0, offer.gpus)))
    return replace(offer, price=PricePerGpuHour(offer.price * draw.choice([1, 2, 10**12]) % 2**80))


def hashes() -> list[Sha256]:
    """Of the plans and explanations of wild markets and of drawn ones."""
    plans = [clear(wild_market(random.Random(seed))) for seed in range(12)]
    plans += [clear(market.snapshot(1)) for market in (Uniform(40, 16), Trace(40, 16))]
    return [sha256_of(plan.canonical() + repr(plan.explanations).encode()) for plan in plans]


SCRIPT = """
from tests.unit.engine.test_reader import hashes

print(*hashes())
"""

INTERPRETED = """
import types, warnings
import numpy as np
from scheduler.engine.auction import bidding, prices, state
from scheduler.engine.matching import pools

warnings.simplefilter("error", RuntimeWarning)

class Row(np.record):
    size = property(lambda row: row["size"])  # for numba this is a column, not numpy's own

    def __getattribute__(self, name):  # for numba a product of small integers has 64 bits
        found = super().__getattribute__(name)
        return np.int64(found) if isinstance(found, np.integer) else found

def rows_of(make):
    def made(*a, **k):
        found = make(*a, **k)
        return found.view(np.dtype((Row, found.dtype))) if found.dtype.names else found
    return made

ours = types.SimpleNamespace(**vars(np) | {name: rows_of(getattr(np, name)) for name in ("empty", "zeros")})
for module in (bidding, state, pools, prices):
    module.np = ours
"""


def _printed(script: str = SCRIPT, **environment: str) -> str:
    ours = dict(os.environ) | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(
        [sys.executable, "-c", script], env=ours, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_another_process_gives_the_same_plans() -> None:
    """Whatever the seed of its hashes: sets and dicts of names decide nothing."""
    assert _printed(PYTHONHASHSEED="1").split() == _printed(PYTHONHASHSEED="77").split() == hashes()


def test_the_compiler_changes_nothing() -> None:
    """The same functions, interpreted: integers are integers, and none overflows on the way."""
    assert _printed(INTERPRETED + SCRIPT, NUMBA_DISABLE_JIT="1") == _printed()


def test_what_could_be_read_in_part_only_does_not_count_as_read() -> None:
    """A row that cannot be read spoils that reading, and not the next one: none of the rows that came with it is lost."""
    known, sound, spoilt = an_order("a"), an_order("b"), an_order("c", max_seconds=2**70)
    view, reader = replace(a_snapshot([known], [an_offer(1)]).view, orders=editions.RowSet([known])), ColumnReader()
    reader.columns(view)
    worse = editions.RowSet.after(view.orders, [known, sound, spoilt], [], [sound, spoilt])
    for _ in range(2):
        with pytest.raises(OverflowError):
            reader.columns(replace(view, orders=worse))
    better = editions.RowSet.after(worse, [known, sound], [spoilt], [])

    assert reader.columns(replace(view, orders=better)).orders.rows == 2
