"""A cluster that comes, answers, hangs and goes: the scheduler clears all the same, with the same plans, and no round waits for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from time import monotonic

import psutil
import pytest

from scheduler.cluster import PATIENCE_SECONDS, ClusterOrHere
from scheduler.engine.clear import clear
from scripts.bench.generators import Thin
from tests.ports import free_port

pytest.importorskip("ray", reason="pip install 'compute-bourse[ray]'")

from ray.cluster_utils import Cluster

BOOK = Thin(orders=4_000, offers=1_000)
STORE_BYTES = 80 * 2**20
SLACK_SECONDS = 15.0
"""For a busy machine; far less than the minute that Ray waits for a lost head."""


def eventually(look: Callable[[], object], what: str, seconds: float = 120) -> None:
    deadline, pause = monotonic() + seconds, threading.Event()
    while not look():
        assert monotonic() < deadline, what
        pause.wait(0.1)


@pytest.fixture
def auctioneer() -> Iterator[ClusterOrHere]:
    auctioneer = ClusterOrHere(f"127.0.0.1:{free_port()}")
    yield auctioneer
    auctioneer.close()


def test_a_cluster_that_is_not_there_keeps_nobody_waiting(auctioneer: ClusterOrHere) -> None:
    """Nobody listens: the first round is held here at once."""
    snapshot = BOOK.snapshot(1)
    expected = clear(snapshot).canonical()
    began = monotonic()
    plan = clear(snapshot, auctioneer)

    assert plan.canonical() == expected
    assert monotonic() - began < SLACK_SECONDS
    assert (auctioneer.held_here > 0, auctioneer.held_there) == (True, 0)


def test_a_cluster_comes_hangs_and_goes(auctioneer: ClusterOrHere) -> None:
    """It is joined in the background when it is there. A head that hangs costs one round its patience; one that dies, no round waits for."""
    snapshot = BOOK.snapshot(2)
    expected = clear(snapshot).canonical()
    port = int(auctioneer._address.rpartition(":")[2])
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES, "gcs_server_port": port,
        },
    )  # fmt: skip
    try:

        def is_held_there() -> bool:
            """Its first auctions may take longer than a round's patience: a cluster that has just begun starts processes for them."""
            assert clear(snapshot, auctioneer).canonical() == expected
            return auctioneer.held_there > 0

        eventually(lambda: auctioneer.is_joined and is_held_there(), "it joins, and holds auctions")
        rays = [
            child
            for child in psutil.Process().children(recursive=True)
            if child.pid not in before and any(name in " ".join(child.cmdline()) for name in ("gcs_server", "raylet"))
        ]
        assert rays
        for child in rays:
            os.kill(child.pid, signal.SIGSTOP)
        began = monotonic()
        assert clear(snapshot, auctioneer).canonical() == expected
        assert monotonic() - began < PATIENCE_SECONDS + SLACK_SECONDS
        assert not auctioneer.is_joined
        began = monotonic()
        assert clear(snapshot, auctioneer).canonical() == expected
        assert monotonic() - began < SLACK_SECONDS
        for child in rays:
            os.kill(child.pid, signal.SIGCONT)
        eventually(lambda: auctioneer.is_joined, "it joins again")
    finally:
        cluster.shutdown()
    held_here = auctioneer.held_here
    began = monotonic()
    assert clear(snapshot, auctioneer).canonical() == expected

    assert monotonic() - began < PATIENCE_SECONDS + SLACK_SECONDS
    assert auctioneer.held_here > held_here
