"""What a sender knows of its own transactions without asking a node: what is on its way, and who was told how it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.nonces import FILLING
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender, name_of
from marketplace.chain.verbs import Call
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.transactions import Outgoing, SendingState
from marketplace.domain.units import UnixTime

KEY = Key(b"\x07" * 32)
MARKET, OTHER = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)
CALL = Call(MARKET, b"\x01\x02", "deposit")


def word(number: int) -> Bytes32:
    return Bytes32(f"0x{number:064x}")


def outgoing(nonce: int, **changed: Any) -> Outgoing:
    made = Outgoing(KEY.address, nonce, f"call {nonce}", "deposit", "0x02", word(nonce), since_block=10)
    return replace(made, **changed)


def mined(nonce: int, **changed: Any) -> Outgoing:
    return outgoing(nonce, state=SendingState.MINED, block_number=12, block_hash=word(0xB12), **changed)


def knowing(*rows: Outgoing) -> Sender:
    """A sender with this outbox, of a chain that nobody asks."""
    outbox = OutboxFile()
    outbox.put(*rows)
    return Sender(Chain(["http://127.0.0.1:9"]), KEY, outbox)


def test_a_call_without_a_name_is_named_after_all_that_it_is() -> None:
    """Verb, contract and content: another one of any of them is another call, and the same call is the same one."""
    others = [
        replace(CALL, verb="withdraw"),
        replace(CALL, to=OTHER),
        replace(CALL, to=None),
        replace(CALL, input=b"\x01"),
    ]

    assert name_of(replace(CALL)) == name_of(CALL)
    assert len({name_of(one) for one in (CALL, *others)}) == 5


def test_what_nobody_was_told_of_is_the_same_call_again() -> None:
    """By its name; a call whose end was told is done, and filling a hole is nobody's call."""
    told, filling = outgoing(1, name=name_of(CALL), is_told=True), outgoing(2, name=FILLING)
    waiting = outgoing(3, name=name_of(CALL))
    sender = knowing(told, filling, waiting)

    assert [one.nonce for one in sender.pending()] == [1, 3]
    assert sender.earlier(CALL) == waiting
    assert sender.earlier(CALL, "call 3") is None
    assert knowing(told, filling).earlier(CALL) is None


def test_acknowledging_is_for_what_is_mined() -> None:
    """What still waits is not told of; what was told before needs no second word."""
    sender = knowing(outgoing(1), mined(2), mined(3, is_told=True))
    assert [one.nonce for one in sender.pending()] == [1, 2]
    sender.acknowledge()

    assert [(one.nonce, one.is_told) for one in sender.pending()] == [(1, False)]


def test_a_sender_is_stuck_after_twelve_blocks() -> None:
    """By the oldest that is in no block; what is mined waits for nothing."""
    sender = knowing(mined(1, since_block=1), outgoing(2, since_block=13), outgoing(3, since_block=11))

    def stuck(number: int) -> int | None:
        return sender.stuck_since(BlockRef(number, word(number), UnixTime(number)))

    assert [stuck(number) for number in (11, 23, 24)] == [None, None, 11]
    assert knowing(mined(1, since_block=1)).stuck_since(BlockRef(900, word(9), UnixTime(9))) is None
