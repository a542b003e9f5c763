"""The node, its blocks, and a local chain's start and end."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.checksums import checksum
from marketplace.chain.deployment import AddressBook
from marketplace.chain.devnet import ANVIL_KEYS, LOCAL_CHAIN_ID, increase_time, mine, start_anvil
from marketplace.domain.chain_errors import ChainUnavailable, NodeRefused, WrongChain
from marketplace.domain.errors import ConfigError
from marketplace.domain.ids import Address


def test_a_block_is_known_by_number_hash_and_time(chain: Chain) -> None:
    """The head that was seen is the block of that number."""
    head = mine(chain, 3)

    assert chain.block(head.number) == head
    assert chain.block(head.number - 1).timestamp <= head.timestamp
    assert len(head.hash) == 66


def test_a_confirmed_block_has_enough_blocks_on_it(chain: Chain) -> None:
    """With one confirmation it is the head itself; before the chain is long enough it is the first block."""
    head = mine(chain, 5)

    assert chain.confirmed(1) == head
    assert chain.confirmed(4) == chain.block(head.number - 3)
    assert chain.confirmed(10**9).number == 0


def test_waiting_for_a_head_ends_with_the_head(chain: Chain) -> None:
    """A daemon that waits wakes up with the new block."""
    head = chain.head()
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(chain.next_head(head, 20)))
    waiting.start()
    mined = mine(chain)
    waiting.join(20)

    assert found == [mined]


def test_waiting_for_a_head_ends_in_time_or_when_stopped(chain: Chain) -> None:
    """Without a new block the answer is None, at once when somebody says stop."""
    stopped = threading.Event()
    stopped.set()

    assert chain.next_head(chain.head(), 0) is None
    assert chain.next_head(chain.head(), 3_600, stopped) is None


def test_time_moves_as_told(chain: Chain) -> None:
    """Tests and demonstrations leap over windows instead of waiting."""
    before = chain.head().timestamp

    assert increase_time(chain, 1_000).timestamp >= before + 1_000


def test_nobody_there_is_chain_unavailable() -> None:
    """A connection that fails is retryable, whatever was asked."""
    nobody = Chain(["http://127.0.0.1:9"], timeout_seconds=1)

    with pytest.raises(ChainUnavailable) as raised:
        nobody.head()
    assert raised.value.retryable
    with pytest.raises(ConfigError):
        Chain([])


def test_a_request_that_the_node_does_not_know_is_refused(chain: Chain) -> None:
    """Its words come along."""
    with pytest.raises(NodeRefused, match="bourse_nonsense"):
        chain.rpc("bourse_nonsense")


def test_a_block_that_is_not_there_yet_may_come(chain: Chain) -> None:
    """A lagging node is no different from one that is away."""
    with pytest.raises(ChainUnavailable):
        chain.block(10**9)


def test_another_chain_is_noticed(chain: Chain) -> None:
    """Settings for one chain never speak to another."""
    chain.require_chain_id(LOCAL_CHAIN_ID)
    with pytest.raises(WrongChain):
        chain.require_chain_id(1)


def test_anvils_keys_are_anvils(chain: Chain) -> None:
    """The ten accounts that it funds are those whose keys we hold."""
    listed = [Address(account.lower()) for account in chain.rpc("eth_accounts")]

    assert listed == [key.address for key in ANVIL_KEYS]
    assert checksum(ANVIL_KEYS[0].address) == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


def test_an_address_book_comes_back_as_it_was_written(trading: Any, tmp_path: Path) -> None:
    """And what is no address book is named as such."""
    path = tmp_path / "devnet" / "addresses.json"
    trading.book.write(path)

    assert AddressBook.read(path) == trading.book
    for content in ("", "[]", "{}", path.read_text().replace("0x", "0y")):
        path.write_text(content)
        with pytest.raises(ConfigError, match=r"addresses\.json"):
            AddressBook.read(path)
    with pytest.raises(ConfigError):
        AddressBook.read(tmp_path / "missing.json")


def test_a_local_chain_ends_when_it_is_stopped(tmp_path: Path, port: int) -> None:
    """It mines by itself at its interval, in a session of its own, and nothing of it is left afterwards."""
    handle = start_anvil(port, tmp_path, block_time=1)
    try:
        chain = Chain([handle.rpc_url])
        head = chain.head()

        assert os.getpgid(handle.pid) == handle.pid
        assert chain.next_head(head, 20) is not None
    finally:
        handle.stop()
    handle.stop()

    assert handle.process.returncode is not None
    with pytest.raises(ChainUnavailable):
        chain.head()


@pytest.mark.parametrize("keeps_history", [True, False])
def test_a_local_chain_leaves_nothing_but_its_log(tmp_path: Path, port: int, keeps_history: bool) -> None:
    """Old states are written down only where they were asked for, and whatever was written down is gone with it."""
    handle = start_anvil(port, tmp_path, block_time=None, keeps_history=keeps_history)
    try:
        mine(Chain([handle.rpc_url], timeout_seconds=120), 1_000)
        wrote_down = any((tmp_path / f"states-{port}").rglob("*.json"))
    finally:
        handle.stop()

    assert wrote_down is keeps_history
    assert [left.name for left in tmp_path.iterdir()] == ["anvil.log"]


def test_a_port_that_is_taken_is_told_at_once(anvil: Any, tmp_path: Path) -> None:
    """A second chain on the same port does not pass for the first one's answers."""
    port = int(anvil.rpc_url.rpartition(":")[2])

    with pytest.raises(ConfigError, match=str(port)):
        start_anvil(port, tmp_path)
