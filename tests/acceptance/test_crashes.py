"""Kill -9 of every process of the operator's and the provider's, in the middle of a busy run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from marketplace import wiring
from marketplace.client import Job, JobRequest, Market
from marketplace.config import from_env
from marketplace.domain.states import JobState
from marketplace.domain.units import Seconds, TokenUnits
from tests.acceptance.conftest import Network, eventually

VICTIMS = ("gateway", "indexer", "scheduler", "redis", "provider-3")
"""Each is killed once; `make deep PART=kills` goes on to five hundred kills."""
JOBS = 4
BLOCKS_BETWEEN_JOBS = 6
TIMEOUT_SECONDS = 300
PROGRAM = (
    "import time; [print(n, flush=True) or time.sleep(0.5) for n in range(6)]; open('/job/out/x', 'w').write('done')"
)


@contextmanager
def opened_market(network: Network) -> Iterator[Market]:
    market = wiring.open_market(from_env({}, network.folder))
    try:
        yield market
    finally:
        market.close()


def kill(network: Network, name: str) -> bool:
    """SIGKILL to a process of the network, if it is up now."""
    pid = network.state["processes"][name]["pid"]
    if not pid:  # 0 means down, and to kill(2) it would mean ourselves
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def restarts_of(network: Network) -> dict[str, int]:
    """How often each process was started again."""
    return {name: process["restarts"] for name, process in network.state["processes"].items()}


@pytest.mark.timeout(900)
def test_processes_that_are_killed_lose_no_money_and_no_order(network: Network) -> None:
    """A kill -9 of each, in turn, through a busy run: every order ends in a verified result, every unit is accounted for (I-1)."""
    before = restarts_of(network)
    with opened_market(network) as market:
        market.deposit(TokenUnits(5_000_000))
        request = JobRequest(
            command=("python", "-c", PROGRAM), gpus_of=("RTX4090",), max_price=market.price("0.40"), max_time=Seconds(60),
            expires_in=Seconds(900), silent_after=Seconds(45), retries=3,
        )  # fmt: skip
        jobs: list[Job] = []
        due = list(VICTIMS)
        for number, _ in enumerate(market.steps(TIMEOUT_SECONDS)):
            if len(jobs) < JOBS and number % BLOCKS_BETWEEN_JOBS == 0:
                jobs.append(market.submit(request))
            # Every other block another one: while orders arrive, clear, run, are receipted and settle. Who is down waits for its turn.
            if number % 2 and (killed := next((victim for victim in due if kill(network, victim)), None)):
                due.remove(killed)
            if not due and len(jobs) == JOBS and all(job.is_terminal for job in jobs):
                break
        for _ in market.wait_all(jobs, TIMEOUT_SECONDS, settled=True):
            pass

        assert due == []
        assert [job.state for job in jobs] == [JobState.SUCCEEDED] * JOBS
        paid = sum(job.sums().paid for job in jobs)
        assert 0 < paid <= sum(market.price("0.40") * 60 * len(job.orders) // 3600 for job in jobs)
    eventually(
        lambda: all(restarts_of(network)[victim] >= before[victim] + 1 for victim in VICTIMS), "all are up again"
    )
    books = wiring.audit(from_env({}, network.folder))
    assert books.is_balanced
    assert books.is_what_the_chain_says
