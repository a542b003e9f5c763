"""Auctions on a real Ray cluster of several nodes on this machine: the plan is that of one process, bit for bit."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.domain.errors import ClusterUnavailable
from scheduler.engine.arrays import Ints
from scheduler.engine.auction.state import Auction
from scheduler.engine.clear import clear
from scripts.bench.generators import Thin, Uniform

pytest.importorskip("ray", reason="pip install 'compute-bourse[ray]'")

import ray
from ray.cluster_utils import Cluster
from ray.experimental import get_object_locations

from scheduler.ray_auction import RayAuctioneer

MANY_SHARDS = Thin(orders=4_000, offers=1_000)
ONE_SHARD = Uniform(orders=2_000, offers=300, exact_share=0.0)
STORE_BYTES = 80 * 2**20
ALERT = {
    "health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 2,
    "max_direct_call_object_size": 1_024,
}  # fmt: skip
"""Ray's head asks its nodes often whether they live: a lost one is noticed in a second. Answers stay where they were worked out until they are
fetched, as those of large bundles do: they die with their node."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that holds no auctions, and two nodes of one CPU each."""
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES, "_system_config": ALERT}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def auctioneer(cluster: Cluster) -> Iterator[RayAuctioneer]:
    auctioneer = RayAuctioneer(cluster.address)
    yield auctioneer
    auctioneer.close()


@pytest.mark.parametrize("market", [MANY_SHARDS, ONE_SHARD], ids=["many shards", "one shard"])
def test_a_cluster_of_three_nodes_gives_the_same_plan_bit_for_bit(auctioneer: RayAuctioneer, market: Uniform) -> None:
    """The bytes of the plan, and so the hash that goes on chain, do not tell where the auction was held."""
    snapshot = market.snapshot(1)
    plan = clear(snapshot, auctioneer)

    assert len(plan.fills) > 100
    assert plan.canonical() == clear(snapshot).canonical()


class Saboteur(RayAuctioneer):
    """Has a node killed, once: when all bundles are on their way, or when all are held and no answers have come home yet."""

    def __init__(self, cluster: Cluster, *, are_held: bool) -> None:
        self.cluster, self.are_held = cluster, are_held
        self.node = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        cluster.wait_for_nodes()
        super().__init__(cluster.address)

    def _gathered(self, auction: Auction, bundles: list[Ints], sent: list[Any]) -> Ints:
        if self.node:
            if self.are_held:
                ray.wait(sent, num_returns=len(sent), fetch_local=False)
                places = [place["node_ids"] for place in get_object_locations(sent).values()]
                assert [self.node.node_id] in places
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = None
        return super()._gathered(auction, bundles, sent)


@pytest.mark.parametrize("are_held", [False, True], ids=["bundles on their way", "answers not home"])
def test_a_node_that_dies_during_the_round_changes_nothing(cluster: Cluster, are_held: bool) -> None:
    """What it held is held again elsewhere, and the plan is the same to the last bit."""
    snapshot, auctioneer = MANY_SHARDS.snapshot(2), Saboteur(cluster, are_held=are_held)
    plan = clear(snapshot, auctioneer)
    auctioneer.close()

    assert auctioneer.node is None
    assert plan.canonical() == clear(snapshot).canonical()


def test_a_cluster_that_is_lost_can_be_tried_again(auctioneer: RayAuctioneer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round fails with an error that the daemon backs off from; the next one connects anew."""
    snapshot = MANY_SHARDS.snapshot(3)
    monkeypatch.setattr(auctioneer, "_wait_seconds", 0)
    with pytest.raises(ClusterUnavailable) as caught:
        clear(snapshot, auctioneer)
    monkeypatch.undo()

    assert caught.value.retryable
    assert not ray.is_initialized()
    assert clear(snapshot, auctioneer).canonical() == clear(snapshot).canonical()


def test_ray_does_not_take_the_daemons_signal(cluster: Cluster) -> None:
    """SIGTERM still goes to who had it before the cluster was joined."""
    before = signal.getsignal(signal.SIGTERM)
    RayAuctioneer(cluster.address).close()

    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:{free}"])
def test_a_cluster_that_is_not_there_is_said_at_once(address: str) -> None:
    """Nobody listens, or the address is none: an error in plain words, not minutes of silence."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        where = address.format(free=unused.getsockname()[1])
        with pytest.raises(ClusterUnavailable, match=where):
            RayAuctioneer(where)
