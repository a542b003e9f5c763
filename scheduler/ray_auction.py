"""The auction on a Ray cluster: bundles of whole shards are held on its CPUs, and every order ends where one process would place it, bit for bit.

The only module that knows Ray; ``bourse scheduler --engine ray`` is the only one that imports it. Every node of the cluster has this package
in the same version. Ray has no notion of who may do what: whoever reaches its ports runs code there, so a cluster belongs to one scheduler,
in a network of its own. What it can save is the auctions, a tenth of a round that reads all of its book (docs/research/scale.md).
"""

from __future__ import annotations

import signal
import socket
import threading
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError, RayTaskError

from marketplace.domain.errors import ClusterUnavailable
from scheduler.engine.arrays import Ints, Records
from scheduler.engine.auction.bidding import hold_here
from scheduler.engine.auction.shards import bundles_of
from scheduler.engine.auction.state import Auction

ANY = "auto"
"""The cluster that this machine is part of."""
BUNDLES_PER_CPU = 2
"""So that a bundle that takes longer than its size promises does not keep the whole round waiting."""
RETRIES = 3
"""Of one bundle, when the worker or the node that holds it dies. The auction has no effect but its answer: it may be held twice."""
WAIT_SECONDS = 60
"""For all bundles of one auction. Then the cluster counts as lost."""
KNOCK_SECONDS = 3.0


class RayAuctioneer:
    """Holds auctions on the cluster at this address, ``host:port`` or ``ANY``; connects when it is made, and again after a failure.

    Raises ClusterUnavailable (retryable: the round is cleared anew, nothing of it was posted).
    """

    def __init__(self, address: str = ANY, *, wait_seconds: int = WAIT_SECONDS) -> None:
        self._address, self._wait_seconds = address, wait_seconds
        self._head, self._cpus = address, 1
        self._connect()

    def __call__(self, auction: Auction, shards: int) -> Ints:
        try:
            if ray.is_initialized():
                _knock(self._head)
            else:
                self._connect()
            return self._held(auction, shards)
        except RayTaskError:
            raise  # The auction itself went wrong. It would again.
        except (RayError, ConnectionError) as lost:
            self.close()
            raise ClusterUnavailable(self._address, _first_line(lost)) from lost

    def close(self) -> None:
        """Leave the cluster. It goes on without us."""
        ray.shutdown()

    def _held(self, auction: Auction, shards: int) -> Ints:
        bundles = bundles_of(auction, BUNDLES_PER_CPU * self._cpus)
        offer = self._gathered(auction, bundles, self._sent(auction, bundles, shards))
        self._count_cpus()
        return offer

    def _count_cpus(self) -> None:
        """For the next auction. Asked right after something worked: where the head is lost, Ray would wait for it, and then end this process."""
        self._cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]

    def _sent(self, auction: Auction, bundles: list[Ints], shards: int) -> list[Any]:
        """Orders go to whom they concern; the rest of the auction goes once to each node, whose workers read it where it lies."""
        rest = ray.put(auction._replace(orders=auction.orders[:0], gang=auction.gang[:0]))
        return [_hold.remote(rest, auction.orders[rows], auction.gang[rows], shards) for rows in bundles]

    def _gathered(self, auction: Auction, bundles: list[Ints], sent: list[Any]) -> Ints:
        offer = np.empty(len(auction.orders), np.int64)
        for rows, offers in zip(bundles, ray.get(sent, timeout=self._wait_seconds), strict=True):
            offer[rows] = offers
        return offer

    def _connect(self) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        on_term = signal.getsignal(signal.SIGTERM)
        try:
            _knock(self._address)
            ray.init(address=self._address, log_to_driver=False, configure_logging=False)
            self._head = ray.get_runtime_context().gcs_address
            self._count_cpus()
        except (RayError, ConnectionError, RuntimeError, ValueError) as failure:
            self.close()
            raise ClusterUnavailable(self._address, _first_line(failure)) from failure
        finally:
            # Ray puts its own handler in the place of the daemon's.
            if is_main and on_term is not None:
                signal.signal(signal.SIGTERM, on_term)


def _knock(address: str) -> None:
    """See that somebody listens: Ray itself would try for minutes, and then end this process. Raises ConnectionError."""
    if address == ANY:
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConnectionError("an address is host:port")
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
    except OSError as failure:
        raise ConnectionError(str(failure)) from failure


def _first_line(failure: Exception) -> str:
    return str(failure).strip().partition("\n")[0] or type(failure).__name__


@ray.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")
def _hold(rest: Any, orders: Records, gang: Any, shards: int) -> Ints:
    """On a worker: the offers of these orders. What Ray hands out cannot be written, and numba would compile all anew for such arrays."""
    auction = Auction(*(np.array(column) for column in rest._replace(orders=orders, gang=gang)))
    return np.ascontiguousarray(hold_here(auction, shards))
