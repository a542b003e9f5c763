"""Lies about our own transactions that something else in the answer gives away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.transactions import Sender
from marketplace.domain.chain_errors import ChainUnavailable, NodeRefused, TransactionNotMined
from marketplace.domain.transactions import SendingState
from marketplace.domain.units import TokenUnits
from tests.integration.chain.conftest import Trading
from tests.integration.chain.tampering import Reply, Tamperer, saying, tampering

KEY = ANVIL_KEYS[7]
Lie = Callable[[dict[str, Any], Any], Any]
"""Given a call and the node's answer to it, what is answered."""


@pytest.fixture
def funded(trading: Trading) -> Trading:
    """The key has money in the market."""
    trading.fund(KEY, 1_000)
    return trading


@pytest.fixture
def liar(funded: Trading) -> Iterator[Tamperer]:
    with tampering(funded.chain.rpc_url) as server:
        yield server


def lying(server: Tamperer, lie: Lie) -> None:
    """From now on each call, also in a batch, is answered by ``lie``."""

    def tamper(asked: Any) -> Reply:
        calls, told = (asked if isinstance(asked, list) else [asked]), server.node_says(asked)
        answers = {one["id"]: one for one in (told if isinstance(told, list) else [told])}
        for call in calls:
            if "result" in answers[call["id"]]:
                answers[call["id"]]["result"] = lie(call, answers[call["id"]]["result"])
        return saying(told)

    server.tamper = tamper


def withdraw(funded: Trading, amount: int = 5) -> verbs.Call:
    return verbs.withdraw(funded.market.address, KEY.address, TokenUnits(amount))


def taken(funded: Trading) -> int:
    return 1_000 - funded.free(KEY)


def test_an_invented_user_of_our_nonce_is_not_believed(funded: Trading, liar: Tamperer) -> None:
    """The receipt is withheld, and a block is shown with somebody's transaction of our address and nonce: nobody signed it for us."""

    def lie(call: dict[str, Any], result: Any) -> Any:
        match call["method"], call["params"]:
            case "eth_getTransactionReceipt", _:
                return None
            case "eth_getBlockByNumber", [_, True] if result:
                invented = {"from": KEY.address, "nonce": result["transactions"][0]["nonce"], "hash": "0x" + "ab" * 32}
                return result | {"transactions": [result["transactions"][0] | invented]}
        return result

    chain, outbox = Chain([liar.url]), OutboxFile()
    sender, before = Sender(chain, KEY, outbox), funded.chain.rpc("eth_getTransactionCount", KEY.address, "latest")
    lying(liar, lie)
    with pytest.raises(TransactionNotMined):
        sender.send(withdraw(funded), wait_seconds=0)
    for _ in range(4):
        funded.chain.rpc("evm_mine")
        sender.tend(funded.chain.head())

    assert [one.state for one in outbox.from_nonce(KEY.address, int(before, 16))] == [SendingState.UNMINED]
    liar.tamper = lambda _: None
    assert sender.send(withdraw(funded)).is_earlier
    assert taken(funded) == 5


@pytest.mark.parametrize(
    "changed",
    [{"status": "0x0"}, {"logs": []}, {"transactionHash": "0x" + "cd" * 32}, {"gasUsed": "0x" + "f" * 80}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_receipt_that_does_not_fit_itself_is_no_answer(
    funded: Trading, liar: Tamperer, changed: dict[str, Any]
) -> None:
    """Reverted and yet with events, a withdrawal without one, of another transaction, of more gas than there is: asked again until it fits."""
    told: list[str] = []

    def lie(call: dict[str, Any], result: Any) -> Any:
        if call["method"] == "eth_getTransactionReceipt" and result and len(told) < 2:
            told.append(call["method"])
            return result | changed
        return result

    lying(liar, lie)
    mined = Sender(Chain([liar.url]), KEY).send(withdraw(funded))

    assert len(told) == 2
    assert len(mined.events) == 1
    assert taken(funded) == 5


@pytest.mark.parametrize(
    "changed",
    [{"number": hex(2**63)}, {"timestamp": hex(2**200)}, {"gasLimit": "0x1" + "0" * 80}],
    ids=lambda one: next(iter(one)),
)
def test_a_header_beyond_all_bounds_is_no_header(liar: Tamperer, funded: Trading, changed: dict[str, str]) -> None:
    """A block number, a time or a limit that no chain has: an outage, and over when the node is honest again."""
    chain = Chain([liar.url])
    lying(liar, lambda call, result: result | changed if call["method"] == "eth_getBlockByNumber" else result)
    with pytest.raises(ChainUnavailable):
        chain.head()
    liar.tamper = lambda _: None

    assert chain.head() == funded.chain.head()


def test_a_block_that_takes_nothing_makes_nobody_sign(liar: Tamperer, funded: Trading) -> None:
    """A gas limit below what the call takes: refused, and nothing is written down."""
    sender = Sender(Chain([liar.url]), KEY)
    lying(
        liar, lambda call, result: result | {"gasLimit": "0x1"} if call["method"] == "eth_getBlockByNumber" else result
    )
    with pytest.raises(NodeRefused):
        sender.send(withdraw(funded))

    assert list(sender.pending()) == []


def test_a_count_out_of_the_blue_costs_nothing(liar: Tamperer, funded: Trading) -> None:
    """The node counts 400 transactions more than there are, once: nothing is signed up there, and no hole is filled."""
    sender, before = Sender(Chain([liar.url]), KEY), funded.chain.rpc("eth_getTransactionCount", KEY.address, "latest")
    sender.send(withdraw(funded))
    lying(
        liar, lambda call, result: hex(int(result, 16) + 400) if call["method"] == "eth_getTransactionCount" else result
    )
    with pytest.raises(ChainUnavailable):
        sender.send(withdraw(funded, 6))
    liar.tamper = lambda _: None

    sender.send(withdraw(funded, 6))

    assert taken(funded) == 11
    assert int(funded.chain.rpc("eth_getTransactionCount", KEY.address, "latest"), 16) == int(before, 16) + 2


def test_a_pool_full_of_others_is_not_counted_through(liar: Tamperer, funded: Trading) -> None:
    """A pending count of 2^62, from the first look on: an outage, not a loop without end, and nothing is signed above it."""
    sender = Sender(Chain([liar.url]), KEY)
    lying(
        liar,
        lambda call, result: (
            hex(2**62) if call["params"][1:] == ["pending"] and call["method"].endswith("Count") else result
        ),
    )
    with pytest.raises(ChainUnavailable):
        sender.send(withdraw(funded))
    liar.tamper = lambda _: None

    sender.send(withdraw(funded))

    assert taken(funded) == 5


def test_a_block_that_does_not_hold_it_is_no_place_for_a_transaction(liar: Tamperer, funded: Trading) -> None:
    """A receipt that names a real block, in which the transaction is not: it is asked again, and sent again, until it is in one."""
    swallowed: list[str] = []

    def lie(call: dict[str, Any], result: Any) -> Any:
        if call["method"] == "eth_getTransactionReceipt" and len(swallowed) < 2:
            swallowed.append(call["params"][0])
            head = liar.node_says(
                {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x1", False]}
            )["result"]
            return (result or {}) | {"blockHash": head["hash"], "blockNumber": head["number"]}
        return result

    lying(liar, lie)
    mined = Sender(Chain([liar.url]), KEY).send(withdraw(funded))

    assert len(swallowed) == 2
    assert mined.block.number > 1
    assert taken(funded) == 5


def test_an_outbox_that_lacks_what_was_sent_is_noticed(funded: Trading) -> None:
    """A copy of yesterday's: today's transaction of the key is not in it, and whoever looks is told that somebody used the key."""
    yesterday, today = OutboxFile(), OutboxFile()
    Sender(funded.chain, KEY, yesterday).send(withdraw(funded))
    Sender(funded.chain, KEY, today).send(withdraw(funded, 6))

    restored = Sender(funded.chain, KEY, yesterday)
    restored.send(withdraw(funded, 7))

    assert restored.foreign == 1
