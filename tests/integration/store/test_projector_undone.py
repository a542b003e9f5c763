"""The indexer on a chain that takes blocks back: row by row where they are few, from the beginning where they are many."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from marketplace.chain import verbs
from marketplace.chain.devnet import mine
from marketplace.chain.events import KEPT_BLOCKS
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.repairs import Repairs
from marketplace.gateway.following import Following
from marketplace.services.reconcile import reconcile
from tests.integration.chain.lying_node import reorganise
from tests.integration.store.test_projector import Indexing, indexing, level

__all__ = ["indexing"]


@pytest.mark.parametrize("depth", [1, 3, 12, 64])
def test_what_left_the_chain_is_taken_back_row_by_row(indexing: Indexing, raw_redis: Redis, depth: int) -> None:
    """The projection is the one of the common ancestor, to the digest, and goes on along the new branch without being made anew (F1)."""
    trading, projector = indexing.trading, indexing.projector()
    offer = trading.list()
    served, waiting = indexing.accept(), indexing.accept()
    trading.open(served, offer)
    level(projector)
    before = projector.digest()
    for number in range(min(depth, 3)):
        if number == 0:
            trading.open(waiting, offer)
        else:
            trading.send(trading.provider, verbs.decline(trading.book.market, (served, waiting)[number - 1].order))
        level(projector)
    mine(trading.chain, max(0, depth - 3))
    level(projector)
    assert projector.digest() != before

    reorganise(trading.chain, depth)
    trading.senders.clear()
    level(projector)

    assert indexing.book() == {waiting.id}
    assert {id_ for id_, row in indexing.view().leases.items() if row.lease.status is LeaseStatus.OPEN} == {served.id}
    assert reconcile(indexing.board.projection, trading.market) == ()
    assert projector.repairs.rebuilt == 0
    assert projector.repairs.undone_blocks >= depth

    trading.open(waiting, offer)
    level(projector)
    assert indexing.book() == set()
    grown = projector.digest()
    assert indexing.rebuilt_digest(raw_redis) == grown


def test_what_left_the_chain_deeper_than_is_kept_is_said_and_all_read_anew(
    indexing: Indexing, raw_redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loudly, once; and the projection is right again."""
    trading, projector = indexing.trading, indexing.projector()
    mine(trading.chain, 2)
    level(projector)
    trading.list()
    mine(trading.chain, KEPT_BLOCKS)
    level(projector)

    reorganise(trading.chain, KEPT_BLOCKS + 1)
    level(projector)

    assert "projection.reorganised_too_deep" in capsys.readouterr().out
    assert indexing.view().offers == ()
    assert projector.repairs == Repairs(rebuilt=1)
    assert indexing.rebuilt_digest(raw_redis) == projector.digest()


def test_an_order_that_came_meanwhile_stays_on_the_book(indexing: Indexing) -> None:
    """Only what blocks did is taken back: the journal is read again from where it stood."""
    trading, projector = indexing.trading, indexing.projector()
    trading.list()
    level(projector)
    trading.list()
    level(projector)
    signed = indexing.accept()
    level(projector)

    reorganise(trading.chain, 1)
    level(projector)

    assert indexing.book() == {signed.id}
    assert len(indexing.view().offers) == 1


def test_readers_of_changes_are_told_what_was_taken_back(indexing: Indexing) -> None:
    """A view that is brought up to date equals one that is read anew."""
    trading, projector = indexing.trading, indexing.projector()
    trading.list()
    level(projector)
    indexing.view()
    trading.list()
    level(projector)
    assert len(indexing.view().offers) == 2

    reorganise(trading.chain, 1)
    level(projector)

    assert indexing.view().offers == indexing.board.view().offers  # type: ignore[union-attr]
    assert len(indexing.view().offers) == 1


def test_who_follows_is_told_of_blocks_that_left(indexing: Indexing) -> None:
    """Each block is told by its hash, the way back by both ends; events of the new branch are read, though the old one had their ids."""
    trading, projector, following = indexing.trading, indexing.projector(), Following(is_live=True)
    level(projector)
    seen = following.start(indexing.board, indexing.board.last_event_id())
    trading.list()
    level(projector)
    following.taken(indexing.board.follow(seen, 0), seen)
    old = indexing.view().block

    reorganise(trading.chain, 1)
    trading.senders.clear()
    trading.list()
    level(projector)

    first = following.taken(indexing.board.follow(seen, 0), seen)
    then = following.taken(indexing.board.follow(seen, 0), seen)
    told = {entry.name: json.loads(entry.content) for entry in first}
    assert (told["reorg"]["from"]["hash"], told["reorg"]["to"]["number"]) == (old.hash, old.number - 1)
    assert (told["head"]["hash"], told["head"]["lag"]) == (indexing.view().block.hash, 0)
    assert [json.loads(entry.content)["name"] for entry in then] == ["OfferListed"]


def test_the_stream_does_not_tell_later_readers_what_never_happened(indexing: Indexing) -> None:
    """Its last events are those of the branch that stands."""
    trading, projector = indexing.trading, indexing.projector()
    level(projector)
    last = indexing.board.last_event_id()
    trading.list()
    trading.list()
    level(projector)

    reorganise(trading.chain, 1)
    trading.senders.clear()
    level(projector)
    trading.open(indexing.accept(), trading.list())
    level(projector)

    told = [event.payload["name"] for event in indexing.board.read_events(last)]
    assert told == ["OfferListed", "OfferListed", "LeaseOpened", "BatchOpened"]
