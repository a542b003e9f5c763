"""Several nodes of one chain: which one is asked, when another is turned to, and which is never used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import AnvilHandle, mine, start_anvil
from marketplace.chain.headers import standard_hash
from marketplace.chain.roster import Patience
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainUnavailable, WrongChain
from marketplace.domain.ids import Address
from tests.integration.chain.conftest import Trading
from tests.integration.chain.tampering import Reply, Tamperer, saying, tampering
from tests.ports import free_port

NOBODY = "http://127.0.0.1:9"
QUICK = Patience(first_seconds=0.05, limit_seconds=0.1, probe_seconds=0.02, return_seconds=0.3, stale_seconds=0.5)
DEADLINE_SECONDS = 60


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilHandle]:
    """Another chain, of another id."""
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("another"), block_time=None, chain_id=1337)
    yield handle
    handle.stop()


@pytest.fixture(scope="module")
def namesake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilHandle]:
    """Another chain, of the same id: its genesis block is of another time."""
    handle = start_anvil(
        free_port(), tmp_path_factory.mktemp("namesake"), block_time=None, arguments=("--timestamp", "1700000000")
    )
    yield handle
    handle.stop()


@pytest.fixture
def lines(anvil: AnvilHandle) -> Iterator[tuple[Tamperer, Tamperer]]:
    """Two ways to one node: the preferred one, and another."""
    with tampering(anvil.rpc_url) as first, tampering(anvil.rpc_url) as second:
        yield first, second


def down(_: Any) -> Reply:
    return Reply(b"<html>bad gateway</html>", 502)


def until(happens: Callable[[], bool]) -> bool:
    """Whether it happens while heads are asked for, before long."""
    deadline, waiting = monotonic() + DEADLINE_SECONDS, threading.Event()
    while not happens():
        if monotonic() > deadline:
            return False
        waiting.wait(0.02)
    return True


def test_the_first_node_is_used_while_it_is_well(lines: Any, open_chain: Any) -> None:
    """The others are not asked for anything but what they are."""
    first, second = lines
    chain = open_chain(first.url, second.url)
    chain.require_chain_id(31337)
    second.seen.clear()
    for _ in range(5):
        assert chain.code_at(Address("0x" + "11" * 20)) == "0x"
        chain.head()

    assert second.seen == []
    assert chain.rpc_url == first.url


def test_another_node_takes_over_and_hands_back(lines: Any, open_chain: Any) -> None:
    """When the preferred one does not answer, the next head comes from another, at once; when it has been well for a while, from it again."""
    first, second = lines
    chain = open_chain(NOBODY, first.url, second.url, patience=QUICK)
    head = chain.head()
    assert chain.rpc_url == first.url

    first.tamper = down
    assert chain.head() == head
    assert chain.rpc_url == second.url
    first.seen.clear()
    first.tamper = lambda _: None

    assert until(lambda: chain.head() == head and chain.rpc_url == first.url)
    # It was looked at again before it was used: its chain, its genesis block, and its head more than once.
    assert first.seen.count("eth_chainId") >= 1
    assert first.seen.count("eth_getBlockByNumber") >= 3


def test_nodes_that_all_fail_are_chain_unavailable(lines: Any, open_chain: Any) -> None:
    """And the first that answers is used."""
    first, second = lines
    first.tamper = second.tamper = down
    chain = open_chain(first.url, second.url, patience=QUICK)
    with pytest.raises(ChainUnavailable):
        chain.head()
    second.tamper = lambda _: None

    assert chain.head().number >= 0
    assert chain.rpc_url == second.url


def test_no_decision_mixes_two_nodes(lines: Any, open_chain: Any) -> None:
    """A call fails rather than asks another node; the next head comes from the other; and other threads go on with theirs."""
    first, second = lines
    chain = open_chain(first.url, second.url, patience=QUICK)
    begun, switched, ended = threading.Event(), threading.Event(), list[str]()

    def decide() -> None:
        chain.head()
        begun.set()
        switched.wait(DEADLINE_SECONDS)
        first.seen.clear()
        chain.rpc("eth_gasPrice")
        ended.extend(first.seen)

    slow = threading.Thread(target=decide)
    slow.start()
    begun.wait(DEADLINE_SECONDS)
    chain.head()
    second.seen.clear()
    first.tamper = down
    with pytest.raises(ChainUnavailable):
        chain.rpc("eth_gasPrice")
    assert second.seen == []

    chain.head()
    assert chain.rpc_url == second.url
    first.tamper = lambda _: None
    switched.set()
    slow.join(DEADLINE_SECONDS)

    assert ended == ["eth_gasPrice"]


def test_a_node_that_tells_its_head_and_nothing_else_is_left(lines: Any, open_chain: Any) -> None:
    """Calls that fail in a row count, too."""
    first, second = lines
    chain = open_chain(first.url, second.url, patience=QUICK)
    chain.head()
    first.tamper = lambda asked: None if isinstance(asked, list) or "Block" in asked["method"] else down(asked)

    def asks() -> bool:
        chain.head()
        try:
            chain.rpc("eth_gasPrice")
        except ChainUnavailable:
            return False
        return True

    assert until(asks)
    assert chain.rpc_url == second.url


def test_a_node_that_falls_behind_is_left(lines: Any, chain: Chain, open_chain: Any) -> None:
    """One whose head stands still while another's goes on is behind; it is used again when it has caught up."""
    first, second = lines
    watched = open_chain(first.url, second.url, patience=QUICK)
    stuck = watched.head()

    def still(asked: Any) -> Reply | None:
        is_head = not isinstance(asked, list) and asked["params"][:1] == ["latest"]
        return saying(first.node_says(asked | {"params": [hex(stuck.number), False]})) if is_head else None

    first.tamper = still
    head = mine(chain, 5)

    assert until(lambda: watched.head() == head)
    assert watched.rpc_url == second.url
    first.tamper = lambda _: None
    assert until(lambda: watched.head() == head and watched.rpc_url == first.url)


def test_a_higher_head_on_another_branch_is_no_reason_to_leave(lines: Any, chain: Chain, open_chain: Any) -> None:
    """A thousand blocks more, of a node that does not have our head at its height: the preferred node is believed."""
    first, second = lines
    mine(chain)

    def forged(asked: Any) -> Reply | None:
        if isinstance(asked, list) or asked["method"] != "eth_getBlockByNumber":
            return None
        answer = second.node_says(asked)
        header = answer["result"] | {"extraData": "0x66"}
        if asked["params"][0] == "latest":
            header["number"] = hex(int(header["number"], 16) + 1000)
        return saying(answer | {"result": header | {"hash": standard_hash(header)}})

    second.tamper = forged
    watched = open_chain(first.url, second.url, patience=QUICK)
    head = watched.head()

    assert until(lambda: watched.head() == head and second.seen.count("eth_getBlockByNumber") >= 6)
    assert watched.rpc_url == first.url


def test_a_node_of_another_chain_is_never_used(
    anvil: AnvilHandle, another: AnvilHandle, namesake: AnvilHandle, lines: Any, open_chain: Any
) -> None:
    """Neither one of another id nor one of another genesis block, whatever happens to the one that is right."""
    first, _ = lines
    chain = open_chain(another.rpc_url, first.url, namesake.rpc_url, patience=QUICK)
    chain.require_chain_id(31337)
    head = chain.head()
    assert chain.rpc_url == first.url

    first.tamper = down
    for _ in range(5):
        with pytest.raises(ChainUnavailable):
            chain.head()
    assert chain.rpc_url == first.url
    first.tamper = lambda _: None

    assert until(lambda: is_answered(chain))
    assert chain.head() == head


def is_answered(chain: Chain) -> bool:
    try:
        chain.head()
    except ChainUnavailable:
        return False
    return True


def test_a_lone_node_of_another_chain_is_refused(another: AnvilHandle, open_chain: Any) -> None:
    """At the start, with both names."""
    with pytest.raises(WrongChain, match=r"chain 31337.*chain 1337"):
        open_chain(another.rpc_url).require_chain_id(31337)
    with pytest.raises(WrongChain, match="31337"):
        open_chain(another.rpc_url, NOBODY, patience=QUICK).require_chain_id(31337)


def test_a_node_with_another_contract_is_never_used(trading: Trading, lines: Any, open_chain: Any) -> None:
    """The market's code is the same at every node, or the node is not one of ours; a market that is nowhere is refused."""
    first, second = lines
    code = trading.chain.code_at(trading.market.address)
    second.tamper = lambda asked: (
        saying(
            [
                one | {"result": code[:-2] + "00"} if one.get("result") == code else one
                for one in second.node_says(asked)
            ]
        )
        if isinstance(asked, list)
        else None
    )
    chain = open_chain(second.url, first.url, second.url, patience=QUICK)
    chain.require_market(trading.market.address)
    assert chain.rpc_url == second.url

    # Who came first set the measure: the honest one differs from it, and the other liar does not.
    second.tamper = down
    with pytest.raises(ChainUnavailable):
        chain.head()
    with pytest.raises(WrongChain, match="no code"):
        chain.require_market(Address("0x" + "99" * 20))


def test_a_node_that_comes_back_as_another_chain_is_not_used_again(
    tmp_path: Path, lines: Any, anvil: AnvilHandle, open_chain: Any
) -> None:
    """Every switch looks again at what the node is."""
    port = free_port()
    first, _ = lines
    chain = open_chain(f"http://127.0.0.1:{port}", first.url, patience=QUICK)
    chain.head()
    assert chain.rpc_url == first.url

    impostor = start_anvil(port, tmp_path, block_time=None)
    try:
        ended = monotonic() + 1.0
        heads: list[BlockRef] = []

        def looked() -> bool:
            heads.append(chain.head())
            return monotonic() > ended

        assert until(looked)
    finally:
        impostor.stop()

    assert chain.rpc_url == first.url
    assert len(set(heads)) == 1
