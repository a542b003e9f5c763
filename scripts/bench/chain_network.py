"""A development network of which every process reaches the node on a line of its own, and each call on it is counted."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marketplace.client import Market
from marketplace.config import DEVNET_FOLDER, Settings, from_env
from marketplace.devnet import READY_WITHIN_SECONDS, Devnet, read_state
from marketplace.domain.errors import DeadlinePassed
from marketplace.wiring import open_market
from tests.faults.proxy import FaultProxy

PROCESSES = ("gateway", "indexer", "scheduler", "provider-1", "provider-2", "client")
GPUS = 64
"""That each of the two providers declares, as the bench starts no more jobs at once than both together have."""
INVENTORY = """\
region = "eu"
cpus = 128
memory_mib = 262144
disk_mib = 1048576

[[offer]]
gpu = "RTX4090"
count = {gpus}
price = "{price}"
bond_bps = 2000
arbiter = "{{arbiter}}"
days = 30
"""
PRICES = {"provider-1": "0.34", "provider-2": "0.31"}

Calls = Counter[tuple[str, str]]
"""By process and method."""


class CountedNetwork(Devnet):
    """The processes are those of `bourse devnet up`, with two providers; between them and anvil stands an honest proxy that counts."""

    def __init__(self, folder: Path, block_seconds: int) -> None:
        inventories = {name: INVENTORY.format(gpus=GPUS, price=price) for name, price in PRICES.items()}
        super().__init__(folder, inventories=inventories, block_seconds=block_seconds)
        self._proxy: FaultProxy | None = None

    def node_url(self, name: str, chain_url: str) -> str:
        self._proxy = self._proxy or FaultProxy(chain_url)
        return self._proxy.url(name)

    @property
    def calls(self) -> Calls:
        """All calls so far; each of a batch for itself."""
        return Counter() if self._proxy is None else self._proxy.counted()

    @property
    def settings(self) -> Settings:
        """The client's."""
        return from_env({}, self.folder.parent)

    def wait_ready(self) -> None:
        """Until it takes orders. Raises DeadlinePassed."""
        waiting, deadline = threading.Event(), time.monotonic() + READY_WITHIN_SECONDS
        while not read_state(self.folder)["ready"]:
            if time.monotonic() > deadline:
                raise DeadlinePassed("the network's start", READY_WITHIN_SECONDS)
            waiting.wait(self.step().within_seconds)

    def stop(self) -> None:
        super().stop()
        if self._proxy is not None:
            self._proxy.close()


@contextmanager
def running_network(block_seconds: int) -> Iterator[tuple[CountedNetwork, Market]]:
    """The network, ready, and its client in this process; nothing is left of it afterwards."""
    with tempfile.TemporaryDirectory(prefix="bourse-bench-") as name:
        folder = Path(name) / DEVNET_FOLDER
        (folder / "logs").mkdir(parents=True)
        network = CountedNetwork(folder, block_seconds)
        try:
            network.start()
            network.wait_ready()
            market = open_market(network.settings)
            try:
                yield network, market
            finally:
                market.close()
        finally:
            network.stop()
