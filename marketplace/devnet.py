"""`bourse devnet`: a whole market on this machine, as real processes that are started again when they die.

One supervisor starts anvil, deploys the contracts, and keeps redis, gateway, indexer, scheduler and providers running on free
loopback ports. Everything it makes is below one folder; ``state.json`` there tells users, tools and tests where everything is.
The keys are anvil's well-known development keys: worthless anywhere else, and marked as such.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain import verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.blueprint import Blueprint
from marketplace.chain.constants import LOCAL_CONSTANTS, Preset
from marketplace.chain.create2 import default_salt
from marketplace.chain.deployment import carry_out, plan_deployment
from marketplace.chain.devnet import ANVIL_PRIVATE_KEYS, AnvilHandle, start_anvil
from marketplace.chain.finance import finance_terms
from marketplace.chain.keystore import create_key
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.vaults import changed_by
from marketplace.daemon import Stop
from marketplace.devnet_inventories import INVENTORIES, VAULT_TERMS
from marketplace.domain.errors import ConfigError, DeadlinePassed, GatewayError, NotFound
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.units import TokenUnits
from marketplace.domain.wake import NextWake
from marketplace.provider.executors.bubblewrap import end_all
from marketplace.store.redis_server import start_redis
from marketplace.supervisor import STOP_GRACE_SECONDS, Supervisor, held_names, start_process, write_atomically

ROLES = ("deployer", "client", "scheduler", "provider-1", "provider-2", "provider-3", "arbiter")
FINANCE_ROLES = ("owner", "operator", "lender")
"""Who gets which of anvil's ten accounts, in this order; with finance, those of a company and of who lends, too."""

START_UNITS = TokenUnits(10_000_000_000)
"""10,000 TestDollars for everyone who trades."""
KEYSTORE_WORK_FACTOR = 2**10
"""Development keys are public: nothing is gained by making their keystores slow to open."""
READY_WITHIN_SECONDS = 90
BLOCK_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Account:
    """A role of the development network and the files with its key."""

    role: str
    key: Key
    keystore: Path
    password_file: Path


def clear(folder: Path) -> None:
    """Forget an earlier network of this folder: its chain is gone, so nothing it left means anything."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)


def hold(folder: Path, name: str) -> int:
    """Kill a process with SIGKILL and keep it down, as when its machine is gone. Returns the pid that was killed; 0 if it was down."""
    processes = read_state(folder)["processes"]
    if name not in processes:
        raise NotFound("devnet process", name)
    write_atomically(folder / "held", "\n".join(sorted(held_names(folder) | {name})) + "\n")
    pid: int = look(folder)["processes"][name]["pid"]
    if pid:  # 0 means that it is down already, and to kill(2) it would mean ourselves
        os.kill(pid, signal.SIGKILL)
    return pid


def release(folder: Path, name: str) -> None:
    """Let a held process be started again."""
    write_atomically(folder / "held", "\n".join(sorted(held_names(folder) - {name})) + "\n")


def read_state(folder: Path) -> dict[str, Any]:
    """What the running network wrote down; NotFound when there is none."""
    file = folder / "state.json"
    if not file.is_file():
        raise NotFound("development network", f"in {folder}")
    state: dict[str, Any] = json.loads(file.read_text())
    return state


def look(folder: Path) -> dict[str, Any]:
    """The state as it is at this moment: for each process its ``state`` (``running``, ``held``, or ``dead`` until it is started again).

    Who does not live has pid 0, and a network that lacks one is not ready.
    """
    state, held = read_state(folder), held_names(folder)
    for name, row in state["processes"].items():
        lives = _lives(row["pid"], state["pid"])
        row["state"] = "running" if lives else "held" if name in held else "dead"
        row["pid"] = row["pid"] if lives else 0
    state["ready"] = state["ready"] and all(row["pid"] for row in state["processes"].values())
    return state


def _lives(pid: int, supervisor: int) -> bool:
    """Whether the process is there, and still the supervisor's: numbers of dead ones are given away again."""
    try:
        found = psutil.Process(pid) if pid else None
        return found is not None and found.ppid() == supervisor and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_running(folder: Path) -> bool:
    """Whether the supervisor that wrote ``state.json`` still lives (and is not another process with its pid)."""
    try:
        state = read_state(folder)
        return bool(psutil.Process(state["pid"]).create_time() == state["pid_started"])
    except (NotFound, psutil.NoSuchProcess):
        return False


def start_detached(folder: Path, *, finance: bool = False) -> dict[str, Any]:
    """Start a supervisor in the background and wait until its market takes orders. Returns the state."""
    if is_running(folder):
        raise ConfigError([f"a development network is running in {folder} already: `bourse devnet down` ends it"])
    clear(folder)
    with (folder / "logs" / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [*_bourse(), "devnet", "up", "--folder", str(folder), *(["--finance"] if finance else [])],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    waiting, waited = threading.Event(), 0.0
    while waited < READY_WITHIN_SECONDS:
        if supervisor.poll() is not None:
            tail = (folder / "logs" / "supervisor.log").read_text()[-800:]
            raise ConfigError([f"the development network ended while starting: {tail}"])
        if (folder / "state.json").is_file() and read_state(folder)["ready"]:
            return read_state(folder)
        waiting.wait(0.1)
        waited += 0.1
    supervisor.terminate()
    raise DeadlinePassed("the development network's start", READY_WITHIN_SECONDS)


def stop_detached(folder: Path) -> None:
    """Ask the supervisor to end and wait until it has; nothing happens when none runs."""
    if not is_running(folder):
        return
    supervisor = psutil.Process(read_state(folder)["pid"])
    supervisor.terminate()
    try:
        supervisor.wait(STOP_GRACE_SECONDS * 3)
    except psutil.TimeoutExpired:
        supervisor.kill()
        raise DeadlinePassed("the development network's end", int(STOP_GRACE_SECONDS * 3)) from None


def supervise(
    folder: Path, stop: Stop, tell: Callable[[dict[str, Any]], object] = lambda _: None, *, finance: bool = False
) -> None:
    """Run a development network in this process until ``stop`` is set; nothing of it is left running afterwards.

    ``tell`` hears once, with the state, that it is ready.
    """
    if is_running(folder):
        raise ConfigError([f"a development network is running in {folder} already: `bourse devnet down` ends it"])
    if not folder.is_dir() or any(left.name != "logs" for left in folder.iterdir()):
        clear(folder)
    network = Devnet(folder, finance=finance)
    try:
        network.start()
        is_told = False
        while not stop.is_set():
            stop.wait(network.step().within_seconds)
            if not is_told and not stop.is_set() and (state := read_state(network.folder))["ready"]:
                tell(state)
                is_told = True
    finally:
        network.stop()


class Devnet:
    """The development network itself, in the supervisor's process: ``start`` once, ``step`` for ever, ``stop`` at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        inventories: Mapping[str, str] = INVENTORIES,
        block_seconds: int = BLOCK_SECONDS,
        finance: bool = False,
    ) -> None:
        """``inventories``: what each provider declares, by its role. ``finance``: companies, an arbiter with a backstop, and a vault, too."""
        self.folder = folder.resolve()
        self._inventories, self._block_seconds, self._has_finance = inventories, block_seconds, finance
        self.supervisor = Supervisor(self.folder)
        self._accounts: dict[str, Account] = {}
        self._settings: dict[str, str] = {}
        self._arbiter = ZERO_ADDRESS
        """Whom orders and offers name: with finance the arbiter with a backstop, whose panel is the role of that name."""
        self._anvil: AnvilHandle | None = None
        self._health: dict[str, int] = {}
        """On which port of the loopback each process answers /live and /ready."""

    def start(self) -> None:
        """Bring everything up in the order in which it needs each other; the order of ``stop`` is the reverse."""
        chain_port, redis_port, gateway_port, relay_port, *health_ports = free_ports(4 + 2 + len(self._inventories))
        self._health = {"gateway": gateway_port} | dict(
            zip(("indexer", "scheduler", *self._inventories), health_ports, strict=True)
        )
        self._accounts = {account.role: account for account in _make_accounts(self.folder / "keys", self._roles)}
        # Mines at once while contracts are deployed; at a pace afterwards: metering is by block time.
        self.supervisor.add("anvil", lambda: self._start_chain(chain_port), is_vital=True)
        chain = Chain([f"http://127.0.0.1:{chain_port}"])
        book = self._deploy(chain)
        book.write(self.folder / "address-book.json")
        self._arbiter = book.backstop_arbiter or self._accounts["arbiter"].key.address
        chain.rpc("evm_setAutomine", False)
        chain.rpc("evm_setIntervalMining", self._block_seconds)
        self._settings = self._shared_settings(chain_port, redis_port, gateway_port, relay_port)
        self.supervisor.add("redis", lambda: start_redis(self.folder / "redis", redis_port).process)
        self._add("indexer", "scheduler", "indexer", *self._health_option("indexer"))
        self._add("gateway", "scheduler", "gateway", "--port", str(gateway_port))
        self._add("relay", "scheduler", "relay", "--port", str(relay_port))
        self._add("scheduler", "scheduler", "scheduler", *self._health_option("scheduler"))
        for name, inventory in self._inventories.items():
            file = self.folder / name / "inventory.toml"
            file.parent.mkdir(exist_ok=True)
            file.write_text(inventory.format(arbiter=self._arbiter))
            self._add(name, name, "provider", "up", "--inventory", str(file), *self._health_option(name))
        self._write_state(ready=False)

    @property
    def _roles(self) -> tuple[str, ...]:
        return ROLES + FINANCE_ROLES if self._has_finance else ROLES

    def step(self) -> NextWake:
        """One look at the children, and the state file kept true."""
        before = self._pids()
        self.supervisor.step(0.2)
        is_whole = all(self._pids())
        if before != self._pids() or (is_whole and not read_state(self.folder)["ready"]):
            self._write_state(ready=is_whole and self._is_ready())
        return NextWake(0.2)

    def stop(self) -> None:
        self.supervisor.stop()
        if self._anvil:
            self._anvil.stop()
        for name in self._inventories:
            end_all(self.folder / name / "jobs")  # they outlive their agents, for a while
        (self.folder / "state.json").unlink(missing_ok=True)

    def node_url(self, name: str, chain_url: str) -> str:
        """Where the process of that name, or the ``client``, reaches the chain."""
        return chain_url

    def _start_chain(self, port: int) -> subprocess.Popen[bytes]:
        """With all of its history: an audit asks for the state at the block of a round."""
        self._anvil = start_anvil(port, self.folder / "logs", block_time=None, keeps_history=True)
        return self._anvil.process

    def _add(self, name: str, role: str, *arguments: str) -> None:
        account, home = self._accounts[role], self.folder / name
        home.mkdir(exist_ok=True, mode=0o700)
        settings = self._settings | {
            "BOURSE_RPC_URLS": self.node_url(name, self._settings["BOURSE_RPC_URLS"]),
            "BOURSE_KEYSTORE": str(account.keystore),
            "BOURSE_KEYSTORE_PASSWORD_FILE": str(account.password_file),
            "BOURSE_HOME": str(home),
            # Their GPUs are declared only, and they all count from 0 on this one machine.
            "BOURSE_GPU_LOCKS": str(home / "gpus"),
        }
        log = self.folder / "logs" / f"{name}.log"
        is_gentle = role.startswith("provider")
        start = lambda: start_process([*_bourse(), *arguments], settings, log, is_gentle=is_gentle)  # noqa: E731
        self.supervisor.add(name, start, is_gentle=is_gentle)

    def _health_option(self, name: str) -> tuple[str, str]:
        return "--health-port", str(self._health[name])

    def _deploy(self, chain: Chain) -> AddressBook:
        """The contracts, and TestDollars for who trades: a client's in its wallet, a provider's in its account, for its bonds."""
        deployer = self._accounts["deployer"].key
        blueprint = self._blueprint(chain)
        book = carry_out(chain, deployer, plan_deployment(chain, deployer.address, blueprint))
        bank = Sender(chain, deployer)
        for account in self._accounts.values():
            if account.role.startswith(("client", "provider", "owner", "lender")):
                bank.send(verbs.mint(book.token, account.key.address, START_UNITS))
            if account.role.startswith("provider"):
                owner = Sender(chain, account.key)
                owner.send(verbs.approve(book.token, book.market, START_UNITS))
                owner.send(verbs.deposit(book.market, account.key.address, START_UNITS))
        return book

    def _blueprint(self, chain: Chain) -> Blueprint:
        """With finance, the panel is the arbiter, and the vault lends on the client's word."""
        plain = Blueprint(default_salt(), LOCAL_CONSTANTS, self._accounts["deployer"].key.address)
        if not self._has_finance:
            return plain
        terms = finance_terms(chain.chain_id, self._accounts["arbiter"].key.address, Preset.LOCAL)
        planned = replace(plain, finance=terms)
        named = {**VAULT_TERMS, "obligors": [self._accounts["client"].key.address]}
        return replace(planned, vault_terms=(changed_by(planned.usual_vault_terms(), named),))

    def _shared_settings(self, chain_port: int, redis_port: int, gateway_port: int, relay_port: int) -> dict[str, str]:
        return {
            "BOURSE_RPC_URLS": f"http://127.0.0.1:{chain_port}",
            "BOURSE_ADDRESS_BOOK": str(self.folder / "address-book.json"),
            "BOURSE_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "BOURSE_JOURNAL_URL": f"sqlite:///{self.folder}/operator.sqlite",
            "BOURSE_BLOBS_URL": str(self.folder / "blobs"),
            "BOURSE_GATEWAY_URL": f"http://127.0.0.1:{gateway_port}",
            "BOURSE_RELAY_URL": f"ws://127.0.0.1:{relay_port}",
            "BOURSE_OPENER": self._accounts["scheduler"].key.address,
            "BOURSE_ARBITER": self._arbiter,
            "BOURSE_CONFIRMATIONS": "1",
        }

    def _pids(self) -> list[int]:
        """Of each child; 0 for one that was found dead."""
        return [child.running.pid if child.running else 0 for child in self.supervisor.children]

    def _is_ready(self) -> bool:
        """Whether the gateway says so, and every provider has listed its offers."""
        promised = sum(inventory.count("[[offer]]") for inventory in self._inventories.values())
        api = GatewayApi(self._settings["BOURSE_GATEWAY_URL"])
        try:
            return api.ready() and sum(offer.last_heartbeat is not None for offer in api.offers()) >= promised
        except GatewayError:
            return False
        finally:
            api.close()

    def _write_state(self, *, ready: bool) -> None:
        client = self._accounts["client"]
        users = {name.removeprefix("BOURSE_").lower(): value for name, value in self._settings.items()} | {
            "rpc_urls": self.node_url("client", self._settings["BOURSE_RPC_URLS"]),
            "keystore": str(client.keystore),
            "keystore_password_file": str(client.password_file),
            "home": str(self.folder / "client"),
        }
        state = {
            "warning": "development keys for a local chain only",
            "ready": ready,
            "pid": os.getpid(),
            "pid_started": psutil.Process().create_time(),
            "settings": users,
            "accounts": {
                role: {"address": account.key.address, "keystore": str(account.keystore), "password_file": str(account.password_file)}
                for role, account in self._accounts.items()
            },
            "processes": {
                child.name: {
                    "pid": child.running.pid if child.running else 0, "restarts": child.restarts, "log": str(child.log),
                    "health": f"http://127.0.0.1:{self._health[child.name]}/ready" if child.name in self._health else None,
                }
                for child in self.supervisor.children
            },
        }  # fmt: skip
        write_atomically(self.folder / "state.json", json.dumps(state, indent=2) + "\n")


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now. All are held open until all are known, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listening.getsockname()[1]) for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


def _make_accounts(folder: Path, roles: tuple[str, ...]) -> list[Account]:
    """Keystore files for the development keys, each with a password file, all 0600."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for role, private_key in zip(roles, ANVIL_PRIVATE_KEYS, strict=False):
        keystore, password_file = folder / f"{role}.json", folder / f"{role}.password"
        key = create_key(keystore, password_file, private_key=private_key, work_factor=KEYSTORE_WORK_FACTOR)
        made.append(Account(role, key, keystore, password_file))
    return made


def _bourse() -> list[str]:
    return [sys.executable, "-m", "marketplace.cli.main"]
