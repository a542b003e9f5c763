"""A development network with a crowd on it: machines of several sizes, work that is done, work that runs, orders that wait, one provider gone.

`python -m scripts.page.scene PLACE` brings it up in a folder and keeps it until it is ended.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from marketplace import devnet, wiring
from marketplace.client import JobRequest, Market
from marketplace.config import DEVNET_FOLDER, from_env
from marketplace.daemon import Stop
from marketplace.domain.errors import DeadlinePassed
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.states import JOB_TERMINAL, JobState
from marketplace.domain.units import GpuCount, Seconds, UnixTime

H100, SMALL = "H100-SXM-80GB", "RTX4090"
DEPOSIT = "2000"
WITHIN_SECONDS = 240
SAYS = "import time\nfor n in range({seconds}):\n    print('round', n + 1, 'of {seconds}: accuracy', round(1 - 1 / (n + 2), 4), flush=True)\n    time.sleep(1)\n"
"""A job that says something every second."""


def _machine(region: str, *offers: tuple[str, int, str, int]) -> str:
    rows = (
        f'[[offer]]\ngpu = "{gpu}"\ncount = {count}\nprice = "{price}"\nbond_bps = {bond}\narbiter = "{{arbiter}}"\ndays = 30\n'
        for gpu, count, price, bond in offers
    )
    return f'region = "{region}"\ncpus = 64\nmemory_mib = 65536\ndisk_mib = 65536\n\n' + "\n".join(rows)


MACHINES: Mapping[str, str] = {
    "provider-1": _machine("us", (H100, 8, "2.24", 2000), (H100, 2, "2.40", 1000)),
    "provider-2": _machine("eu", (H100, 4, "2.05", 2000), (H100, 2, "2.18", 2000), (SMALL, 4, "0.31", 2000)),
    "provider-3": _machine("eu", (H100, 1, "1.98", 3000), (H100, 4, "2.31", 3000), (SMALL, 1, "0.29", 3000)),
}
"""What the three declare; they differ in size, price, bond and place."""

WAITING = (
    (8, "2.90"), (4, "2.66"), (8, "2.61"), (4, "2.48"), (1, "2.12"), (4, "2.35"), (8, "2.34"), (2, "2.28"), (1, "2.26"), (8, "2.22"), (2, "2.20"), (4, "2.15"), (1, "2.11"),
    (8, "2.10"), (2, "2.03"), (1, "2.02"), (1, "2.02"), (2, "2.02"), (4, "2.02"), (8, "1.95"), (2, "1.90"), (4, "1.75"), (8, "1.50"),
)  # fmt: skip
"""GPUs together and limits of the orders that are to wait: more than there is, or for less than is asked."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is worth looking at: orders, and two accounts."""

    retried: Bytes32
    """Its first provider fell silent, another did the work."""
    failed: Bytes32
    running: Bytes32
    waiting: Bytes32
    """For more GPUs together than are free anywhere."""
    client: Address
    silent: Address
    """The provider that is gone."""


@contextmanager
def network(folder: Path, machines: Mapping[str, str] = MACHINES) -> Iterator[None]:
    """A development network in ``folder``, kept up by a thread, ready when this begins and gone when it ends."""
    devnet.clear(folder)
    stop, net = Stop(), devnet.Devnet(folder, inventories=machines)
    net.start()

    def keep() -> None:
        while not stop.is_set():
            stop.wait(net.step().within_seconds)

    keeper = threading.Thread(target=keep, name="devnet", daemon=True)
    keeper.start()
    try:
        _until(lambda: devnet.read_state(folder)["ready"], "the development network")
        yield
    finally:
        stop.set()
        keeper.join()
        net.stop()


def _until(is_so: Callable[[], object], what: str) -> None:
    """Look until it is so. Raises DeadlinePassed."""
    waiting = threading.Event()
    for _ in range(WITHIN_SECONDS * 5):
        if is_so():
            return
        waiting.wait(0.2)
    raise DeadlinePassed(what, WITHIN_SECONDS)


def play(place: Path) -> Scene:
    """Trade: some work done, some running, some waiting, and one provider silent."""
    folder = place / DEVNET_FOLDER
    market = wiring.open_market(from_env({}, place))
    market.deposit(market.amount(DEPOSIT))
    base = JobRequest(
        command=("python", "-c", SAYS.format(seconds=4)), gpus_of=(H100,), max_price=market.price("2.60"), max_time=Seconds(60),
        memory_mib=256, disk_mib=64, retries=0, expires_in=Seconds(3600), silent_after=Seconds(8),
    )  # fmt: skip
    patient = replace(base, name="svm, 60 splits", command=("python", "-c", SAYS.format(seconds=20)))
    retried = market.submit(replace(patient, retries=2, max_time=Seconds(45)))
    _step(market, lambda: retried.state is JobState.RUNNING)
    lost = market.api.lease(retried.orders[0]).record.provider
    accounts = devnet.read_state(folder)["accounts"]
    devnet.hold(folder, next(role for role, account in accounts.items() if account["address"] == lost))
    done = [market.submit(replace(base, name=f"round {count}", gpus=GpuCount(count))) for count in (1, 2, 4, 1)]
    small = replace(base, gpus_of=(SMALL,), max_price=market.price("0.40"))
    done.append(market.submit(replace(small, name="small")))
    failed = market.submit(replace(small, name="lacks a file", command=("python", "-c", "open('/job/in/absent')")))
    _step(market, lambda: all(job.state in JOB_TERMINAL for job in (retried, failed, *done)))
    long = replace(
        base, command=("python", "-c", SAYS.format(seconds=3000)), max_time=Seconds(3600), silent_after=Seconds(3600)
    )
    running = [market.submit(replace(long, name=f"train on {n}", gpus=GpuCount(n))) for n in (4, 2, 2, 2)]
    _step(market, lambda: all(job.state is JobState.RUNNING for job in running))
    waiting = [
        market.submit(replace(long, name=f"waits for {count}", gpus=GpuCount(count), max_price=market.price(limit)))
        for count, limit in WAITING
    ]
    _reserve(market, base)
    told = Scene(
        retried.orders[-1], failed.orders[-1], running[0].orders[-1], waiting[0].orders[-1], market.account, lost
    )
    market.close()
    return told


def _reserve(market: Market, base: JobRequest) -> None:
    """Ask for machines from later days on; no provider here opens any."""
    day = 86_400
    for count, days, limit in ((8, 3, "2.10"), (4, 2, "2.25"), (2, 1, "1.90")):
        begins = UnixTime(market.chain.head().timestamp + days * day)
        market.submit(
            replace(
                base, name=f"{days} days of {count}", command=(), session=SessionTerms(), gpus=GpuCount(count), retries=0,
                max_price=market.price(limit), starts_at=begins, max_time=Seconds(days * day), min_time=Seconds(days * day // 2),
            )
        )  # fmt: skip


def _step(market: Market, is_so: Callable[[], bool]) -> None:
    """Move the jobs along until it is so. Raises DeadlinePassed."""
    for _ in market.steps(WITHIN_SECONDS):
        if is_so():
            return


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("place", type=Path)
    place = reader.parse_args().place
    with network(place / DEVNET_FOLDER):
        print(devnet.read_state(place / DEVNET_FOLDER)["settings"]["gateway_url"], flush=True)
        print(play(place), flush=True)
        Stop().on_signals().wait(86_400)


if __name__ == "__main__":
    main()
