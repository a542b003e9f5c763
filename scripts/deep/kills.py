"""kill -9 of the processes of a development network, again and again, under a light load of jobs; and the books afterwards.

    python -m scripts.deep.kills --share 100     a hundredth of it, for a look; writes nothing

It goes in rounds, each on a network of its own. What is done is kept in ``build/kills.json``: who is interrupted goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from marketplace import wiring
from marketplace.chain.events import EventFollower
from marketplace.client import Job, JobRequest, Market
from marketplace.config import Settings, from_env
from marketplace.devnet import read_state
from marketplace.devnet_inventories import INVENTORIES
from marketplace.domain.errors import GatewayError, MarketplaceError, NotFound
from marketplace.domain.events import OfferListed, Withdrawn
from marketplace.domain.states import JobState
from marketplace.domain.units import Seconds, TokenUnits
from marketplace.services.reconcile import reconcile
from marketplace.store.board import Board
from marketplace.supervisor import start_process
from scripts.deep.figures import ROOT, Measured
from scripts.deep.tools import DeepError, NotHeld, say

KILLS: Mapping[str, int] = {"scheduler": 200, "indexer": 100, "agent": 100, "gateway": 50, "redis": 50}
ROUNDS = 5
AGENTS = tuple(INVENTORIES)
PROGRESS = ROOT / "build" / "kills.json"

READY_WITHIN_SECONDS = 120.0
SETTLED_WITHIN_SECONDS = 240.0
SECONDS_FOR_A_KILL = 12.0
"""More than this and the round is not going on."""
LONGEST_LIFE_SECONDS = 6.0
"""A process that is up again lives up to so long before it is its turn again."""
JOBS_AT_ONCE = 4
FUNDS = TokenUnits(50_000_000)
PROGRAM = "import time; time.sleep(1); open('/job/out/x', 'w').write('done'); print('done')"


@dataclass
class Round:
    """One network and what was done to it."""

    kills: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    wrongs: list[str] = field(default_factory=list)


@dataclass
class Network:
    """A development network that we started: only what its supervisor started is ever killed."""

    folder: Path
    supervisor: subprocess.Popen[bytes]

    @property
    def settings(self) -> Settings:
        return from_env({}, self.folder)

    @property
    def state(self) -> dict[str, Any]:
        return read_state(self.folder / ".devnet")

    def pid_of(self, name: str) -> int:
        """The process of that name, if it is up and the supervisor's child; else 0."""
        pid = int(self.state["processes"][name]["pid"])
        try:
            return pid if pid and psutil.Process(pid).ppid() == self.supervisor.pid else 0
        except psutil.NoSuchProcess:
            return 0


@contextmanager
def running_network() -> Iterator[Network]:
    """Start one in a folder of its own, and end it."""
    folder = Path(tempfile.mkdtemp(prefix="bourse-kills-"))
    log = folder / "supervisor.log"
    (folder / ".devnet").mkdir()
    command = [sys.executable, "-m", "scripts.deep.quick_devnet", str(folder / ".devnet")]
    network = Network(folder, start_process(command, {"PYTHONPATH": str(ROOT)}, log))
    try:
        _wait_until_ready(network, log)
        yield network
    finally:
        network.supervisor.terminate()
        network.supervisor.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(network: Network, log: Path) -> None:
    waiting, deadline = threading.Event(), time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if network.supervisor.poll() is not None:
            break
        try:
            if network.state["ready"]:
                return
        except NotFound:
            pass  # not written yet
        waiting.wait(0.2)
    raise DeepError(f"the network does not start:\n{log.read_text()[-2_000:]}")


class Killer:
    """Kills, each process when it has lived for a moment that the seed chose, until everybody had enough."""

    def __init__(self, network: Network, wanted: Mapping[str, int], seed: int) -> None:
        self._network, self._dice = network, Random(seed)
        self._left = {name: count for name, count in self._by_process(wanted).items() if count}
        self._due: dict[str, float] = {}
        self._killed: dict[str, int] = {}
        self.done: Counter[str] = Counter()

    @staticmethod
    def _by_process(wanted: Mapping[str, int]) -> dict[str, int]:
        shares = {name: (wanted["agent"] + place) // len(AGENTS) for place, name in enumerate(AGENTS)}
        return {name: count for name, count in wanted.items() if name != "agent"} | shares

    @property
    def is_done(self) -> bool:
        return not self._left

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Kill beside what the caller does: its client may be waiting for a gateway that is down."""
        stop = threading.Event()

        def work() -> None:
            while not (stop.wait(0.05) or self.is_done):
                self.step()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def step(self) -> None:
        """Kill who is due. A process is due again only after it was seen up again, with another pid."""
        now = time.monotonic()
        for name in tuple(self._left):
            pid = self._network.pid_of(name)
            if not pid or pid == self._killed.get(name):
                self._due.pop(name, None)
            elif now >= self._due.setdefault(name, now + self._dice.uniform(0, LONGEST_LIFE_SECONDS)):
                self._kill(name, pid)

    def _kill(self, name: str, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._due.pop(name)
        self._killed[name] = pid
        self.done["agent" if name in AGENTS else name] += 1
        self._left[name] -= 1
        if not self._left[name]:
            del self._left[name]
        if sum(self.done.values()) % 20 == 0:
            say("kills", f"{sum(self.done.values())} in this round")


class Load:
    """A client with a few jobs at a time, and now and then a withdrawal that nobody could mistake for another."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.jobs: list[Job] = []
        self.withdrawn: dict[int, bool] = {}
        """Amounts, and whether we were told that they are out."""

    def step(self, *, is_last: bool) -> None:
        """Move jobs along, order another one if there is room, withdraw something."""
        try:
            for _ in self.market.steps(0):
                pass
            self.market.wallet.tend()
            waiting = [job for job in self.jobs if not job.is_terminal]
            if not is_last and len(waiting) < JOBS_AT_ONCE:
                self.jobs.append(self.market.submit(self._request()))
            self._withdraw(is_last=is_last)
        except GatewayError:
            pass  # It is down. An order that was signed before is posted with the next step.
        except MarketplaceError as error:
            say("kills", f"the client goes on after: {type(error).__name__}: {error}")

    def _request(self) -> JobRequest:
        return JobRequest(
            command=("python", "-c", PROGRAM), gpus_of=("RTX4090",), max_price=self.market.price("0.40"),
            max_time=Seconds(120), expires_in=Seconds(600), silent_after=Seconds(60), retries=3,
            cpus=1, memory_mib=256, disk_mib=64,
        )  # fmt: skip

    def _withdraw(self, *, is_last: bool) -> None:
        unsure = [amount for amount, is_told in self.withdrawn.items() if not is_told]
        amount = unsure[0] if unsure else 1_000 + len(self.withdrawn)
        if unsure or (not is_last and len(self.jobs) > 4 * len(self.withdrawn)):
            self.withdrawn.setdefault(amount, False)
            self.market.withdraw(TokenUnits(amount))
            self.withdrawn[amount] = True

    @property
    def is_settled(self) -> bool:
        head = self.market.chain.head()
        return all(job.is_settled(head) for job in self.jobs) and all(self.withdrawn.values())


def one_round(wanted: Mapping[str, int], seed: int) -> Round:
    """Kill as often as wanted, wait until everything is settled, and look at the books."""
    done = Round()
    with running_network() as network:
        market = wiring.open_market(network.settings)
        try:
            market.deposit(FUNDS)
            load, killer = Load(market), Killer(network, wanted, seed)
            _drive(load, killer, sum(wanted.values()))
            done.kills, done.jobs = killer.done, len(load.jobs)
            done.wrongs += [*_unsettled(load), *_jobs(load), *_books(network), *_counted(network, load)]
        finally:
            market.close()
    return done


def _drive(load: Load, killer: Killer, kills: int) -> None:
    """Work while the killer is at it, and afterwards until all is settled."""
    pause, deadline = threading.Event(), time.monotonic() + 60 + SECONDS_FOR_A_KILL * kills
    with killer.at_work():
        while not killer.is_done and time.monotonic() < deadline:
            load.step(is_last=False)
            pause.wait(0.1)
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        load.step(is_last=True)
        if load.is_settled:
            return
        pause.wait(0.3)


def _unsettled(load: Load) -> Iterator[str]:
    head = load.market.chain.head()
    yield from (f"job {job.number} is {job.state}, not settled" for job in load.jobs if not job.is_settled(head))
    yield from (
        f"withdrawal {amount}: nobody said what came of it" for amount, told in load.withdrawn.items() if not told
    )


def _jobs(load: Load) -> Iterator[str]:
    """With three retries and ten minutes nobody's job needs to fail because processes die."""
    for job in load.jobs:
        if job.is_terminal and job.state is not JobState.SUCCEEDED:
            yield f"job {job.number} is {job.state}: {job.history[-1].reason} {job.history[-1].note}"


def _books(network: Network) -> Iterator[str]:
    books = wiring.audit(network.settings)
    if not books.is_balanced:
        yield f"the market holds {books.held}, owes {sum(books.accounts.values()) + books.locked}"
    if not books.is_what_the_chain_says:
        yield "the events do not add up to the contract"
    market, board = wiring.open_chain_market(network.settings), Board(network.settings.redis_url)
    try:
        yield from (f"projection: {difference}" for difference in reconcile(board.projection, market))
    finally:
        board.close()
        market.chain.close()


def _counted(network: Network, load: Load) -> Iterator[str]:
    """What was done once: withdrawals, and listings."""
    market = wiring.open_chain_market(network.settings)
    follower = EventFollower(market.chain, market.address, confirmations=1)
    history = tuple(follower.history(market.terms().deployed_at_block, market.chain.head().number))
    market.chain.close()
    seen = Counter(event.amount for event in history if isinstance(event, Withdrawn))
    yield from (f"withdrawal {amount} happened {seen[amount]} times" for amount in load.withdrawn if seen[amount] != 1)  # type: ignore[index]
    listed = sum(isinstance(event, OfferListed) for event in history)
    promised = sum(inventory.count("[[offer]]") for inventory in INVENTORIES.values())
    if listed != promised:
        yield f"{listed} offers were listed, {promised} are in the inventories"


def kills() -> Measured:
    """All rounds that are not done yet. Raises NotHeld where anything was lost or doubled."""
    done = _read_progress()
    for number in range(len(done), ROUNDS):
        say("kills", f"round {number + 1} of {ROUNDS}")
        wanted = {name: count // ROUNDS for name, count in KILLS.items()}
        found = one_round(wanted, number)
        done.append({"kills": dict(found.kills), "jobs": found.jobs, "wrongs": found.wrongs})
        if found.wrongs:
            raise NotHeld("\n".join(found.wrongs))
        _write_progress(done)
    total = sum(sum(one["kills"].values()) for one in done)
    if total < sum(KILLS.values()):
        raise NotHeld(f"{total} of {sum(KILLS.values())} kills: the processes did not come up in time")
    wrongs = sum(len(one["wrongs"]) for one in done)
    PROGRESS.unlink(missing_ok=True)
    return Measured({"kills.total": total, "kills.lost_or_doubled": wrongs}, {"python": platform.python_version()})


def _read_progress() -> list[dict[str, Any]]:
    return list(json.loads(PROGRESS.read_text())) if PROGRESS.exists() else []


def _write_progress(done: list[dict[str, Any]]) -> None:
    PROGRESS.parent.mkdir(exist_ok=True)
    PROGRESS.write_text(json.dumps(done))


def main(words: Sequence[str] | None = None) -> int:
    """A part of it, for a look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=int, default=100, help="one in so many of the kills")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(words)
    wanted = {name: -(-count // chosen.share) for name, count in KILLS.items()}
    start = time.monotonic()
    done = one_round(wanted, chosen.seed)
    print(f"{dict(done.kills)}, {done.jobs} jobs, {time.monotonic() - start:.0f} s", *done.wrongs, sep="\n", flush=True)
    return 1 if done.wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
