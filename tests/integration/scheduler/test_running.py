"""What a daemon tells of its own transactions: whether they move, and whether its key is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.chain import verbs
from marketplace.chain.transactions import Sender
from marketplace.domain.chain_errors import TransactionNotMined
from marketplace.domain.units import TokenUnits
from marketplace.running import key_is_ours_alone, transactions_move
from marketplace.store.journal.operator import OperatorJournal
from tests.integration.scheduler.floor import OPENER, Floor


def approval(floor: Floor, units: int) -> verbs.Call:
    return verbs.approve(floor.terms.token, floor.market.address, TokenUnits(units))


def test_a_transaction_that_waits_is_told(floor: Floor) -> None:
    """Its block has no room for it for a long time: the check says since when; it is mined: the check is content."""
    sender = Sender(floor.chain, OPENER, floor.journal.outbox)
    check = transactions_move(lambda: sender, floor.chain.head)
    assert transactions_move(lambda: None, floor.chain.head)() is None
    floor.chain.rpc("evm_setAutomine", False)
    with pytest.raises(TransactionNotMined):
        sender.send(approval(floor, 1), wait_seconds=0)
    assert check() is None
    floor.set_block_gas_limit(21_000)
    floor.mine(20)

    assert "waiting since block" in str(check())
    floor.set_block_gas_limit(30_000_000)
    floor.mine()
    sender.tend(floor.chain.head())
    assert check() is None


def test_somebody_else_with_our_key_is_told(floor: Floor, tmp_path: Path) -> None:
    """A transaction that this journal does not know takes our nonce: for a while the check says so."""
    sender = Sender(floor.chain, OPENER, floor.journal.outbox)
    elsewhere = OperatorJournal(f"sqlite:///{tmp_path}/elsewhere.sqlite")
    check = key_is_ours_alone(lambda: sender)
    floor.chain.rpc("evm_setAutomine", False)
    with pytest.raises(TransactionNotMined):
        sender.send(approval(floor, 1), wait_seconds=0)
    assert check() is None
    floor.chain.rpc("anvil_dropAllTransactions")
    with pytest.raises(TransactionNotMined):
        Sender(floor.chain, OPENER, elsewhere.outbox).send(approval(floor, 2), wait_seconds=0)
    for _ in range(3):
        floor.mine()
        sender.tend(floor.chain.head())
    elsewhere.close()

    assert "somebody else uses it" in str(check())
