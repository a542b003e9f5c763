"""The newest block, waited for: what it costs, who is told, and what a node that lags, pushes or falls silent makes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle, mine, start_anvil
from marketplace.chain.transactions import Sender
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import RateLimited
from tests.integration.chain.conftest import Trading
from tests.integration.chain.tampering import Reply, saying, tampering
from tests.ports import free_port

HEAD_METHODS = ("eth_getBlockByNumber", "eth_blockNumber", "eth_getBlockByHash")
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def clockwork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilHandle]:
    """A chain that makes a block every second."""
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("clockwork"), block_time=1)
    yield handle
    handle.stop()


def follow(chain: Chain, blocks: int, head: BlockRef | None = None) -> list[BlockRef]:
    """So many new heads, as they come."""
    seen = [head or chain.head()]
    deadline = monotonic() + PATIENCE_SECONDS
    while len(seen) <= blocks and monotonic() < deadline:
        found = chain.next_head(seen[-1], 5)
        seen += [found] if found else []
    return seen


def head_calls(chain: Chain) -> int:
    return sum(chain.calls.by_method.get(method, 0) for method in HEAD_METHODS)


def ws(handle: AnvilHandle) -> str:
    return handle.rpc_url.replace("http", "ws")


def test_following_a_chain_costs_little_more_than_a_call_a_block(clockwork: AnvilHandle, open_chain: Any) -> None:
    """However many threads wait, the node is asked once for all, when a block is due; and between blocks the head costs nothing."""
    chain = open_chain(clockwork.rpc_url)
    start = follow(chain, 8)[-1]
    before = head_calls(chain)

    def live(_: int) -> BlockRef:
        head = start
        while head.number < start.number + 10:
            head = chain.next_head(head, 20) or head
            for _ in range(3):
                assert chain.paced_head().number >= head.number
        return head

    with ThreadPoolExecutor(4) as threads:
        ends = list(threads.map(live, range(4)))

    passed = max(end.number for end in ends) - start.number
    assert head_calls(chain) - before <= 2 * passed
    assert all(chain.block(end.number) == end for end in ends)


def test_between_blocks_the_head_is_known(clockwork: AnvilHandle, open_chain: Any) -> None:
    """In the first part of an interval, on a chain whose blocks come regularly, asking a hundred times is one call at most."""
    chain = open_chain(clockwork.rpc_url)
    head = follow(chain, 8)[-1]
    while (found := chain.next_head(head, 20)) is None:
        continue
    before, started = head_calls(chain), monotonic()
    told = [chain.head() for _ in range(100)]

    if monotonic() - started < 0.4:
        assert set(told) == {found}
        assert head_calls(chain) - before <= 1


def test_a_block_out_of_turn_is_seen_by_who_had_it_made(clockwork: AnvilHandle, open_chain: Any) -> None:
    """Also in the part of an interval in which none is due: what was sent since the last look may have made one."""
    chain = open_chain(clockwork.rpc_url)
    head = follow(chain, 8)[-1]
    chain.rpc("anvil_mine", "0x5")

    assert chain.head().number >= head.number + 5
    assert chain.paced_head().number >= head.number + 5


def test_a_transaction_shows_in_the_head_at_once(trading: Trading) -> None:
    """On a chain that makes a block for each transaction, the head after one is never older than its block."""
    chain, sender = trading.chain, Sender(trading.chain, ANVIL_KEYS[4])
    for _ in range(12):
        before = chain.head()
        mined = sender.send(verbs.mint(trading.book.token, ANVIL_KEYS[4].address, 1))

        assert chain.head() == mined.block == chain.paced_head()
        assert chain.next_head(before, 0) == mined.block


def test_a_lagging_backend_makes_no_news(anvil: AnvilHandle, open_chain: Any, chain: Chain) -> None:
    """Behind a load balancer whose backends differ, no head is followed by an older one, and waiting for news finds none."""
    turn = iter(range(10**6))
    with tampering(anvil.rpc_url) as balancer:
        far = open_chain(balancer.url)
        for _ in range(4):
            mine(chain)
            far.head()
        newest = far.head()

        def lag(asked: Any) -> Reply | None:
            behind = next(turn) % 3
            if asked["method"] != "eth_getBlockByNumber" or not behind:
                return None
            return saying(balancer.node_says(asked | {"params": [hex(newest.number - behind), False]}))

        balancer.tamper = lambda asked: lag(asked) if asked["params"][0] == "latest" else None
        told = [far.head() for _ in range(9)]
        seen = len(balancer.seen)

        assert set(told) == {newest}
        assert far.next_head(newest, 1.0) is None
        assert len(balancer.seen) > seen


def test_a_reorganisation_is_news_also_where_it_is_lower(anvil: AnvilHandle, open_chain: Any, chain: Chain) -> None:
    """Another block at our height, or one below it that is not our ancestor, is a new head at once."""
    far, somebody = open_chain(anvil.rpc_url), ANVIL_KEYS[0].address
    for _ in range(4):
        # With something in it: an empty block of the same second would be the same block again.
        chain.rpc("eth_sendTransaction", {"from": somebody, "to": somebody, "value": "0x1"})
        mine(chain)
        former = far.head()
    chain.rpc("anvil_reorg", 2, [])
    sibling = far.next_head(former, 60)
    assert sibling is not None
    assert (sibling.number, sibling.hash != former.hash) == (former.number, True)
    for _ in range(3):
        mine(chain)
        former = far.head()
    chain.rpc("anvil_rollback", 3)
    lower = mine(chain)

    assert lower.number < former.number
    assert far.next_head(former, 60) == lower == far.head()


def test_a_tail_that_is_lost_is_believed_when_it_stays_lost(anvil: AnvilHandle, open_chain: Any, chain: Chain) -> None:
    """A node that tells an older head of the same chain for long has nothing newer any more."""
    far = open_chain(anvil.rpc_url)
    for _ in range(3):
        mine(chain)
        former = far.head()
    chain.rpc("anvil_rollback", 2)
    assert far.head() == former

    lower = far.next_head(former, PATIENCE_SECONDS)

    assert lower is not None
    assert lower == chain.head()
    assert lower.number == former.number - 2


def test_confirmed_blocks_that_were_seen_cost_nothing(clockwork: AnvilHandle, open_chain: Any) -> None:
    """Following with confirmations reads no header twice."""
    chain = open_chain(clockwork.rpc_url)
    head = follow(chain, 5)[-1]
    before = head_calls(chain)
    confirmed = chain.confirmed(3)

    assert head_calls(chain) - before <= 1
    assert confirmed == chain.block(confirmed.number)
    assert confirmed.number >= head.number - 2


def test_waiting_minds_what_the_node_says_of_its_limits(anvil: AnvilHandle, open_chain: Any) -> None:
    """After a 429 nobody who waits asks again before its time."""
    with tampering(anvil.rpc_url) as limited:
        chain = open_chain(limited.url)
        head = chain.head()
        limited.tamper = lambda _: Reply(b"", 429, {"Retry-After": "30"})
        with pytest.raises(RateLimited):
            chain.next_head(head, 5)
        limited.tamper = lambda _: None
        asked = len(limited.seen)

        assert chain.next_head(head, 1.0) is None
        assert len(limited.seen) == asked
        assert chain.head() == head


def test_waiting_ends_when_somebody_says_so(clockwork: AnvilHandle, open_chain: Any) -> None:
    """Soon after, whatever the pace."""
    chain, stop = open_chain(clockwork.rpc_url), threading.Event()
    head = follow(chain, 1)[-1]
    far = BlockRef(head.number + 10**6, head.hash, head.timestamp)
    threading.Timer(0.3, stop.set).start()
    started = monotonic()

    assert chain.next_head(far, 3_600, stop) is None
    assert monotonic() - started < PATIENCE_SECONDS


def test_a_websocket_answers_as_http_does(anvil: AnvilHandle, open_chain: Any, chain: Chain) -> None:
    """Requests, batches and refusals, from several threads at once."""
    far = open_chain(ws(anvil))
    numbers = [hex(number) for number in range(chain.head().number % 20 + 1)]

    def ask(number: str) -> list[Any]:
        return far.batch([("eth_getBlockByNumber", [number, False]), ("eth_nonsense", []), ("eth_chainId", [])])

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, numbers * 5))

    assert [answer[0]["number"] for answer in answers] == numbers * 5
    assert all(answer[2] == "0x7a69" for answer in answers)
    assert far.head() == chain.head()


def test_pushed_heads_cost_nothing(clockwork: AnvilHandle, open_chain: Any) -> None:
    """Over a websocket the node is subscribed to once, and then tells its heads by itself."""
    chain = open_chain(ws(clockwork))
    start = follow(chain, 3)[-1]
    before = head_calls(chain)
    seen = follow(chain, 6, start)

    assert len(seen) == 7
    assert head_calls(chain) - before <= 1
    assert chain.calls.by_method["eth_subscribe"] == 1


def test_a_subscription_that_dies_is_begun_again(tmp_path: Path, open_chain: Any) -> None:
    """Meanwhile the node is asked; nothing is missed when its connection is cut, or when it starts anew."""
    port = free_port()
    first = start_anvil(port, tmp_path / "first", block_time=1)
    chain = open_chain(ws(first), timeout_seconds=5)
    follow(chain, 2)
    chain.close()
    follow(chain, 3)
    assert chain.calls.by_method["eth_subscribe"] == 2

    first.stop()
    again = start_anvil(port, tmp_path / "again", block_time=1)
    try:
        seen = follow(chain, 3)
    finally:
        again.stop()

    assert len(seen) == 4
    assert chain.calls.by_method["eth_subscribe"] == 3
