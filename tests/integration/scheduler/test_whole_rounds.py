"""Rounds from the board, on a small market: the bench of them, and readers who follow its views."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from marketplace.domain import editions
from marketplace.store.board import Board
from marketplace.store.redis_server import start_redis
from scheduler.engine.auction.bidding import hold_here
from scheduler.engine.clear import clear
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.tables.columns import ColumnReader
from scripts.bench import whole_rounds as w
from scripts.bench.generators import Uniform
from scripts.bench.whole import LATER_ROUNDS, Indexer, measured


def test_rounds_run_from_the_board_to_the_documents() -> None:
    """On a Redis and in a folder of their own: one from nothing, then the later ones, each step timed, and what it wrote: the later ones little."""
    rounds = measured(Uniform(orders=200, offers=50))

    assert len(rounds) == 1 + LATER_ROUNDS
    assert all(one.seconds.keys() == w.STEPS.keys() and min(one.seconds.values()) > 0 for one in rounds)
    assert all(0 < one.stored_bytes < rounds[0].stored_bytes / 5 for one in rounds[1:])


def test_what_the_board_says_has_changed_is_what_has_changed(tmp_path: Path) -> None:
    """Its views are editions: a reader who follows them clears what one clears who reads all of it, and follows every one of them."""
    market = Uniform(orders=200, offers=50, client_money=0.7, delegated_share=0.3, delegate_money=0.5)
    snapshot, reader, followed = market.snapshot(0), ColumnReader(), 0
    with ExitStack() as at_end:
        redis = start_redis(tmp_path)
        at_end.callback(redis.stop)
        board = at_end.enter_context(closing(Board(redis.url)))
        indexer, before = Indexer(board), None
        for turn in range(8):
            indexer.write(snapshot.view, before)
            view = board.view()
            assert view is not None
            assert isinstance(view.orders, editions.RowSet)
            plan = clear(replace(snapshot, view=view), hold_here, reader)
            assert plan.canonical() == clear(_plain(replace(snapshot, view=view))).canonical()
            if before is not None:
                followed += _is_followed(before.orders, view.orders) + _is_followed(before.offers, view.offers)
            before = view
            snapshot = market.churned(replace(snapshot, view=view), turn, share=0.1 * (turn % 3))

    assert followed == 2 * 7


def _plain(snapshot: Snapshot) -> Snapshot:
    """The same view from tables that tell nothing."""
    view = snapshot.view
    tables = {"orders": tuple(view.orders), "offers": tuple(view.offers), "accounts": dict(view.accounts)}
    return replace(snapshot, view=replace(view, **tables, reputations=dict(view.reputations)))


def _is_followed(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """The later edition knows the earlier one, and tells exactly what has come and gone."""
    change = (
        after.since(before.mark) if isinstance(before, editions.RowSet) and isinstance(after, editions.RowSet) else None
    )
    assert change is not None
    ids = {row.id for row in before} - {row.id for row in change.gone} | {row.id for row in change.come}
    stayed = {id(row) for row in after} - {id(row) for row in change.come}
    assert ids == {row.id for row in after}
    assert stayed == {id(row) for row in before} - {id(row) for row in change.gone}
    return True
