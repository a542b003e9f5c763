"""Sending: simulated first, written down before it is broadcast, never sent twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.transactions import ANY_BLOCK, Sender
from marketplace.domain import events
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import (
    ChainUnavailable,
    InsufficientFunds,
    TransactionNotMined,
    TransactionReverted,
)
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.transactions import Outgoing
from marketplace.domain.units import Seconds, TokenUnits, UnixTime
from marketplace.store.journal.operator import OperatorJournal

KEY = ANVIL_KEYS[6]


class Crash(BaseException):
    """The process dies here."""


class WatchedOutbox(OutboxFile):
    """A real outbox that notes what it is told, and may crash after writing."""

    def __init__(self, after_put: Callable[[Bytes32], None] = lambda _: None) -> None:
        super().__init__()
        self.after_put = after_put
        self.noted: list[tuple[str, int | str]] = []

    def put(self, *outgoing: Outgoing) -> None:
        super().put(*outgoing)
        for one in outgoing:
            self.noted.append(("put", one.nonce))
            self.after_put(one.tx_hash)

    def all_mined(self, places: Mapping[Bytes32, BlockRef], *, is_told: bool = False) -> None:
        super().all_mined(places, is_told=is_told)
        self.noted += [("mined", block.number) for block in places.values()]

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        super().dropped(tx_hash, why)
        self.noted.append(("dropped", why))

    def open(self, account: Address) -> list[Outgoing]:
        """What is not at its end, or whose end nobody was told."""
        return self.unsettled(account, ANY_BLOCK)


@pytest.fixture
def by_hand(chain: Chain) -> Iterator[Chain]:
    """A chain that mines only when told."""
    chain.rpc("evm_setAutomine", False)
    yield chain
    chain.rpc("evm_mine")
    chain.rpc("evm_setAutomine", True)


@contextmanager
def open_journal(url: str) -> Iterator[OperatorJournal]:
    journal = OperatorJournal(url)
    yield journal
    journal.close()


@pytest.fixture
def funded(trading: Any) -> Any:
    """The key has tokens, and the market may take them."""
    for call in (
        verbs.mint(trading.book.token, KEY.address, TokenUnits(10**9)),
        verbs.approve(trading.book.token, trading.book.market, TokenUnits(10**9)),
    ):
        Sender(trading.chain, KEY).send(call)
    return trading


def deposit(trading: Any, amount: int) -> verbs.Call:
    return verbs.deposit(trading.market.address, KEY.address, TokenUnits(amount))


def nonce_of(chain: Chain, key: Any = KEY) -> int:
    return int(chain.rpc("eth_getTransactionCount", key.address, "latest"), 16)


def until(condition: Callable[[], Any], what: str) -> None:
    """Poll with a deadline."""
    deadline, waiting = monotonic() + 20, threading.Event()
    while not condition():
        assert monotonic() < deadline, f"{what} did not come true"
        waiting.wait(0.01)


def waiting_transactions(chain: Chain) -> int:
    return int(chain.rpc("txpool_status")["pending"], 16)


def test_a_transaction_is_written_down_before_it_is_broadcast(funded: Any) -> None:
    """When the outbox is told of it the node has never heard of it; when it is mined the outbox is told again."""
    known: list[Any] = []
    outbox = WatchedOutbox(lambda tx_hash: known.append(funded.chain.rpc("eth_getTransactionByHash", tx_hash)))
    nonce = nonce_of(funded.chain)

    mined = Sender(funded.chain, KEY, outbox).send(deposit(funded, 5))

    assert known == [None]
    assert list(dict.fromkeys(outbox.noted)) == [("put", nonce), ("mined", mined.block.number)]
    assert outbox.open(KEY.address) == []


def test_a_crash_before_the_broadcast_is_made_good(funded: Any) -> None:
    """What was written down and not sent is sent at the next start, once, and its events are told."""

    def die(_: Bytes32) -> None:
        raise Crash

    outbox = WatchedOutbox(die)
    with pytest.raises(Crash):
        Sender(funded.chain, KEY, outbox).send(deposit(funded, 5))
    assert funded.free(KEY) == 0
    outbox.after_put = lambda _: None

    restarted = Sender(funded.chain, KEY, outbox)
    (recovered,) = restarted.recover()

    assert [event.amount for event in recovered.events] == [5]
    assert funded.free(KEY) == 5
    assert restarted.recover() == ()
    restarted.send(deposit(funded, 6))
    assert funded.free(KEY) == 11


def test_a_crash_after_the_broadcast_is_made_good(funded: Any, by_hand: Chain) -> None:
    """What is in the pool already is not sent a second time under another nonce."""
    outbox = WatchedOutbox()
    with pytest.raises(TransactionNotMined):
        Sender(by_hand, KEY, outbox).send(deposit(funded, 5), wait_seconds=0)

    restarted = Sender(by_hand, KEY, outbox)
    with ThreadPoolExecutor(1) as pool:
        recovering = pool.submit(restarted.recover)
        by_hand.rpc("evm_mine")
        (recovered,) = recovering.result(20)

    assert [event.amount for event in recovered.events] == [5]
    assert funded.free(KEY) == 5
    assert [what for what, _ in dict.fromkeys(outbox.noted)] == ["put", "mined"]


def test_a_new_sender_does_not_need_to_be_told_to_recover(funded: Any) -> None:
    """The first nonce is counted behind what the outbox holds."""

    def die(_: Bytes32) -> None:
        raise Crash

    outbox = WatchedOutbox(die)
    with pytest.raises(Crash):
        Sender(funded.chain, KEY, outbox).send(deposit(funded, 5))
    outbox.after_put = lambda _: None

    Sender(funded.chain, KEY, outbox).send(deposit(funded, 6))

    assert funded.free(KEY) == 11


def test_what_lost_its_nonce_is_struck_out(funded: Any) -> None:
    """Another transaction took the place of the one that was written down: it can never be mined."""

    def die(_: Bytes32) -> None:
        raise Crash

    outbox = WatchedOutbox(die)
    with pytest.raises(Crash):
        Sender(funded.chain, KEY, outbox).send(deposit(funded, 5))
    Sender(funded.chain, KEY).send(deposit(funded, 6))
    outbox.after_put = lambda _: None

    assert Sender(funded.chain, KEY, outbox).recover() == ()
    assert outbox.noted[-1][0] == "dropped"
    assert outbox.open(KEY.address) == []
    assert funded.free(KEY) == 6


def test_two_senders_of_one_account_get_along(funded: Any) -> None:
    """Who finds its nonce taken simulates and signs again."""
    one, other = Sender(funded.chain, KEY), Sender(funded.chain, KEY)
    for number in range(1, 4):
        one.send(deposit(funded, number))
        other.send(deposit(funded, 10 * number))

    assert funded.free(KEY) == 66


def test_many_threads_share_a_sender(funded: Any) -> None:
    """Each call is sent once, under a nonce of its own."""
    sender, before = Sender(funded.chain, KEY), nonce_of(funded.chain)
    with ThreadPoolExecutor(6) as pool:
        mined = list(pool.map(lambda number: sender.send(deposit(funded, number)), range(1, 25)))

    assert nonce_of(funded.chain) == before + 24
    assert funded.free(KEY) == sum(range(1, 25))
    assert len({one.tx_hash for one in mined}) == 24


def test_threads_share_a_block(funded: Any, by_hand: Chain) -> None:
    """Nobody waits for another's block before sending."""
    sender = Sender(by_hand, KEY)
    with ThreadPoolExecutor(3) as pool:
        sending = [pool.submit(sender.send, deposit(funded, number)) for number in (1, 2, 3)]
        until(lambda: waiting_transactions(by_hand) == 3, "three transactions in the pool")
        by_hand.rpc("evm_mine")
        blocks = {each.result(20).block.number for each in sending}

    assert len(blocks) == 1
    assert funded.free(KEY) == 6


def test_calls_of_a_batch_are_waited_for_and_an_equal_call_meanwhile_is_another_one(
    funded: Any, by_hand: Chain
) -> None:
    """Nothing is mined until both are out there: each has its nonce, and none is told to be an earlier one."""
    sender, before = Sender(by_hand, KEY), nonce_of(by_hand)
    with ThreadPoolExecutor(2) as pool:
        batch = pool.submit(sender.send_all, [deposit(funded, 1), deposit(funded, 2)])
        until(lambda: waiting_transactions(by_hand) == 2, "the batch in the pool")
        single = pool.submit(sender.send, deposit(funded, 1))
        until(lambda: waiting_transactions(by_hand) == 3, "the call in the pool")
        by_hand.rpc("evm_mine")
        mined = [*batch.result(20), single.result(20)]

    assert [one.is_earlier for one in mined] == [False] * 3
    assert (nonce_of(by_hand), funded.free(KEY)) == (before + 3, 4)


def test_a_lost_answer_sends_nothing_twice(funded: Any, line: Any, far_chain: Chain) -> None:
    """The node has it, the sender does not know: the same bytes go again, and the node knows them."""
    line.lose_answers = {"eth_sendRawTransaction"}
    before = nonce_of(funded.chain)

    mined = Sender(far_chain, KEY).send(deposit(funded, 5))

    assert line.lost >= 1
    assert [event.amount for event in mined.events] == [5]
    assert (funded.free(KEY), nonce_of(funded.chain)) == (5, before + 1)


def test_sending_again_after_a_failure_waits_on(funded: Any, line: Any, far_chain: Chain) -> None:
    """The request never arrived. The caller's retry sends the very same transaction, and only that."""
    outbox = WatchedOutbox()
    sender = Sender(far_chain, KEY, outbox)
    line.lose_requests = {"eth_sendRawTransaction"}
    for _ in range(2):
        with pytest.raises((ChainUnavailable, TransactionNotMined)) as raised:
            sender.send(deposit(funded, 5), wait_seconds=0)
        assert raised.value.retryable
    assert funded.free(KEY) == 0

    line.lose_requests = set()
    mined = sender.send(deposit(funded, 5))

    assert [event.amount for event in mined.events] == [5]
    assert funded.free(KEY) == 5
    assert [what for what, _ in dict.fromkeys(outbox.noted)] == ["put", "mined"]


def test_another_call_after_a_failure_leaves_no_gap(funded: Any, line: Any, far_chain: Chain) -> None:
    """What was lost on the way goes first, or everything behind it would wait for ever."""
    sender = Sender(far_chain, KEY)
    line.lose_requests = {"eth_sendRawTransaction"}
    with pytest.raises((ChainUnavailable, TransactionNotMined)):
        sender.send(deposit(funded, 5), wait_seconds=0)
    line.lose_requests = set()

    sender.send(deposit(funded, 6))

    assert funded.free(KEY) == 11


def test_a_node_that_is_away_for_a_moment_is_waited_for(funded: Any, line: Any, far_chain: Chain) -> None:
    """While there is time, a broken line is no failure."""
    line.lose_requests = {"eth_sendRawTransaction", "eth_getTransactionReceipt"}
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(Sender(far_chain, KEY).send, deposit(funded, 5))
        until(lambda: line.lost > 3, "a few lost requests")
        line.lose_requests = set()
        mined = sending.result(20)

    assert [event.amount for event in mined.events] == [5]
    assert funded.free(KEY) == 5


def test_a_node_that_is_away_at_first_costs_nothing(funded: Any, line: Any, far_chain: Chain) -> None:
    """Without a simulation nothing is signed and nothing is written down."""
    outbox = WatchedOutbox()
    line.lose_requests = {"eth_estimateGas"}

    with pytest.raises(ChainUnavailable):
        Sender(far_chain, KEY, outbox).send(deposit(funded, 5))
    assert outbox.noted == []


def test_what_reverts_only_when_it_is_mined_says_why(funded: Any, by_hand: Chain) -> None:
    """The simulation was good, time moved: the error has the contract's name for it all the same."""
    by_hand.rpc("evm_setAutomine", True)
    funded.fund(funded.client, 10**7)
    funded.fund(funded.provider, 10**7)
    signed = funded.signed(max_seconds=Seconds(60))
    opened = funded.open(signed, funded.list()).block.timestamp
    by_hand.rpc("evm_setAutomine", False)
    outbox = WatchedOutbox()
    with ThreadPoolExecutor(1) as pool:
        call = verbs.terminate(funded.market.address, signed.order)
        sending = pool.submit(Sender(by_hand, funded.client, outbox).send, call)
        until(lambda: waiting_transactions(by_hand) == 1, "a transaction in the pool")
        funded.at(opened + 75)
        by_hand.rpc("evm_mine")
        with pytest.raises(TransactionReverted) as raised:
            sending.result(20)

    assert raised.value.error_name == "TooLate"
    assert raised.value.arguments == {"attempted": opened + 75, "end": UnixTime(opened + 75)}
    assert [what for what, _ in dict.fromkeys(outbox.noted)] == ["put", "mined"]


def test_an_account_without_gas_money_is_told_so(funded: Any) -> None:
    """The node refuses, nothing stays behind, and the next try starts afresh."""
    poor = type(KEY)(b"\x55" * 32)
    outbox = WatchedOutbox()
    sender = Sender(funded.chain, poor, outbox)
    call = verbs.mint(funded.book.token, poor.address, TokenUnits(1))
    for _ in range(2):
        with pytest.raises(InsufficientFunds):
            sender.send(call)
    assert outbox.open(poor.address) == []

    funded.chain.rpc("anvil_setBalance", poor.address, hex(10**18))
    sender.send(call)

    assert funded.token.balance_of(poor.address) == 1


def test_the_journals_outbox_goes_with_the_sender(funded: Any, tmp_path: Path) -> None:
    """Refused, crashed, restarted, sent: the journal's file, opened anew each time, ends with everything mined once."""
    poor, url = type(KEY)(b"\x56" * 32), f"sqlite:///{tmp_path}/journal.db"
    call = verbs.mint(funded.book.token, poor.address, TokenUnits(1))
    for _ in range(2):
        with open_journal(url) as journal, pytest.raises(InsufficientFunds):
            Sender(funded.chain, poor, journal.outbox).send(call)
    funded.chain.rpc("anvil_setBalance", poor.address, hex(10**18))
    with open_journal(url) as journal:
        Sender(funded.chain, poor, journal.outbox).send(call)

    with open_journal(url) as journal, ThreadPoolExecutor(1) as pool:
        funded.chain.rpc("evm_setAutomine", False)
        sending = pool.submit(Sender(funded.chain, poor, journal.outbox).send, call, wait_seconds=0)
        assert isinstance(sending.exception(20), TransactionNotMined)
    funded.chain.rpc("evm_setAutomine", True)
    funded.chain.rpc("evm_mine")
    with open_journal(url) as journal:
        (recovered,) = Sender(funded.chain, poor, journal.outbox).recover()

        assert recovered.block.number <= funded.chain.head().number
        assert journal.outbox.unsettled(poor.address, ANY_BLOCK) == []
    assert funded.token.balance_of(poor.address) == 2


def test_the_same_call_twice_is_two_transactions(funded: Any) -> None:
    """Only a failure that left the outcome open joins two calls into one."""
    sender = Sender(funded.chain, KEY)
    found = [sender.send(deposit(funded, 5)) for _ in range(2)]

    assert found[0].tx_hash != found[1].tx_hash
    assert funded.free(KEY) == 10
    assert all(isinstance(one.events[0], events.Deposited) for one in found)
