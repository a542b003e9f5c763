"""Reading the market's events, beside web3's own way to do it."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3

from marketplace.chain import contracts
from marketplace.chain.devnet import mine
from marketplace.chain.events import KEPT_BLOCKS, EventFollower
from marketplace.domain.events import LeaseOpened, LeaseSettled
from scripts.bench.chain_stage import Stage, running_stage

AT_ONCE = 50
"""Leases of a transaction."""
EMPTY_BLOCKS = 8
"""After each pair of transactions."""
TURNS = 5


def measured(leases: int) -> dict[str, float]:
    """Seconds of both ways for the same blocks, medians, the two taking turns. Raises ValueError where they differ in what they read."""
    with running_stage() as stage:
        first, last = _written(stage, leases)
        ways = {"ours": lambda: _ours(stage, first, last), "web3": lambda: _web3(stage, first, last)}
        if (found := ways["ours"]()) != ways["web3"]() or len(found) != 2 * leases:
            raise ValueError(f"read {len(found)} events, and web3 others")
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(TURNS):
            for name, way in ways.items():
                seconds[name].append(_timed(way))
    return {name: statistics.median(many) for name, many in seconds.items()} | {"blocks": last - first + 1}


def _written(stage: Stage, leases: int) -> tuple[int, int]:
    """Have leases opened and settled, far below the head; the first and the last block of it."""
    offer, first = stage.listed(AT_ONCE), stage.chain.head().number + 1
    for start in range(0, leases, AT_ONCE):
        stage.serve(stage.signed(min(AT_ONCE, leases - start)), offer)
        mine(stage.chain, EMPTY_BLOCKS)
    last = stage.chain.head().number
    mine(stage.chain, KEPT_BLOCKS)
    return first, last


def _ours(stage: Stage, first: int, last: int) -> set[tuple[int, int, str]]:
    """As the indexer, an agent or a client reads what is old: with a memory of nothing."""
    follower = EventFollower(stage.chain, stage.book.market, confirmations=1)
    events = [event for event in follower.history(first, last) if isinstance(event, LeaseOpened | LeaseSettled)]
    return {(event.ref.block.number, event.ref.log_index, event.lease) for event in events}


def _web3(stage: Stage, first: int, last: int) -> set[tuple[int, int, str]]:
    abi = json.loads((contracts.FOLDER / "ComputeMarket.json").read_text())["abi"]
    web3 = Web3(HTTPProvider(stage.chain.rpc_url))
    contract: Any = web3.eth.contract(address=to_checksum_address(stage.book.market), abi=abi)
    found = [
        one
        for event in (contract.events.LeaseOpened, contract.events.LeaseSettled)
        for one in event().get_logs(from_block=first, to_block=last)
    ]
    return {(one["blockNumber"], one["logIndex"], "0x" + one["args"]["lease"].hex()) for one in found}


def _timed(way: Callable[[], object]) -> float:
    gc.collect()
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun
