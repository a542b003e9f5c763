"""Auctions on a cluster as long as it answers, and here when it does not: the plan is the same bit for bit, so no round waits for it.

Ray waits for a lost head for minutes and then ends the process that uses it. So a process of its own, the *driver*, joins the cluster;
it is killed when it does not answer in time, and another one is started in the background.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from time import monotonic

import structlog

from marketplace.domain.errors import ClusterUnavailable
from scheduler.engine.arrays import Ints
from scheduler.engine.auction.bidding import hold_here
from scheduler.engine.auction.state import Auction

PATIENCE_SECONDS = 5.0
"""How long an auction may take on the cluster; or as long as one took here, where that was longer."""
JOIN_SECONDS = 60.0
"""How long a driver may take to start and join. Nobody waits for it."""
AGAIN_FIRST_SECONDS = 1.0
AGAIN_LIMIT_SECONDS = 60.0

_GONE = (EOFError, OSError, pickle.UnpicklingError)


class ClusterOrHere:
    """An ``Auctioneer``. Joins in the background; called by one thread."""

    def __init__(self, address: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._address, self._patience_seconds = address, patience_seconds
        self._log = structlog.get_logger().bind(cluster=address)
        self._joined: _Driver | None = None
        self._is_wanted, self._is_closed = threading.Event(), threading.Event()
        self._here_seconds = 0.0
        self.held_there = self.held_here = 0
        """How many auctions were held where."""
        self._is_wanted.set()
        self._joining = threading.Thread(target=self._keep_joined, name="cluster", daemon=True)
        self._joining.start()

    @property
    def is_joined(self) -> bool:
        return self._joined is not None

    def __call__(self, auction: Auction, shards: int) -> Ints:
        driver = self._joined
        if driver is not None:
            offers = driver.hold(auction, shards, max(self._patience_seconds, self._here_seconds))
            if offers is not None:
                self.held_there += 1
                return offers
            self._lose(driver)
        began = monotonic()
        offers = hold_here(auction, shards)
        self._here_seconds = max(self._here_seconds, monotonic() - began)
        self.held_here += 1
        return offers

    def close(self) -> None:
        """Leave the cluster. It goes on without us."""
        self._is_closed.set()
        self._is_wanted.set()
        self._joining.join()
        if self._joined:
            self._joined.kill()
            self._joined = None

    def _lose(self, driver: _Driver) -> None:
        self._joined = None
        driver.kill()
        self._log.warning("cluster.lost", reason=driver.failure, auctions="held here until it is back")
        self._is_wanted.set()

    def _keep_joined(self) -> None:
        """In a thread of its own: join when that is wanted, again after a while where it fails, later each time."""
        failures = 0
        while self._is_wanted.wait() and not self._is_closed.is_set():
            driver = _Driver(self._address)
            if driver.joins(self._is_closed):
                failures = 0
                self._is_wanted.clear()
                self._joined = driver
                self._log.info("cluster.joined")
                continue
            driver.kill()
            if not failures and not self._is_closed.is_set():
                self._log.warning("cluster.not_joined", reason=driver.failure, auctions="held here until it is there")
            failures += 1
            self._is_closed.wait(min(AGAIN_LIMIT_SECONDS, AGAIN_FIRST_SECONDS * 2.0 ** min(failures, 10)))


class _Driver:
    """A process that has joined the cluster, or is about to."""

    def __init__(self, address: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=drive, args=(address, theirs), name="cluster", daemon=True)
        self._process.start()
        theirs.close()
        self.failure = "it did not answer in time"

    def joins(self, is_closed: threading.Event) -> bool:
        """Wait until it has joined; False where it has failed, or ``is_closed`` is set."""
        deadline = monotonic() + JOIN_SECONDS
        try:
            while not self._connection.poll(0.2):
                if is_closed.is_set() or monotonic() > deadline:
                    return False
            said = self._connection.recv()
        except _GONE:
            said = "its driver has ended"
        self.failure = said or self.failure
        return said is None

    def hold(self, auction: Auction, shards: int, seconds: float) -> Ints | None:
        """The offer of each order; None where they do not come in time: then the driver is of no more use.

        A thread talks to it: what a hanging process does not read cannot be sent either, and ends when the process is killed.
        """
        answers: list[Ints | str] = []
        talking = threading.Thread(target=self._talk, args=(auction, shards, answers), daemon=True)
        talking.start()
        talking.join(seconds)
        if not answers:
            return None
        if isinstance(answers[0], str):
            self.failure = answers[0]
            return None
        return answers[0]

    def _talk(self, auction: Auction, shards: int, answers: list[Ints | str]) -> None:
        try:
            self._connection.send((auction, shards))
            answers.append(self._connection.recv())
        except _GONE:
            answers.append("its driver has ended")

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def drive(address: str, connection: Connection) -> None:
    """The driver's whole life: join, say so (None, or why not), hold auctions until the scheduler is gone."""
    # A Ctrl-C is meant for the scheduler; we end when it does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Ray is large and optional: it is imported here and nowhere else.
    from scheduler.ray_auction import RayAuctioneer

    try:
        auctioneer = RayAuctioneer(address)
        connection.send(None)
        while True:
            auction, shards = connection.recv()
            connection.send(auctioneer(Auction(*auction), shards))
    except ClusterUnavailable as away:
        connection.send(str(away))
    except _GONE:
        return
