"""What every outbox promises: a transaction is on the disk before it is sent, and what became of it is written down."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain.outbox import Outbox, OutboxFile
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.ids import Bytes32
from marketplace.domain.transactions import Outgoing, SendingState
from marketplace.domain.units import UnixTime
from marketplace.store.journal.operator import OperatorJournal
from tests.unit.store.rows import CLIENT, PROVIDER, word

ANY_BLOCK = 1 << 62
Open = Callable[[], Outbox]


def in_journal(folder: Path) -> tuple[Outbox, Callable[[], None]]:
    journal = OperatorJournal(f"sqlite:///{folder}/operator.sqlite")
    return journal.outbox, journal.close


def in_file(folder: Path) -> tuple[Outbox, Callable[[], None]]:
    outbox = OutboxFile(folder / "outbox.sqlite")
    return outbox, outbox.close


@pytest.fixture(params=[in_journal, in_file], ids=["journal", "file"])
def opened(request: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the outbox again and again, as processes do."""
    closing: list[Callable[[], None]] = []

    def make() -> Outbox:
        outbox, close = request.param(tmp_path)
        closing.append(close)
        return outbox

    yield make
    for close in closing:
        close()


@pytest.fixture
def outbox(opened: Open) -> Outbox:
    return opened()


def transaction(number: int, nonce: int = 0, **changed: Any) -> Outgoing:
    made = Outgoing(CLIENT, nonce, f"open {number}", "open", f"0x0{number}", word(number), since_block=3, stake=10**20)
    return replace(made, **changed)


def block(number: int) -> BlockRef:
    return BlockRef(number, Bytes32(f"0x{number:064x}"), UnixTime(number))


def hashes(rows: Any) -> list[Bytes32]:
    return [row.tx_hash for row in rows]


def only(outbox: Outbox, number: int) -> Outgoing:
    (found,) = [row for row in outbox.from_nonce(CLIENT, 0) if row.tx_hash == word(number)]
    return found


def test_what_is_written_down_is_there_for_the_next_process(opened: Open) -> None:
    """To the last field, by nonce, and nobody else's."""
    kept = [transaction(2, nonce=7, is_told=True), transaction(1, nonce=3)]
    opened().put(*kept, transaction(9, account=PROVIDER))

    assert opened().unsettled(CLIENT, ANY_BLOCK) == [kept[1], kept[0]]
    assert hashes(opened().from_nonce(CLIENT, 4)) == [word(2)]


def test_writing_the_same_transaction_down_again_changes_nothing(outbox: Outbox) -> None:
    """Not even that it is mined."""
    outbox.put(transaction(1))
    outbox.mined(word(1), block(5))

    outbox.put(transaction(1))

    assert only(outbox, 1).state is SendingState.MINED


def test_of_one_nonce_one_is_mined(outbox: Outbox) -> None:
    """The others are given up, and say for which; later nonces go on."""
    outbox.put(transaction(1), transaction(2), transaction(3, nonce=1))

    outbox.mined(word(2), block(5))

    assert only(outbox, 1).state is SendingState.DROPPED
    assert word(2) in only(outbox, 1).why
    assert (only(outbox, 2).block_number, only(outbox, 2).block_hash) == (5, block(5).hash)
    assert only(outbox, 3).state is SendingState.UNMINED


def test_many_are_mined_at_once(outbox: Outbox) -> None:
    """Each in its block, its rivals given up; and somebody was told of all."""
    outbox.put(transaction(1), transaction(2), transaction(3, nonce=1))

    outbox.all_mined({word(2): block(5), word(3): block(6)}, is_told=True)

    states = [only(outbox, number).state for number in (1, 2, 3)]
    assert states == [SendingState.DROPPED, SendingState.MINED, SendingState.MINED]
    assert [only(outbox, number).block_number for number in (2, 3)] == [5, 6]
    assert hashes(outbox.unsettled(CLIENT, 6)) == []


def test_what_is_mined_is_watched_and_waits_to_be_told(outbox: Outbox) -> None:
    """It is unsettled until its block is low enough and somebody was told how it ended."""
    outbox.put(transaction(1))
    outbox.mined(word(1), block(5))
    assert hashes(outbox.unsettled(CLIENT, ANY_BLOCK)) == [word(1)]

    outbox.mined(word(1), block(5), is_told=True)

    assert hashes(outbox.unsettled(CLIENT, 4)) == [word(1)]
    assert outbox.unsettled(CLIENT, 5) == []


def test_a_reorganisation_brings_a_transaction_back(outbox: Outbox) -> None:
    """Unmined again, in no block, and nobody knows any more how it ends; and then in another block."""
    outbox.put(transaction(1))
    outbox.mined(word(1), block(5), is_told=True)

    outbox.taken_back(word(1))

    back = only(outbox, 1)
    assert (back.state, back.block_number, back.block_hash, back.is_told) == (SendingState.UNMINED, None, None, False)
    assert hashes(outbox.unsettled(CLIENT, ANY_BLOCK)) == [word(1)]
    outbox.mined(word(1), block(6))
    assert only(outbox, 1).block_number == 6


def test_after_a_reorganisation_the_other_of_a_nonce_may_be_mined(outbox: Outbox) -> None:
    """What was given up for its rival is mined, and the rival is given up."""
    outbox.put(transaction(1), transaction(2))
    outbox.mined(word(1), block(5))

    outbox.mined(word(2), block(6))

    assert only(outbox, 1).state is SendingState.DROPPED
    assert only(outbox, 2).state is SendingState.MINED


def test_a_dropped_transaction_that_is_mined_after_all_is_mined(outbox: Outbox) -> None:
    """The chain knows better than whoever gave it up."""
    outbox.put(transaction(1))
    outbox.dropped(word(1), "the node refused it")
    outbox.dropped(word(1), "again")
    assert (only(outbox, 1).state, only(outbox, 1).why) == (SendingState.DROPPED, "the node refused it")

    outbox.mined(word(1), block(5))
    outbox.mined(word(1), block(5))

    assert only(outbox, 1).state is SendingState.MINED


def test_a_dropped_transaction_that_is_put_again_is_on_its_way_again(outbox: Outbox) -> None:
    """It must not stay dropped while it is sent."""
    outbox.put(transaction(1))
    outbox.dropped(word(1), "the node refused it")

    outbox.put(transaction(1))

    assert hashes(outbox.unsettled(CLIENT, ANY_BLOCK)) == [word(1)]


def test_a_mined_transaction_is_not_dropped(outbox: Outbox) -> None:
    """What is in a block is not given up, whatever somebody thinks who looked before."""
    outbox.put(transaction(1))
    outbox.mined(word(1), block(5))

    outbox.dropped(word(1), "too late")

    assert only(outbox, 1).state is SendingState.MINED


def test_writers_of_one_account_take_turns(opened: Open) -> None:
    """While one has the turn, another that was opened on the same file waits."""
    first, second, order, is_waiting = opened(), opened(), list[str](), threading.Event()

    def wait_for_turn() -> None:
        is_waiting.set()
        with second.turn(CLIENT):
            order.append("second")

    with first.turn(CLIENT):
        waiting = threading.Thread(target=wait_for_turn)
        waiting.start()
        assert is_waiting.wait(20)
        waiting.join(0.2)
        order.append("first")
    waiting.join(20)

    assert order == ["first", "second"]


def test_a_file_that_cannot_be_used_is_said_by_its_name(tmp_path: Path) -> None:
    """Garbage, and a folder that vanished before a turn was taken."""
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"garbage" * 1_000)
    with pytest.raises(StoreUnavailable):
        OutboxFile(garbage)

    outbox = OutboxFile(tmp_path / "gone" / "outbox.sqlite")
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(StoreUnavailable), outbox.turn(CLIENT):
        pass
    outbox.close()
