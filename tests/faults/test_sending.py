"""What was decided once is done once, whatever the node says, and whatever becomes of the chain meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import LOCAL_CONSTANTS, deploy
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.events import EventFollower
from marketplace.chain.fees import GWEI, FeePolicy
from marketplace.chain.market import MarketContract
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.signing import Key, read_transaction
from marketplace.chain.transactions import Sender
from marketplace.domain.chain_errors import ChainUnavailable, FeesTooHigh, NodeRefused, TransactionNotMined
from marketplace.domain.events import Deposited
from marketplace.domain.transactions import SendingState
from marketplace.domain.units import TokenUnits
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Fault, Rule, next_one

DOLLAR = 1_000_000
RECEIPT = "eth_getTransactionReceipt"
SEND = "eth_sendRawTransaction"


class Crash(BaseException):
    """The process dies here."""


class Stage:
    """A key with money, its market as it is, and as it looks through the faulty node."""

    def __init__(self, honest: Chain, far: Chain, node: FaultProxy, book: AddressBook, key: Key) -> None:
        self.honest, self.far, self.node, self.book, self.key = honest, far, node, book, key
        self.market = MarketContract(honest, book.market, deployed_at_block=book.deployed_at_block)
        self.first_block = 0
        """Where the key has all that it needs: no reorganisation of a test goes below it."""

    def sender(self, outbox: OutboxFile | None = None, **more: Any) -> Sender:
        return Sender(self.far, self.key, outbox, **more)

    def deposit(self, amount: int) -> verbs.Call:
        return verbs.deposit(self.book.market, self.key.address, TokenUnits(amount))

    @property
    def deposited(self) -> list[int]:
        """What the chain says was deposited for the key, in its order."""
        events = EventFollower(self.honest, self.book.market, confirmations=1).history(
            self.book.deployed_at_block, self.honest.head().number
        )
        return [event.amount for event in events if isinstance(event, Deposited) and event.account == self.key.address]

    @property
    def nonce(self) -> int:
        return int(self.honest.rpc("eth_getTransactionCount", self.key.address, "latest"), 16)

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.honest.rpc("evm_mine")

    def tend(self, sender: Sender) -> None:
        """A block, and a look at what was sent."""
        self.mine()
        sender.tend(self.honest.head())

    def by_hand(self) -> None:
        self.honest.rpc("evm_setAutomine", False)

    def foreign(self, nonce: int) -> str:
        """A transaction of the key that our outbox does not know: an empty transfer to itself."""
        signed = self.key.sign_transaction(
            {
                "type": 2, "chainId": self.honest.chain_id, "nonce": nonce, "to": bytes.fromhex(self.key.address[2:]),
                "value": 0, "data": b"", "gas": 21_000, "maxPriorityFeePerGas": GWEI, "maxFeePerGas": 100 * GWEI,
            }
        )  # fmt: skip
        return str(self.honest.rpc(SEND, signed.raw))

    @contextmanager
    def sending(self, sender: Sender, amount: int) -> Iterator[Any]:
        """A deposit on its way, in a thread; in the end it is waited for."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(sender.send, self.deposit(amount))


@pytest.fixture
def stage(honest: Chain, far: Chain, node: FaultProxy) -> Iterator[Stage]:
    honest.rpc("evm_setAutomine", True)
    book = deploy(honest, ANVIL_KEYS[0], LOCAL_CONSTANTS)
    key = Key(bytes([7]) + bytes.fromhex(book.market[2:]).rjust(31, b"\1"))
    honest.rpc("anvil_setBalance", key.address, hex(10**20))
    for call in (
        verbs.mint(book.token, key.address, TokenUnits(1_000 * DOLLAR)),
        verbs.approve(book.token, book.market, TokenUnits(1_000 * DOLLAR)),
    ):
        Sender(honest, key).send(call)
    stage = Stage(honest, far, node, book, key)
    stage.first_block = honest.head().number
    yield stage
    node.rules.clear()
    honest.rpc("anvil_dropAllTransactions")
    honest.rpc("evm_setAutomine", True)


def until(what: str, condition: Callable[[], Any], pulse: Callable[[], object] = lambda: None) -> None:
    """Look again and again, with a deadline; ``pulse`` moves the world on."""
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, f"{what} did not come true"
        pulse()
        Event().wait(0.05)


@pytest.mark.parametrize(
    "fault",
    [
        next_one(Fault.NULL, "eth_getTransactionByHash", times=5),
        next_one(Fault.FAILED_AFTERWARDS, SEND),
        next_one(Fault.DROP_REPLY, SEND),
        next_one(Fault.TRUNCATED, SEND),
        next_one(Fault.WRONG_ID, SEND),
        next_one(Fault.NULL, SEND),
        next_one(Fault.NULL, RECEIPT, times=4),
        next_one(Fault.NULL, "eth_getBlockByHash"),
        next_one(Fault.NO_FIELD, RECEIPT, message="blockHash"),
        next_one(Fault.ERROR, RECEIPT, times=3, setting=-32603, message="internal error"),
        next_one(Fault.HTTP, "eth_.*", times=3, setting=502, skip=9),
        Rule(Fault.UNKNOWN_METHOD, "eth_maxPriorityFeePerGas"),
        Rule(Fault.NO_BATCHES),
        Rule(Fault.GETH_POOL),
    ],
    ids=lambda rule: f"{rule.fault}-{rule.methods}",
)
def test_one_send_moves_the_money_once(stage: Stage, fault: Rule) -> None:
    """Whatever one answer is missing or wrong, what was asked for happens, once."""
    stage.node.rules.add(fault)

    mined = stage.sender().send(stage.deposit(10))

    assert stage.node.rules.struck[fault.fault] or fault.fault in (Fault.GETH_POOL, Fault.NULL, Fault.NO_BATCHES)
    assert [event.amount for event in mined.events if isinstance(event, Deposited)] == [10]
    assert stage.deposited == [10]


def test_a_header_without_a_base_fee_is_an_outage(stage: Stage) -> None:
    """A typed error that may pass; nothing was signed."""
    stage.node.rules.add(Rule(Fault.NO_FIELD, "eth_getBlockByNumber", message="baseFeePerGas"))
    sender = stage.sender()

    with pytest.raises(ChainUnavailable):
        sender.send(stage.deposit(10))

    assert list(sender.pending()) == []


def test_a_node_that_lags_behind_the_pool_changes_nothing(stage: Stage) -> None:
    """Asked again and again while it knows of nothing, the sender signs nothing else, and believes the block when it comes."""
    sender, before = stage.sender(), stage.nonce
    stage.by_hand()
    hidden = Rule(Fault.NULL, "eth_getTransaction(Receipt|ByHash)")
    stage.node.rules.add(hidden)
    with stage.sending(sender, 10) as sent:
        until("sent", lambda: sender.pending())
        for _ in range(4):
            asked = stage.node.calls_of(method=RECEIPT)
            stage.mine()
            until("looked", lambda asked=asked: stage.node.calls_of(method=RECEIPT) > asked)  # type: ignore[misc]
        stage.node.rules.remove(hidden)
        stage.mine()
        mined = sent.result(60)

    assert stage.deposited == [10]
    assert stage.nonce == before + 1
    assert mined.block.number < stage.honest.head().number


def test_the_same_call_after_giving_up_is_the_same_transaction(stage: Stage, tmp_path: Path) -> None:
    """A later process finds it in the outbox by its name, waits for it, and says that it was an earlier one."""
    path = tmp_path / "outbox.sqlite"
    stage.by_hand()
    with pytest.raises(TransactionNotMined):
        stage.sender(OutboxFile(path)).send(stage.deposit(5), wait_seconds=0)

    later = stage.sender(OutboxFile(path))
    earlier = later.earlier(stage.deposit(5))
    assert earlier is not None
    with stage.sending(later, 5) as sent:
        until("looked", lambda: stage.node.calls_of(method=RECEIPT) > 1)
        stage.mine()
        mined = sent.result(60)

    assert mined.is_earlier
    assert mined.tx_hash == earlier.tx_hash
    assert stage.deposited == [5]
    assert later.earlier(stage.deposit(5)) is None


def test_what_was_mined_while_nobody_looked_is_told_and_not_done_again(stage: Stage, tmp_path: Path) -> None:
    """Mined after its process died: the same call finds that out first. Asked for again in so many words, it is done again."""
    path = tmp_path / "outbox.sqlite"
    stage.by_hand()
    with pytest.raises(TransactionNotMined):
        stage.sender(OutboxFile(path)).send(stage.deposit(5), wait_seconds=0)
    stage.honest.rpc("evm_setAutomine", True)
    stage.mine()

    later = stage.sender(OutboxFile(path))
    assert later.send(stage.deposit(5)).is_earlier
    assert stage.deposited == [5]
    assert not later.send(stage.deposit(5)).is_earlier
    assert stage.deposited == [5, 5]


def test_once_more_is_once_more(stage: Stage) -> None:
    """``again`` signs another one beside the one that waits."""
    sender = stage.sender()
    stage.by_hand()
    for again in (False, True):
        with pytest.raises(TransactionNotMined):
            sender.send(stage.deposit(5), wait_seconds=0, again=again)
    stage.mine()

    assert len(sender.recover()) == 2
    assert stage.deposited == [5, 5]


def test_processes_that_share_an_outbox_take_turns(stage: Stage, tmp_path: Path) -> None:
    """Twelve deposits from three senders on one file at once: each once, no nonce twice, none left out."""
    before = stage.nonce
    senders = [stage.sender(OutboxFile(tmp_path / "outbox.sqlite")) for _ in range(3)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: senders[number % 3].send(stage.deposit(number)), range(1, 13)))

    assert sorted(stage.deposited) == list(range(1, 13))
    assert stage.nonce == before + 12


def test_many_calls_go_in_one_batch_in_order(stage: Stage) -> None:
    """Written down together, broadcast in one batch, mined in their order; one lost answer of the batch changes nothing."""
    stage.node.rules.add(next_one(Fault.MISSING_ANSWER, SEND))

    mined = stage.sender().send_all([stage.deposit(number) for number in range(1, 21)])

    assert stage.deposited == list(range(1, 21))
    assert [one.events[-1].amount for one in mined] == list(range(1, 21))  # type: ignore[union-attr]
    assert not any(one.is_earlier for one in mined)  # type: ignore[union-attr]


# Reorganisations and gaps


def test_what_a_reorganisation_took_away_comes_back(stage: Stage) -> None:
    """Sixteen blocks go, our mined transactions with them: the kept bytes are sent again before whatever is sent next."""
    sender = stage.sender()
    sender.send(stage.deposit(1))
    sender.send(stage.deposit(2))
    stage.mine(14)
    stage.honest.rpc("anvil_reorg", 16, [])
    assert stage.deposited == []

    sender.send(stage.deposit(3))

    assert stage.deposited == [1, 2, 3]


def test_tending_alone_brings_back_what_a_reorganisation_took_away(stage: Stage) -> None:
    """Nobody sends anything any more: whoever looks after the sender once per block heals it, also as another process."""
    outbox = OutboxFile()
    stage.sender(outbox).send(stage.deposit(1))
    stage.honest.rpc("anvil_reorg", 1, [])
    assert stage.deposited == []

    successor = stage.sender(outbox)
    until("brought back", lambda: stage.deposited == [1], lambda: successor.tend(stage.honest.head()))

    assert successor.stuck_since(stage.honest.head()) is None


def test_a_call_that_a_reorganisation_took_away_is_not_made_twice(stage: Stage) -> None:
    """Told in a block that is gone, wanted again by who does not see it on the chain: it is the kept one that comes back."""
    sender = stage.sender(outbox := OutboxFile())
    sender.send(stage.deposit(1), name="list one")
    stage.honest.rpc("anvil_reorg", 1, [])
    stage.by_hand()
    stage.mine(2)
    stage.sender(outbox).tend(stage.honest.head())

    stage.honest.rpc("evm_setAutomine", True)
    stage.mine()
    stage.sender(outbox).send(stage.deposit(2), name="list one")

    assert stage.deposited == [1]


def test_a_call_whose_nonce_another_took_after_a_reorganisation_is_made_once_when_both_are_taken_back(
    stage: Stage,
) -> None:
    """The list that is gone is wanted again at the next nonce; when a second reorganisation frees both, one of them comes back."""
    sender, before = stage.sender(outbox := OutboxFile()), stage.nonce
    stage.mine(2)
    sender.send(stage.deposit(1), name="list one")
    stage.by_hand()
    stage.honest.rpc("anvil_reorg", 1, [])
    stage.foreign(before)
    stage.mine()
    successor = stage.sender(outbox)
    until("noticed", lambda: successor.foreign == 1, partial(stage.tend, successor))
    stage.honest.rpc("evm_setAutomine", True)
    successor.send(stage.deposit(2), name="list one")
    assert stage.deposited == [2]

    deep = stage.honest.head().number - stage.first_block
    stage.honest.rpc("anvil_reorg", deep, [])
    third = stage.sender(outbox)
    until("back", lambda: stage.nonce == before + 2, partial(stage.tend, third))

    assert stage.deposited == [2]


def test_a_hole_below_ours_is_filled(stage: Stage) -> None:
    """Another process's transaction is evicted below ours: an empty transfer takes its nonce, and ours is mined."""
    sender = stage.sender()
    stage.by_hand()
    foreign = stage.foreign(stage.nonce)
    with stage.sending(sender, 7) as sent:
        until("sent", lambda: sender.pending())
        stage.honest.rpc("anvil_dropTransaction", foreign)
        until("mined", sent.done, stage.mine)
        sent.result()

    assert stage.deposited == [7]


def test_what_is_wanted_next_fills_a_hole_first(stage: Stage) -> None:
    """With something to send, the lowest free nonce is its own: no empty transfer is paid for."""
    sender, before = stage.sender(), stage.nonce
    stage.by_hand()
    foreign = stage.foreign(before)
    with pytest.raises(TransactionNotMined):
        sender.send(stage.deposit(7), wait_seconds=0)
    stage.honest.rpc("anvil_dropTransaction", foreign)
    with pytest.raises(TransactionNotMined):
        sender.send(stage.deposit(8), wait_seconds=0)
    stage.mine()
    sender.tend(stage.honest.head())
    until("both mined", lambda: len(stage.deposited) == 2, stage.mine)

    assert stage.deposited == [8, 7]
    assert stage.nonce == before + 2


def test_another_transaction_that_took_the_nonce_is_shown_before_ours_is_given_up(stage: Stage, tmp_path: Path) -> None:
    """The deposit is signed again, once, at the next nonce; that somebody else uses the key is counted."""

    class Dying(OutboxFile):
        def put(self, *outgoing: Any) -> None:
            super().put(*outgoing)
            raise Crash

    with pytest.raises(Crash):
        stage.sender(Dying(tmp_path / "outbox.sqlite")).send(stage.deposit(5))
    stage.foreign(stage.nonce)
    outbox = OutboxFile(tmp_path / "outbox.sqlite")
    sender = stage.sender(outbox)

    sender.send(stage.deposit(5))

    states = [one.state for one in outbox.from_nonce(stage.key.address, 0)]
    assert states == [SendingState.DROPPED, SendingState.MINED]
    assert sender.foreign == 1
    assert stage.deposited == [5]


# Fees


def test_a_transaction_below_the_base_fee_is_replaced(stage: Stage) -> None:
    """The base fee is ten times what ours offers, the pool drops ours and refuses it: the same call goes again for more, under geth's rule."""
    sender, outbox = stage.sender(outbox := OutboxFile()), outbox
    stage.by_hand()
    stage.node.rules.add(Rule(Fault.GETH_POOL))
    with stage.sending(sender, 9) as sent:
        until("sent", lambda: int(stage.honest.rpc("txpool_status")["pending"], 16))
        (first,) = sender.pending()
        dear = 10 * read_transaction(first.raw).most_fee_wei
        stage.honest.rpc("anvil_dropTransaction", first.tx_hash)

        def dear_block() -> None:
            stage.honest.rpc("anvil_setNextBlockBaseFeePerGas", hex(dear))
            stage.mine()

        until("mined", sent.done, dear_block)
        sent.result()

    assert stage.deposited == [9]
    offers = [read_transaction(one.raw) for one in outbox.from_nonce(stage.key.address, 0)]
    assert len(offers) > 1
    for lower, higher in itertools.pairwise(offers):
        assert 8 * higher.most_fee_wei >= 9 * lower.most_fee_wei
        assert 8 * higher.tip_wei >= 9 * lower.tip_wei


def test_a_claim_is_raised_before_an_open_and_raises_what_stands_below_it(stage: Stage) -> None:
    """A block later more is offered for the claim, and for the cheap call below it, without which it cannot be mined."""
    sender, nonce = stage.sender(outbox := OutboxFile()), stage.nonce
    stage.by_hand()
    stage.node.rules.add(Rule(Fault.NULL, RECEIPT))
    claim = verbs.Call(stage.book.market, stage.deposit(2).input, "claim")
    for call in (stage.deposit(1), claim):
        with pytest.raises(TransactionNotMined):
            sender.send(call, wait_seconds=0)

    def offers(of: int) -> int:
        return len([one for one in outbox.from_nonce(stage.key.address, of) if one.nonce == of])

    hidden = [one.tx_hash for one in sender.pending()]
    for one in hidden:
        stage.honest.rpc("anvil_dropTransaction", one)
    stage.mine()
    sender.tend(stage.honest.head())

    assert (offers(nonce), offers(nonce + 1)) == (2, 2)


def test_no_more_is_offered_than_the_settings_allow(stage: Stage) -> None:
    """A cap below the base fee sends nothing; what is at stake bounds how far an offer is raised."""
    with pytest.raises(FeesTooHigh):
        stage.sender(fees=FeePolicy(most_wei=1)).send(stage.deposit(1))
    assert stage.deposited == []

    policy = FeePolicy(most_wei=100 * GWEI, wei_per_unit=10**6)
    assert policy.cap_wei(0, 10**6) == 100 * GWEI
    assert policy.cap_wei(10**9, 10**6) == GWEI
    assert policy.cap_wei(10**12, 10**6) == 100 * GWEI


def test_what_no_block_can_take_gives_its_nonce_back(stage: Stage) -> None:
    """Blocks became smaller than the call: an empty transfer takes its nonce, the caller is told, and the account goes on."""
    sender = stage.sender()
    limit = int(stage.honest.rpc("eth_getBlockByNumber", "latest", False)["gasLimit"], 16)
    stage.by_hand()
    try:
        with stage.sending(sender, 9) as sent:
            until("sent", lambda: sender.pending())
            stage.honest.rpc("evm_setBlockGasLimit", hex(100_000))
            until("given up", sent.done, stage.mine)
            with pytest.raises(NodeRefused):
                sent.result()
    finally:
        stage.honest.rpc("evm_setBlockGasLimit", hex(limit))
    stage.honest.rpc("evm_setAutomine", True)
    stage.mine()
    sender.send(stage.deposit(4))

    assert stage.deposited == [4]
