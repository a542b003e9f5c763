"""What agent and indexer ask of the node while nothing happens: a few calls with each block, and none between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.daemon import Stop, run_forever
from marketplace.processes import EachBlock
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from tests.integration.chain.tampering import Tamperer, tampering
from tests.integration.provider.stage import INVENTORY, Stage, build_agent

BLOCKS = 8
MOST_CALLS = 5
"""A block, on a machine that is busy with other tests. Five looks a second were fifteen, of this chain's blocks."""


@pytest.fixture
def ticking(stage: Stage) -> Any:
    """The stage's chain, with a block every second."""
    stage.chain.rpc("evm_setAutomine", False)
    stage.chain.rpc("evm_setIntervalMining", 1)
    yield stage
    stage.chain.rpc("evm_setIntervalMining", 0)
    stage.chain.rpc("evm_setAutomine", True)


def calls_per_block(run: Callable[[Stop], None], line: Tamperer, chain: Chain) -> float:
    """How much a daemon asks while so many blocks pass, once it knows the chain's pace."""
    stop = Stop()
    running = threading.Thread(target=run, args=(stop,))
    running.start()
    try:
        head = pass_blocks(chain, 12)
        before = len(line.seen)
        passed = pass_blocks(chain, BLOCKS) - head
        return (len(line.seen) - before) / passed
    finally:
        stop.set()
        running.join()


def pass_blocks(chain: Chain, count: int) -> int:
    head = chain.head()
    until = head.number + count
    while head.number < until:
        head = chain.next_head(head, 20) or head
    return head.number


def test_an_agent_without_leases_asks_little(ticking: Stage) -> None:
    """A head, and what happened in its block; nothing for the time between two blocks."""
    with tampering(ticking.rpc_url) as line:
        agent = build_agent(line.url, ticking.book, ticking.gateway.url, ticking.folder / "home", INVENTORY, {})
        ticking.agents.append(agent)
        asked = calls_per_block(
            lambda stop: run_forever(agent.step, "provider", stop, wait=lambda seconds: agent.wait(seconds, stop)),
            line,
            ticking.chain,
        )

    assert asked <= MOST_CALLS


def test_an_indexer_without_orders_asks_little(ticking: Stage, agent_redis: Any) -> None:
    """As little as an agent, though it waits for orders, too."""
    board = Board(agent_redis.url)
    with tampering(ticking.rpc_url) as line:
        chain = Chain([line.url])
        market = MarketContract(chain, ticking.book.market, deployed_at_block=ticking.book.deployed_at_block)
        folder = ticking.folder / "indexer"
        folder.mkdir()
        journal = OperatorJournal(f"sqlite:///{folder}/operator.sqlite")
        projector = Projector(
            EventFollower(chain, market.address, confirmations=1), journal,
            FolderBlobs(str(folder / "blobs")), board, market.terms(), opener=None,
        )  # fmt: skip
        blocks = EachBlock(chain)
        asked = calls_per_block(
            lambda stop: run_forever(projector.step, "indexer", stop, wait=blocks.until_nudged(board, "orders", stop)),
            line,
            ticking.chain,
        )

        view = board.view()
        for opened in (chain, journal, board):
            opened.close()

    assert asked <= MOST_CALLS
    assert view is not None
