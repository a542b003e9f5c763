"""What a market costs in node calls: when there is nothing to do, and for each order; and how soon the client signs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from time import monotonic

from marketplace.client import Job, JobRequest, Market
from marketplace.domain.errors import DeadlinePassed
from marketplace.domain.states import JobState
from marketplace.domain.units import Seconds, TokenUnits
from marketplace.store.journal.operator import OperatorJournal
from scripts.bench import chain_words as w
from scripts.bench.chain_network import Calls, CountedNetwork, running_network

ORDERS_A_BLOCK = 5
"""Signed with each block, until all are: with jobs of five blocks some thirty run at once."""
IDLE_BLOCKS = 20
SETTLING_BLOCKS = 10
"""After the deposit, before idleness is measured: until everybody knows the rhythm of the chain."""
FUNDS = TokenUnits(1_000_000_000)
PATIENCE_SECONDS = 240.0

Say = Callable[[str], object]


@dataclass(frozen=True)
class Counted:
    """What was called in so many blocks."""

    calls: Calls
    blocks: int

    def of(self, process: str, method: str = "") -> int:
        return sum(n for (who, what), n in self.calls.items() if who == process and method in ("", what))


@dataclass(frozen=True)
class Cost:
    """All that was measured on one network."""

    idle: Counted
    busy: Counted
    orders: int
    countersigned_after: tuple[float, ...]
    """Blocks from the provider's receipt to the client's signature, of each order."""

    def figures(self) -> dict[str, float]:
        worst = max(self.idle.of(process) for process, _ in self.idle.calls)
        return {
            w.CALLS_PER_ORDER: round(self.busy.calls.total() / self.orders, 1),
            w.IDLE_CALLS: round(worst / self.idle.blocks, 2),
            w.COUNTERSIGNED: statistics.median(self.countersigned_after),
        }


def measured(orders: int, idle_blocks: int = IDLE_BLOCKS, say: Say = print) -> Cost:
    """Start a network, let it idle, have it serve so many jobs of ten seconds. Raises ValueError where one did not succeed."""
    with running_network(w.BLOCK_SECONDS) as (network, market):
        market.deposit(FUNDS)
        _watch(market, SETTLING_BLOCKS)
        say(f"idle for {idle_blocks} blocks")
        idle = _counted(network, market, lambda: _watch(market, idle_blocks))
        say(f"{orders} orders of jobs of {w.JOB_SECONDS} s")
        jobs: list[Job] = []
        busy = _counted(network, market, lambda: jobs.extend(_serve(market, orders)))
        failed = [job for job in jobs if job.state is not JobState.SUCCEEDED]
        if failed:
            raise ValueError(f"{len(failed)} jobs did not succeed; the first is {failed[0].state}: {failed[0].history}")
        return Cost(idle, busy, orders, tuple(_countersigned(network, jobs)))


def _counted(network: CountedNetwork, market: Market, work: Callable[[], object]) -> Counted:
    """The blocks are counted by what the client has seen anyway."""
    before, start = network.calls, market.chain.paced_head().number
    work()
    return Counted(network.calls - before, market.chain.paced_head().number - start)


def _watch(market: Market, blocks: int) -> None:
    """Let the client's watcher run for so many blocks."""
    first: int | None = None
    for block in market.steps():
        first = block.number if first is None else first
        if block.number - first >= blocks:
            return


def _serve(market: Market, orders: int) -> list[Job]:
    """Sign a few orders with each block, and watch until all are settled."""
    jobs: list[Job] = []
    deadline, last = monotonic() + PATIENCE_SECONDS, 0
    for block in market.steps():
        if block.number > last:
            last = block.number
            jobs += [market.submit(_request(market)) for _ in range(min(ORDERS_A_BLOCK, orders - len(jobs)))]
        if len(jobs) == orders and all(job.is_settled(block) for job in jobs):
            break
        if monotonic() > deadline:
            raise DeadlinePassed(f"the settlement of {orders} orders", int(PATIENCE_SECONDS))
    return jobs


def _request(market: Market) -> JobRequest:
    return JobRequest(
        command=("sleep", str(w.JOB_SECONDS)), gpus_of=("RTX4090",), max_price=market.price("0.40"),
        max_time=Seconds(120), cpus=1, memory_mib=64, disk_mib=16,
    )  # fmt: skip


def _countersigned(network: CountedNetwork, jobs: Iterable[Job]) -> Iterable[float]:
    with closing(OperatorJournal(f"sqlite:///{network.folder}/operator.sqlite")) as journal:
        for job in jobs:
            at = {row.role: row.at for row in journal.receipts(job.orders[-1])}
            yield (at["client"] - at["provider"]) / w.BLOCK_SECONDS
