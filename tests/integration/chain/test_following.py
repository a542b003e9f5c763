"""Following a chain that changes, through a node that lies: every event once, none missed, none kept that never happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.bloom import bloom_of, may_hold
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle, mine
from marketplace.chain.events import KEPT_BLOCKS, NOTHING_NEW, EventFollower
from marketplace.domain import events
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainUnavailable, ReorganisedTooDeep
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import TokenUnits, UnixTime
from tests.integration.chain.conftest import Trading
from tests.integration.chain.lying_node import (
    LyingNode,
    RefusedByNode,
    all_but_the_last,
    at_most_blocks,
    at_most_results,
    lying,
    no_logs,
    null,
    reorganise,
)


class Reader:
    """Keeps a cursor, the blocks read and the deposits read, as every consumer does."""

    def __init__(self, trading: Trading, chain: Chain, *, confirmations: int = 1) -> None:
        self.follower = EventFollower(chain, trading.book.market, confirmations=confirmations)
        self.start = trading.book.deployed_at_block
        self.blocks: list[BlockRef] = []
        self.found: list[events.Event] = []

    @property
    def cursor(self) -> BlockRef | None:
        return self.blocks[-1] if self.blocks else None

    def catch_up(self) -> None:
        while True:
            page = self.follower.follow(self.cursor, self.start, trail=lambda: self.blocks)
            if page.undo_to is not None:
                kept = page.undo_to.number
                self.blocks = [block for block in self.blocks if block.number <= kept]
                self.found = [event for event in self.found if event.ref.block.number <= kept]
            elif page.upto is None:
                return
            else:
                self.blocks += page.blocks
                self.found += page.events

    @property
    def amounts(self) -> list[int]:
        return [event.amount for event in self.found if isinstance(event, events.Deposited)]


@pytest.fixture
def node(anvil: AnvilHandle) -> Iterator[LyingNode]:
    with lying(anvil.rpc_url) as server:
        yield server


@pytest.fixture
def rich(trading: Trading) -> Trading:
    """A client with a wallet to deposit from, one unit in the market."""
    trading.fund(trading.client, 1)
    trading.send(trading.client, verbs.mint(trading.book.token, trading.client.address, TokenUnits(10**6)))
    trading.send(trading.client, verbs.approve(trading.book.token, trading.book.market, TokenUnits(10**6)))
    return trading


def deposit(trading: Trading, *amounts: int) -> None:
    for amount in amounts:
        trading.send(trading.client, verbs.deposit(trading.book.market, trading.client.address, TokenUnits(amount)))


def deposit_at_once(trading: Trading, *amounts: int) -> None:
    """All in one block, each for another account."""
    chain, client = trading.chain, trading.client
    count = int(chain.rpc("eth_getTransactionCount", client.address, "latest"), 16)
    chain.rpc("evm_setAutomine", False)
    try:
        for number, amount in enumerate(amounts):
            call = verbs.deposit(trading.book.market, ANVIL_KEYS[amount].address, TokenUnits(amount))
            words = {"from": client.address, "to": call.to, "data": "0x" + call.input.hex()}
            chain.rpc("eth_sendTransaction", words | {"nonce": hex(count + number), "gas": hex(200_000)})
        mine(chain)
    finally:
        chain.rpc("evm_setAutomine", True)


def test_a_block_says_in_its_bloom_which_logs_it_has(rich: Trading) -> None:
    """All logs of a block set its bloom's bits, none too many; a block without logs excludes everybody (yellow paper, 4.3.1)."""
    deposit_at_once(rich, 2, 3)
    full, empty = rich.chain.head(), mine(rich.chain)
    blooms = {
        block.number: int(rich.chain.rpc("eth_getBlockByNumber", hex(block.number), False)["logsBloom"], 16)
        for block in (full, empty)
    }
    logs = rich.chain.rpc("eth_getLogs", {"blockHash": full.hash})

    assert [int(log["logIndex"], 16) for log in logs] == [0, 1, 2, 3]
    assert bloom_of(logs) == blooms[full.number]
    assert may_hold(blooms[full.number], rich.book.market)
    assert not may_hold(blooms[empty.number], rich.book.market)


def test_a_block_without_the_market_costs_one_call(rich: Trading, node: LyingNode) -> None:
    """Its bloom excludes the market, so nobody asks for its logs; nor for anything while there is no new block but for the head."""
    reader = Reader(rich, Chain([node.url]))
    reader.catch_up()
    node.asked.clear()

    mine(rich.chain)
    reader.follower.follow(reader.cursor, 0)

    assert dict(node.asked) == {"eth_getBlockByNumber": 1}


def test_a_head_that_waits_for_confirmations_costs_one_call(rich: Trading, node: LyingNode) -> None:
    """Headers seen on the way are remembered: the confirmed one is not asked for again."""
    reader = Reader(rich, Chain([node.url]), confirmations=5)
    mine(rich.chain, 5)
    reader.catch_up()
    node.asked.clear()

    for _ in range(3):
        mine(rich.chain)
        page = reader.follower.follow(reader.cursor, 0, trail=lambda: reader.blocks)
        reader.blocks += page.blocks

    assert dict(node.asked) == {"eth_getBlockByNumber": 3}
    assert reader.cursor == rich.chain.confirmed(5)


@pytest.mark.parametrize("lie", [no_logs, all_but_the_last, null])
def test_a_lie_about_a_blocks_logs_is_seen_and_the_receipts_believed(rich: Trading, node: LyingNode, lie: Any) -> None:
    """Empty, cut short or null: the block's bloom says that there is more, and its receipts say what."""
    node.lies["eth_getLogs"] = lie
    reader = Reader(rich, Chain([node.url]))
    deposit_at_once(rich, 5, 6, 7)
    deposit(rich, 8)
    reader.catch_up()

    assert reader.amounts == [1, 5, 6, 7, 8]


@pytest.mark.parametrize("far", [0, KEPT_BLOCKS + 1])
@pytest.mark.parametrize("lie", [{"blockNumber": hex(10**12)}, {"blockTimestamp": "0x1"}])
def test_where_and_when_an_event_was_is_what_the_header_says(
    rich: Trading, node: LyingNode, lie: dict[str, str], far: int
) -> None:
    """A log with another number than its block's is not believed, and a log's own time is nothing that anybody reads."""
    deposit(rich, 5)
    told = rich.chain.head()
    mine(rich.chain, far)
    node.lies["eth_getLogs"] = lambda _, logs: [log | lie for log in logs]
    reader = Reader(rich, Chain([node.url]))
    if far and "blockNumber" in lie:
        with pytest.raises(ChainUnavailable):
            reader.catch_up()
    else:
        reader.catch_up()
        assert (reader.amounts, reader.found[-1].ref.block) == ([1, 5], told)


@pytest.mark.parametrize("receipts", [[{"logs": 5}], [{"logs": {}}], [{}], {"logs": []}, [5], None])
def test_receipts_and_transactions_that_are_none_are_no_answer(rich: Trading, node: LyingNode, receipts: Any) -> None:
    """Whatever a node says, the follower only knows that it does not know."""
    deposit(rich, 5)
    reader = Reader(rich, Chain([node.url]))
    node.lies |= {"eth_getLogs": no_logs, "eth_getBlockReceipts": lambda *_: receipts}
    with pytest.raises(ChainUnavailable):
        reader.catch_up()

    def unknown(_parameters: list[Any], _result: Any) -> Any:
        raise RefusedByNode(-32601, "the method does not exist")

    node.lies |= {
        "eth_getBlockReceipts": unknown, "eth_getBlockByHash": lambda _, block: block | {"transactions": receipts},
    }  # fmt: skip
    with pytest.raises(ChainUnavailable):
        reader.catch_up()


def test_receipts_are_asked_one_by_one_where_there_is_no_other_way(rich: Trading, node: LyingNode) -> None:
    """A node without eth_getBlockReceipts."""

    def unknown(_parameters: list[Any], _result: Any) -> Any:
        raise RefusedByNode(-32601, "the method does not exist")

    node.lies |= {"eth_getLogs": no_logs, "eth_getBlockReceipts": unknown}
    reader = Reader(rich, Chain([node.url]))
    deposit_at_once(rich, 5, 6)
    reader.catch_up()

    assert reader.amounts == [1, 5, 6]


@pytest.mark.parametrize("lie", [no_logs, null])
def test_a_node_that_has_neither_logs_nor_receipts_is_behind(rich: Trading, node: LyingNode, lie: Any) -> None:
    """The cursor does not pass the block; when the node has it, it is read."""
    reader = Reader(rich, Chain([node.url]))
    reader.catch_up()
    before = reader.cursor
    node.lies |= {"eth_getLogs": no_logs, "eth_getBlockReceipts": lie}
    deposit(rich, 9)

    with pytest.raises(ChainUnavailable):
        reader.catch_up()
    assert (reader.cursor, reader.amounts) == (before, [1])

    node.lies.clear()
    reader.catch_up()
    assert reader.amounts == [1, 9]


@pytest.mark.parametrize("depth", [1, 12, KEPT_BLOCKS - 1])
def test_what_left_the_chain_is_taken_back(rich: Trading, depth: int) -> None:
    """Back to the common ancestor, and on along the new branch."""
    reader = Reader(rich, rich.chain)
    mine(rich.chain, KEPT_BLOCKS)
    deposit(rich, 2)
    reader.catch_up()
    deposit(rich, 3)
    mine(rich.chain, depth - 1)
    reader.catch_up()
    assert reader.amounts == [1, 2, 3]

    reorganise(rich.chain, depth)
    rich.senders.clear()  # they count nonces of the branch that is gone
    reader.catch_up()
    assert reader.amounts == [1, 2]

    deposit(rich, 4)
    reader.catch_up()
    assert reader.amounts == [1, 2, 4]
    assert reader.cursor == rich.chain.head()
    assert all(rich.chain.block(block.number) == block for block in reader.blocks)


def test_what_left_the_chain_deeper_than_anybody_remembers_is_said(rich: Trading) -> None:
    """No guess is made: the caller is told to begin anew."""
    reader = Reader(rich, rich.chain)
    mine(rich.chain, KEPT_BLOCKS)
    reader.catch_up()
    deposit(rich, 2)
    mine(rich.chain, KEPT_BLOCKS)
    reader.catch_up()

    reorganise(rich.chain, KEPT_BLOCKS + 1)
    with pytest.raises(ReorganisedTooDeep):
        reader.catch_up()


def test_a_node_that_lags_takes_nothing_back(rich: Trading, node: LyingNode) -> None:
    """Its head is an older block of the same chain: there is nothing new, and nothing that never happened."""
    reader = Reader(rich, Chain([node.url]))
    deposit(rich, 2)
    reader.catch_up()
    cursor = reader.cursor
    old = rich.chain.rpc("eth_getBlockByNumber", hex(rich.chain.head().number - 2), False)
    node.lies["eth_getBlockByNumber"] = lambda parameters, true: old if parameters[0] == "latest" else true
    reader.catch_up()

    assert (reader.cursor, reader.amounts) == (cursor, [1, 2])


def test_a_cursor_that_a_lie_moved_far_above_the_chain_does_not_stay_there(rich: Trading, node: LyingNode) -> None:
    """A head that was never there: honest blocks later than it, or so many that it is no lag, and the caller begins anew, once."""
    reader = Reader(rich, Chain([node.url]))
    reader.catch_up()
    top = rich.chain.head()
    for later, blocks in ((0, 1), (10**6, KEPT_BLOCKS + 2)):
        reader.blocks.append(BlockRef(top.number + 4_000, Bytes32("0x" + "fa" * 32), UnixTime(top.timestamp + later)))
        reader.blocks = reader.blocks[-1:]  # what is far below the cursor is not remembered
        page = reader.follower.follow(reader.cursor, 0, trail=lambda: reader.blocks)
        assert page == NOTHING_NEW, "a lag, for all that is known yet"
        rich.at(top.timestamp + 10)
        mine(rich.chain, blocks)

        with pytest.raises(ReorganisedTooDeep):
            reader.catch_up()
        top = rich.chain.head()


def test_a_shorter_chain_is_another_chain(rich: Trading) -> None:
    """Its newest block is not the one of that height that was read: what followed on that height's parent is taken back at once."""
    reader = Reader(rich, rich.chain)
    deposit(rich, 2, 3, 4)
    reader.catch_up()
    rich.chain.rpc("anvil_rollback", 2)
    rich.senders.clear()
    deposit(rich, 5)
    reader.catch_up()

    assert reader.amounts == [1, 2, 5]
    assert reader.cursor == rich.chain.head()


def test_a_node_with_narrow_ranges_is_read_nevertheless(rich: Trading, node: LyingNode) -> None:
    """Refused ranges are halved until one passes, and the limit is learnt: few further refusals follow."""
    for amount in range(2, 6):
        deposit(rich, amount)
        mine(rich.chain, 90)
    node.lies["eth_getLogs"] = at_most_blocks(30)
    chain = Chain([node.url])
    chain.log_blocks = 120
    reader = Reader(rich, chain)
    reader.catch_up()

    assert reader.amounts == [1, 2, 3, 4, 5]
    # 240 old blocks: eight ranges of 30, and what it took to find that out.
    assert node.asked["eth_getLogs"] <= 16


def test_a_node_with_few_results_is_read_nevertheless(rich: Trading, node: LyingNode) -> None:
    """More results than it gives: narrower ranges, down to a single block, which is read by its hash."""
    deposit_at_once(rich, 2, 3, 4)
    deposit(rich, 5, 6)
    mine(rich.chain, KEPT_BLOCKS + 1)

    def few(parameters: list[Any], result: Any) -> Any:
        return at_most_results(2)(parameters, result) if "fromBlock" in parameters[0] else result

    node.lies["eth_getLogs"] = few
    reader = Reader(rich, Chain([node.url]))
    reader.catch_up()

    assert reader.amounts == [1, 2, 3, 4, 5, 6]


def test_a_range_that_is_not_what_was_asked_for_is_not_read(rich: Trading, node: LyingNode) -> None:
    """Removed, a stranger's, out of the range, out of order, cut short: the cursor stays before it."""
    deposit(rich, 2)
    mine(rich.chain, KEPT_BLOCKS + 1)
    changes: list[dict[str, Any]] = [
        {"removed": True}, {"address": "0x" + "dd" * 20}, {"blockNumber": "0x0"}, {"topics": []}, {"data": None},
        {"data": "0x"}, {"logIndex": "one"},
    ]  # fmt: skip
    lies: list[Any] = [lambda _, logs, change=change: [log | change for log in logs] for change in changes]
    for lie in (*lies, lambda _, logs: logs[::-1], null):
        node.lies["eth_getLogs"] = lie
        reader = Reader(rich, Chain([node.url]))

        with pytest.raises(ChainUnavailable):
            reader.catch_up()
        assert (reader.cursor, reader.found) == (None, [])


def test_what_a_range_left_out_is_found_block_by_block(rich: Trading, node: LyingNode) -> None:
    """Nothing proves a range; reading again holds every block against its bloom."""
    deposit(rich, 2, 3)
    mine(rich.chain, 2 * KEPT_BLOCKS)
    node.lies["eth_getLogs"] = no_logs
    reader = Reader(rich, Chain([node.url]))
    reader.catch_up()
    assert reader.amounts == []

    assert reader.cursor is not None
    found = reader.follower.read_again(reader.start, reader.cursor)

    assert [event.amount for event in found if isinstance(event, events.Deposited)] == [1, 2, 3]
