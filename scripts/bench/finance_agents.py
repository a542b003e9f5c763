"""Three of the month's leases as they are in truth: reserved at a gateway, opened by an agent, sat at every day, paid slice by slice.

Gateway, indexer, relay, agents and clients are the programs that anybody runs, in processes of their own. They only ever see the chain's clock, which
goes hours on at once: so a slice is half a day. A host key is good for six hours, hence the relay is started anew every day, as after an update: agents
come back to it with their keys signed anew.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.keystore import create_key
from marketplace.devnet import free_ports
from marketplace.domain.errors import GatewayError
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.provider.executors.bubblewrap import end_all
from marketplace.store.redis_server import start_redis
from marketplace.supervisor import plain_environment, start_process
from scripts.bench.finance_stage import BOND_BPS, DAY, PRICE, Rent, Stage

ROOT = Path(__file__).resolve().parents[2]
_BOURSE = (sys.executable, "-m", "marketplace.cli.main")
LEAD, SLICE = "5m", "12h"
LOOK_AFTER = DAY // 2 // 20
"""An agent looks for its client's signature again when a twentieth of the slice is over."""
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 5.0
BLOCK_EVERY_SECONDS = 0.25
INVENTORY = """
region = "eu"
cpus = 4
memory_mib = 4096
disk_mib = 2048

[[offer]]
gpu = "RTX4090"
count = 3
price = "{price}"
bond_bps = {bond_bps}
arbiter = "{arbiter}"
days = 60

[[reserve]]
classes = ["RTX4090"]
longest = "30d"
lead = "1d"
price = "{price}"
guaranteed_bps = 5000
"""


@dataclass
class Attended:
    """One lease with its agent and its client."""

    rent: Rent
    settings: dict[str, str]
    """Of the client's commands."""
    api: GatewayApi
    jobs: int = 0
    """How many have been done in it."""


class Agents:
    """All processes around these leases."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage, self._folder, self._pause = stage, folder, threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.attended: dict[str, Attended] = {}
        redis_port, self._gateway_port, self._relay_port = free_ports(3)
        (folder / "keys").mkdir(parents=True)
        (folder / "logs").mkdir()
        stage.book.write(folder / "book.json")
        self._settings = {
            "BOURSE_RPC_URLS": stage.chain.rpc_url, "BOURSE_ADDRESS_BOOK": str(folder / "book.json"),
            "BOURSE_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0", "BOURSE_JOURNAL_URL": f"sqlite:///{folder}/operator.sqlite",
            "BOURSE_BLOBS_URL": str(folder / "blobs"), "BOURSE_GATEWAY_URL": f"http://127.0.0.1:{self._gateway_port}",
            "BOURSE_RELAY_URL": f"ws://127.0.0.1:{self._relay_port}", "BOURSE_OPENER": stage.key("keeper").address,
            "BOURSE_ARBITER": stage.arbiter, "BOURSE_CONFIRMATIONS": "1", "BOURSE_SLICE": SLICE,
        }  # fmt: skip
        self._redis = start_redis(folder / "redis", redis_port)
        for words in (("indexer",), ("gateway", "--port", str(self._gateway_port))):
            self._start("operator", *words)
        self._relay = self._begin_relay()
        api = GatewayApi(self._settings["BOURSE_GATEWAY_URL"])
        self.until(lambda: _is_ready(api), "the gateway is ready")
        api.close()

    def close(self) -> None:
        """End all of it, the jobs too."""
        for process in (self._relay, *self._processes):
            process.terminate()
        for process in (self._relay, *self._processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name, one in self.attended.items():
            one.api.close()
            end_all(self._folder / f"operator-of-{name}" / "jobs")
        self._redis.stop()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Let blocks pass until it is so. Raises TimeoutError."""
        deadline = monotonic() + PATIENCE_SECONDS
        while not condition():
            if monotonic() > deadline:
                raise TimeoutError(f"waited too long: {what}; see {self._folder}/logs")
            self._pause.wait(BLOCK_EVERY_SECONDS)
            self._stage.chain.rpc("evm_mine")

    # -- leases -------------------------------------------------------------------------------------------------------

    def rent(self, name: str, *, client: str, owner: str, upfront: str = "0%") -> Rent:
        """A company with an agent, and a month of it that its client reserves; returns once the agent has opened it."""
        stage, operator = self._stage, f"operator of {name}"
        _, company = stage.found(name, owner=owner, operator=operator)
        inventory, price = self._folder / f"{name}.toml", f"{PRICE // 10**6}.{PRICE % 10**6:06}"
        inventory.write_text(INVENTORY.format(price=price, bond_bps=BOND_BPS, arbiter=stage.arbiter))
        self._start(operator, "provider", "up", "--inventory", str(inventory), "--spv", company, "--grace", "1s")
        self.until(lambda: self._offer_of(company), f"the agent of {name} lists")
        stage.payer(client)
        offer = self._offer_of(company)
        stage.names_to_come[OfferId(offer)] = name
        reserving = self._start(
            client, "reserve", "--json", "--gpu", "RTX4090", "--count", "3", "--from", LEAD, "--days", "30", "--min-days", "20",
            "--upfront", upfront, "--max-price", price, "--offer", str(offer), "--memory", "256",
            "--disk", "64", "--yes",
        )  # fmt: skip
        self.until(lambda: reserving.poll() is not None, f"{name} is opened")
        rent = stage.opened_by_others(name, client=client, owner=owner, company=company)
        self._start(client, "watch")
        domain, head = stage.market.domain, stage.chain.head
        api = GatewayApi(
            self._settings["BOURSE_GATEWAY_URL"], key=rent.client, domain=domain, block_time=lambda: head().timestamp
        )
        self.attended[name] = Attended(rent, self._settings_of(client), api)
        return rent

    def do_jobs(self, *names: str) -> None:
        """A tiny job in each of these sessions, side by side. Raises TimeoutError, and ValueError for an answer that is none."""
        self._relay.terminate()
        self._relay.wait()
        self._relay = self._begin_relay()
        attended = [self.attended[name] for name in names]
        self.until(lambda: all(map(self._is_reached, attended)), "the sessions are reached")
        left = dict(enumerate(attended, 6))

        def are_done() -> bool:
            """Once more, where a machine has not come back to the relay yet."""
            running = {number: self._begin_job(one, number) for number, one in left.items()}
            for number, job in running.items():
                said, _ = job.communicate(timeout=PATIENCE_SECONDS)
                if job.returncode == 0:
                    one = left.pop(number)
                    one.jobs += 1
                    if said.strip() != str(number * 7):
                        raise ValueError(f"{one.rent.name}: a job said {said!r}")
            return not left

        self.until(are_done, "the day's jobs are done")

    def signed(self, rent: Rent) -> None:
        """Wait until the client has signed more than is paid: beyond the guarantee nobody serves on for longer than a slice and an hour without."""
        one, market = self.attended[rent.name], self._stage.market

        def is_signed() -> bool:
            paid = market.lease_of(rent.signed.id).paid_seconds
            told = one.api.receipts(rent.signed.id)
            return any(item.role == "client" and item.receipt.used_seconds > paid for item in told)

        self.until(is_signed, f"the client of {rent.name} signs")

    def paid(self, rent: Rent, seconds: int) -> None:
        """Wait until both sides have signed so much, and the chain has paid it."""
        market, stage, look_at = self._stage.market, self._stage, monotonic() + LOOK_SECONDS

        def is_paid() -> bool:
            nonlocal look_at
            if market.lease_of(rent.signed.id).paid_seconds >= seconds:
                return True
            if monotonic() > look_at:
                stage.go_to(stage.chain.head().timestamp + LOOK_AFTER)
                look_at = monotonic() + LOOK_SECONDS
            return False

        self.until(is_paid, f"{rent.name} is paid {seconds} s")

    def over(self, rent: Rent) -> None:
        """Wait until the lease is closed."""
        market = self._stage.market
        self.until(lambda: market.lease_of(rent.signed.id).status is LeaseStatus.CLOSED, f"{rent.name} is over")

    def _is_reached(self, one: Attended) -> bool:
        """Whether the session's machine has left a host key that is good now: it does so before it waits at the relay."""
        try:
            told = one.api.host_key(one.rent.signed.id)
        except GatewayError:
            return False
        return told.host_key.valid_until > self._stage.chain.head().timestamp

    def _begin_job(self, one: Attended, number: int) -> subprocess.Popen[str]:
        words = ("exec", "1", "--", "sh", "-c", f"echo $(({number} * 7))")
        environment = plain_environment() | one.settings
        return subprocess.Popen(
            [*_BOURSE, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def _offer_of(self, company: Address) -> int:
        """Its first offer; 0 while there is none."""
        self._stage.catch_up()
        return next((offer.id for offer in self._stage.explainer.offers.values() if offer.provider == company), 0)

    # -- processes ----------------------------------------------------------------------------------------------------

    def _start(self, who: str, *words: str) -> subprocess.Popen[bytes]:
        """One of the market's programs, by somebody's key."""
        log = self._folder / "logs" / f"{who} {words[0]}.log"
        process = start_process([*_BOURSE, *words], self._settings_of(who), log)
        self._processes.append(process)
        return process

    def _begin_relay(self) -> subprocess.Popen[bytes]:
        words = [*_BOURSE, "relay", "--port", str(self._relay_port)]
        return start_process(words, self._settings_of("operator"), self._folder / "logs" / "relay.log")

    def _settings_of(self, who: str) -> dict[str, str]:
        """Of a party with its own key and home."""
        word = who.replace(" ", "-")  # ssh takes no blanks in the names of its files
        home, keystore = self._folder / word, self._folder / "keys" / f"{word}.json"
        if not keystore.exists():
            home.mkdir()
            create_key(
                keystore, keystore.with_suffix(".password"), private_key=self._stage.secret_of(who), work_factor=2
            )
        return self._settings | {
            "BOURSE_KEYSTORE": str(keystore), "BOURSE_KEYSTORE_PASSWORD_FILE": str(keystore.with_suffix(".password")),
            "BOURSE_HOME": str(home), "BOURSE_GPU_LOCKS": str(home / "gpus"), "PYTHONPATH": str(ROOT),
        }  # fmt: skip


@contextmanager
def agents_around(stage: Stage) -> Iterator[Agents]:
    """Gateway, relay and indexer, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="bourse-bench-") as name:
        agents = Agents(stage, Path(name))
        try:
            yield agents
        finally:
            agents.close()


def _is_ready(api: GatewayApi) -> bool:
    try:
        return api.ready()
    except GatewayError:
        return False
