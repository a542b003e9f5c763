"""The chain's sender with the journal's outbox: what is sent is in the journal, and how it ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from marketplace.chain import verbs
from marketplace.chain.transactions import ANY_BLOCK, Sender
from marketplace.domain.transactions import SendingState
from marketplace.domain.units import TokenUnits
from marketplace.store.journal.operator import OperatorJournal
from tests.integration.chain.conftest import Trading


def test_a_transaction_is_in_the_journal_with_its_block(trading: Trading, tmp_path: Path) -> None:
    """Written down, sent, mined; a sender that starts afterwards has nothing to recover."""
    journal = OperatorJournal(f"sqlite:///{tmp_path}/operator.sqlite")
    sender = Sender(trading.chain, trading.client, journal.outbox)

    mined = sender.send(verbs.mint(trading.book.token, trading.client.address, TokenUnits(1)))

    row = journal.outbox.find(mined.tx_hash)
    assert row is not None
    assert (row.account, row.verb, row.state, row.block_number) == (
        trading.client.address, "mint", SendingState.MINED, mined.block.number,
    )  # fmt: skip
    assert journal.outbox.unsettled(trading.client.address, ANY_BLOCK) == []
    assert Sender(trading.chain, trading.client, journal.outbox).recover() == ()
    journal.close()


def test_a_transaction_that_was_written_down_and_not_sent_is_sent_by_the_next_start(
    trading: Trading, tmp_path: Path
) -> None:
    """A crash between the journal and the node: the successor broadcasts the very same transaction, once (F18)."""
    elsewhere = OperatorJournal(f"sqlite:///{tmp_path}/elsewhere.sqlite")
    before = trading.chain.rpc("evm_snapshot")
    call = verbs.mint(trading.book.token, trading.client.address, TokenUnits(7))
    sent = Sender(trading.chain, trading.client, elsewhere.outbox).send(call)
    kept = elsewhere.outbox.find(sent.tx_hash)
    assert kept is not None
    trading.chain.rpc("evm_revert", before)
    journal = OperatorJournal(f"sqlite:///{tmp_path}/operator.sqlite")
    journal.outbox.put(replace(kept, state=SendingState.UNMINED, block_number=None, block_hash=None, is_told=False))

    recovered = Sender(trading.chain, trading.client, journal.outbox).recover()

    assert [one.tx_hash for one in recovered] == [sent.tx_hash]
    assert trading.token.balance_of(trading.client.address) == 7
    row = journal.outbox.find(sent.tx_hash)
    assert row is not None
    assert row.state is SendingState.MINED
    journal.close()
    elsewhere.close()
