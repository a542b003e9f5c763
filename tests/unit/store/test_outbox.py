"""What the outbox promises: a transaction is on the disk before it is sent, and its end is written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.chain.transactions import Outbox
from marketplace.domain.errors import InvalidTransition, NotFound
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.outbox import OutboxTable
from marketplace.store.journal.rows import SendingState
from tests.unit.store.rows import CLIENT, PROVIDER, word


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[OutboxTable]:
    journal = OperatorJournal(f"sqlite:///{tmp_path}/operator.sqlite")
    yield journal.outbox
    journal.close()


def test_it_is_the_outbox_that_the_chain_asks_for(outbox: OutboxTable) -> None:
    """The table has the Protocol's shape: mypy checks this assignment."""
    wanted: Outbox = outbox

    assert wanted.unmined(CLIENT) == []


def test_unmined_transactions_come_by_nonce(outbox: OutboxTable) -> None:
    """Of this account only, and only those that may still have to be sent."""
    for nonce in (2, 0, 1):
        outbox.put(CLIENT, nonce, "deposit", f"0x0{nonce}", word(nonce))
    outbox.put(PROVIDER, 0, "list", "0x09", word(9))
    outbox.mined(word(1), 5)

    assert [(row.nonce, row.verb, row.raw, row.tx_hash) for row in outbox.unmined(CLIENT)] == [
        (0, "deposit", "0x00", word(0)),
        (2, "deposit", "0x02", word(2)),
    ]


def test_writing_the_same_transaction_down_again_changes_nothing(outbox: OutboxTable) -> None:
    """Also when it is mined already."""
    outbox.put(CLIENT, 0, "deposit", "0x00", word(1))
    outbox.mined(word(1), 5)

    outbox.put(CLIENT, 0, "deposit", "0x00", word(1))

    row = outbox.find(word(1))
    assert row is not None
    assert (row.state, row.block_number) == (SendingState.MINED, 5)


def test_a_nonce_is_used_once(outbox: OutboxTable) -> None:
    """When a replacement is mined, the one that it replaced can never be, and says why."""
    outbox.put(CLIENT, 0, "open", "0x00", word(1))
    outbox.put(CLIENT, 0, "open", "0x01", word(2))

    outbox.mined(word(2), 5)

    assert outbox.unmined(CLIENT) == []
    dropped = outbox.find(word(1))
    assert dropped is not None
    assert dropped.state is SendingState.DROPPED
    assert word(2) in dropped.why


def test_a_dropped_transaction_that_is_mined_after_all_is_mined(outbox: OutboxTable) -> None:
    """The chain knows better than whoever gave it up."""
    outbox.put(CLIENT, 0, "open", "0x00", word(1))
    outbox.dropped(word(1), "the node refused it")
    outbox.dropped(word(1), "again")

    outbox.mined(word(1), 5)
    outbox.mined(word(1), 5)
    outbox.mined(word(1), 6)

    row = outbox.find(word(1))
    assert row is not None
    assert (row.state, row.block_number) == (SendingState.MINED, 6)


def test_a_dropped_transaction_that_is_put_again_is_on_its_way_again(outbox: OutboxTable) -> None:
    """The same call with the same nonce and fees signs to the same hash: it must not stay dropped while it is sent."""
    outbox.put(CLIENT, 0, "open", "0x00", word(1))
    outbox.dropped(word(1), "the node refused it")

    outbox.put(CLIENT, 0, "open", "0x00", word(1))

    assert [row.tx_hash for row in outbox.unmined(CLIENT)] == [word(1)]


def test_a_mined_transaction_is_not_dropped(outbox: OutboxTable) -> None:
    """Mined is the end."""
    outbox.put(CLIENT, 0, "open", "0x00", word(1))
    outbox.mined(word(1), 5)

    with pytest.raises(InvalidTransition):
        outbox.dropped(word(1), "too late")


def test_only_what_was_written_down_can_end(outbox: OutboxTable) -> None:
    """NotFound for a transaction that nobody put there."""
    with pytest.raises(NotFound):
        outbox.mined(word(1), 5)
    with pytest.raises(NotFound):
        outbox.dropped(word(1), "why")

    assert outbox.find(word(1)) is None
