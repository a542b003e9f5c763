"""The indexer holds its projection against the contract by itself, and makes it anew where they differ."""

from __future__ import annotations

import pytest
from redis import Redis

from marketplace.chain import verbs
from marketplace.chain.devnet import mine
from marketplace.domain.units import TokenUnits
from marketplace.services.reconcile import (
    RECONCILED_EVERY_BLOCKS,
    SURPRISED_EVERY_BLOCKS,
    Reconciler,
    StaleRow,
    reconcile,
)
from tests.integration.store.test_projector import Indexing, busy_past, indexing, level

__all__ = ["indexing"]

ACCOUNTS = "{bourse}:projection:accounts"


def test_a_planted_difference_is_found_and_put_right(
    indexing: Indexing, raw_redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the latest after so many blocks: said, counted, and read again from chain and journal."""
    busy_past(indexing)
    projector = indexing.projector()
    level(projector)
    raw_redis.hincrby(ACCOUNTS, indexing.trading.client.address, 1)
    mine(indexing.trading.chain, RECONCILED_EVERY_BLOCKS)
    level(projector)

    assert projector.repairs.differences == 1
    assert projector.repairs.rebuilt == 1
    assert "projection.differs" in capsys.readouterr().out
    assert reconcile(indexing.board.projection, indexing.trading.market) == ()


def test_a_refused_fill_makes_it_look_soon(indexing: Indexing, raw_redis: Redis) -> None:
    """The scheduler was told no: perhaps because the projection told it wrong."""
    trading, projector = indexing.trading, indexing.projector()
    offer = trading.list()
    level(projector)
    raw_redis.hincrby(ACCOUNTS, trading.client.address, 1)
    mine(trading.chain, SURPRISED_EVERY_BLOCKS)
    level(projector)
    assert projector.repairs.differences == 0

    trading.open(indexing.accept(classes=1 << 7), offer)
    level(projector)

    assert projector.repairs.differences == 1


def test_it_costs_less_than_one_call_a_block(indexing: Indexing) -> None:
    """However many rows there are: a part of them each time, all of them in turn."""
    busy_past(indexing)
    trading, projector = indexing.trading, indexing.projector()
    level(projector)
    head = indexing.board.projection.head()
    assert head is not None
    reconciler = Reconciler(indexing.board.projection, trading.market, rows_at_once=3)
    before = trading.chain.calls.by_method.get("eth_call", 0)

    assert reconciler.differences(head) == ()
    assert reconciler.differences(head) == ()

    assert trading.chain.calls.by_method["eth_call"] - before == 3


def test_every_row_has_its_turn(indexing: Indexing, raw_redis: Redis) -> None:
    """A difference in the last row looked at is found as well."""
    trading, projector = indexing.trading, indexing.projector()
    busy_past(indexing)
    trading.send(trading.client, verbs.mint(trading.book.token, trading.client.address, TokenUnits(1)))
    level(projector)
    table = indexing.board.projection
    raw_redis.hincrby(ACCOUNTS, trading.client.address, 1)
    reconciler = Reconciler(table, trading.market, rows_at_once=2)

    found: list[StaleRow] = []
    for _ in range(10):
        head = table.head()
        assert head is not None
        found += reconciler.differences(head)
        reconciler._due_at = 0

    assert {one.id for one in found} == {trading.client.address}
