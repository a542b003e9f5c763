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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import structlog

from marketplace.chain import devnet as local_chain
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import AddressBook, write_address_book
from marketplace.chain.keystore import create_key
from marketplace.chain.signing import Key
from marketplace.daemon import Stop
from marketplace.domain.errors import ConfigError, DeadlinePassed, NotFound
from marketplace.domain.wake import NextWake
from marketplace.store.redis_server import redis_binary

ROLES = ("deployer", "client", "scheduler", "provider-1", "provider-2", "provider-3", "arbiter")
"""Who gets which of anvil's ten accounts, in this order."""

START_DOLLARS = 10_000
STOP_GRACE_SECONDS = 10.0
RESTART_FIRST_SECONDS = 0.5
RESTART_LIMIT_SECONDS = 8.0
READY_WITHIN_SECONDS = 90

INVENTORIES: Mapping[str, str] = {
    "provider-1": """\
region = "eu"
cpus = 2
memory_mib = 4096
disk_mib = 8192

[[offer]]
gpu = "RTX4090"
count = 2
price = "0.34"
bond_bps = 2000
arbiter = "{arbiter}"
days = 30
""",
    "provider-2": """\
region = "us"
cpus = 2
memory_mib = 4096
disk_mib = 8192

[[offer]]
gpu = "RTX4090"
count = 2
price = "0.31"
bond_bps = 2000
arbiter = "{arbiter}"
days = 30
""",
    "provider-3": """\
region = "eu"
cpus = 2
memory_mib = 4096
disk_mib = 8192

[[offer]]
gpu = "RTX4090"
count = 1
price = "0.29"
bond_bps = 3000
arbiter = "{arbiter}"
days = 30

[[offer]]
gpu = "H100-SXM-80GB"
count = 1
price = "2.10"
bond_bps = 3000
arbiter = "{arbiter}"
days = 30
""",
}
"""What the three providers declare. Nothing of it is measured; ``bourse offers`` says so."""


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str]
    log: Path
    is_vital: bool = False
    """A process whose end is the end of the network: the chain keeps its state in memory."""
    running: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    waits: float = RESTART_FIRST_SECONDS
    due: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Starts children, starts them again when they die, and stops them in reverse order."""

    folder: Path
    children: list[Child] = field(default_factory=list)

    def add(self, name: str, command: Sequence[str], settings: Mapping[str, str], *, is_vital: bool = False) -> Child:
        """Start one more child now."""
        child = Child(name, tuple(command), dict(settings), self.folder / "logs" / f"{name}.log", is_vital)
        self.children.append(child)
        self._start(child)
        return child

    def step(self, elapsed: float) -> list[Child]:
        """Start again who has died and waited long enough; returns those. A name in ``held`` stays down."""
        held = held_names(self.folder)
        started = []
        for child in self.children:
            if child.running and child.running.poll() is None:
                continue
            if child.running is not None:
                structlog.get_logger().warning("devnet.child_ended", name=child.name, status=child.running.returncode)
                if child.is_vital:
                    raise ConfigError([f"{child.name} has ended, and the network with it; see {child.log}"])
                child.running, child.due = None, child.waits
                child.waits = min(RESTART_LIMIT_SECONDS, child.waits * 2)
            child.due -= elapsed
            if child.due <= 0 and child.name not in held:
                child.restarts += 1
                self._start(child)
                started.append(child)
        return started

    def stop(self) -> None:
        """SIGTERM to all in reverse order of starting, SIGKILL to who has not ended in time."""
        for child in reversed(self.children):
            if child.running and child.running.poll() is None:
                child.running.terminate()
        for child in reversed(self.children):
            if child.running:
                try:
                    child.running.wait(STOP_GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    child.running.kill()
                    child.running.wait()

    def _start(self, child: Child) -> None:
        child.log.parent.mkdir(parents=True, exist_ok=True)
        with child.log.open("ab") as log:
            child.running = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_plain_environment() | dict(child.settings),
                start_new_session=True,
                preexec_fn=local_chain.die_with_parent,
            )


@dataclass(frozen=True, slots=True)
class Account:
    """A role of the development network and the files with its key."""

    role: str
    key: Key
    keystore: Path
    password_file: Path


def held_names(folder: Path) -> set[str]:
    """Processes that are meant to stay down: one name per line in ``held``."""
    file = folder / "held"
    return set(file.read_text().split()) if file.is_file() else set()


def clear(folder: Path) -> None:
    """Forget an earlier network of this folder: its chain is gone, so nothing it left means anything. Logs are kept."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    for left in folder.iterdir():
        if left.is_dir() and left.name != "logs":
            shutil.rmtree(left)
        elif left.is_file():
            left.unlink()


def hold(folder: Path, name: str) -> int:
    """Kill a process with SIGKILL and keep it down, as when its machine is gone. Returns the pid that was killed."""
    processes = read_state(folder)["processes"]
    if name not in processes:
        raise NotFound("devnet process", name)
    _write_atomically(folder / "held", "\n".join(sorted(held_names(folder) | {name})) + "\n")
    pid: int = processes[name]["pid"]
    os.kill(pid, signal.SIGKILL)
    return pid


def release(folder: Path, name: str) -> None:
    """Let a held process be started again."""
    _write_atomically(folder / "held", "\n".join(sorted(held_names(folder) - {name})) + "\n")


def read_state(folder: Path) -> dict[str, Any]:
    """What the running network wrote down; NotFound when there is none."""
    file = folder / "state.json"
    if not file.is_file():
        raise NotFound("development network", f"in {folder}")
    state: dict[str, Any] = json.loads(file.read_text())
    return state


def is_running(folder: Path) -> bool:
    """Whether the supervisor that wrote ``state.json`` still lives (and is not another process with its pid)."""
    try:
        state = read_state(folder)
        return bool(psutil.Process(state["pid"]).create_time() == state["pid_started"])
    except (NotFound, psutil.NoSuchProcess):
        return False


def start_detached(folder: Path) -> dict[str, Any]:
    """Start a supervisor in the background and wait until its market takes orders. Returns the state."""
    if is_running(folder):
        raise ConfigError([f"a development network is running in {folder} already: `bourse devnet down` ends it"])
    clear(folder)
    with (folder / "logs" / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [*_bourse(), "devnet", "up", "--folder", str(folder)],
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


def supervise(folder: Path, stop: Stop) -> None:
    """Run a development network in this process until ``stop`` is set; nothing of it is left running afterwards."""
    if is_running(folder):
        raise ConfigError([f"a development network is running in {folder} already: `bourse devnet down` ends it"])
    network = Devnet(folder)
    try:
        network.start()
        while not stop.is_set():
            stop.wait(network.step().within_seconds)
    finally:
        network.stop()


class Devnet:
    """The development network itself, in the supervisor's process: ``start`` once, ``step`` for ever, ``stop`` at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.supervisor = Supervisor(self.folder)
        self._accounts: dict[str, Account] = {}
        self._settings: dict[str, str] = {}

    def start(self) -> None:
        """Bring everything up in the order in which it needs each other; the order of ``stop`` is the reverse."""
        clear(self.folder)
        chain_port, redis_port, gateway_port = free_ports(3)
        self._accounts = {account.role: account for account in _make_accounts(self.folder / "keys")}
        rpc_url = f"http://127.0.0.1:{chain_port}"
        self.supervisor.add("anvil", local_chain.anvil_command(chain_port), {}, is_vital=True)
        book = self._deploy(local_chain.wait_for_chain(rpc_url))
        write_address_book(self.folder / "address-book.json", book)
        self._settings = self._shared_settings(rpc_url, redis_port, gateway_port)
        (self.folder / "redis").mkdir(exist_ok=True)
        self.supervisor.add("redis", self._redis_command(redis_port), {})
        self._add("indexer", "scheduler", "indexer")
        self._add("gateway", "scheduler", "gateway", "--port", str(gateway_port))
        self._add("scheduler", "scheduler", "scheduler")
        for name, inventory in INVENTORIES.items():
            home = self.folder / name
            home.mkdir(exist_ok=True)
            (home / "inventory.toml").write_text(inventory.format(arbiter=self._accounts["arbiter"].key.address))
            self._add(name, name, "provider", "up", "--inventory", str(home / "inventory.toml"))
        self._write_state(ready=False)

    def step(self) -> NextWake:
        """One look at the children, and the state file kept true."""
        changed = self.supervisor.step(0.2)
        if changed or not read_state(self.folder)["ready"]:
            self._write_state(ready=self._is_ready())
        return NextWake(0.2)

    def stop(self) -> None:
        self.supervisor.stop()
        (self.folder / "state.json").unlink(missing_ok=True)

    def _add(self, name: str, role: str, *arguments: str) -> None:
        account, home = self._accounts[role], self.folder / name
        home.mkdir(exist_ok=True)
        settings = self._settings | {
            "BOURSE_KEYSTORE": str(account.keystore),
            "BOURSE_KEYSTORE_PASSWORD_FILE": str(account.password_file),
            "BOURSE_HOME": str(home),
        }
        self.supervisor.add(name, [*_bourse(), *arguments], settings)

    def _deploy(self, chain: Chain) -> AddressBook:
        """Contracts, TestDollars for everyone who trades, and then a block every second."""
        keys = {role: account.key for role, account in self._accounts.items()}
        deployment = local_chain.deploy(chain, keys["deployer"], local_chain.LOCAL_CONSTANTS)
        traders = [keys[role] for role in ROLES if role.startswith(("client", "provider"))]
        local_chain.endow(chain, deployment, keys["deployer"], traders, START_DOLLARS)
        local_chain.mine_every_second(chain)
        return deployment

    def _redis_command(self, port: int) -> tuple[str, ...]:
        return (str(redis_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder / "redis"),
                "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")  # fmt: skip

    def _shared_settings(self, rpc_url: str, redis_port: int, gateway_port: int) -> dict[str, str]:
        return {
            "BOURSE_RPC_URLS": rpc_url,
            "BOURSE_ADDRESS_BOOK": str(self.folder / "address-book.json"),
            "BOURSE_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "BOURSE_JOURNAL_URL": f"sqlite:///{self.folder}/operator.sqlite",
            "BOURSE_BLOBS_URL": str(self.folder / "blobs"),
            "BOURSE_GATEWAY_URL": f"http://127.0.0.1:{gateway_port}",
            "BOURSE_OPENER": self._accounts["scheduler"].key.address,
            "BOURSE_ARBITER": self._accounts["arbiter"].key.address,
            "BOURSE_CONFIRMATIONS": "1",
        }

    def _is_ready(self) -> bool:
        """Whether the gateway says so, and every provider has listed its offers."""
        return local_chain.is_market_open(self._settings["BOURSE_GATEWAY_URL"], offers=4)

    def _write_state(self, *, ready: bool) -> None:
        client = self._accounts["client"]
        users = {name.removeprefix("BOURSE_").lower(): value for name, value in self._settings.items()} | {
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
                child.name: {"pid": child.running.pid if child.running else 0, "restarts": child.restarts, "log": str(child.log)}
                for child in self.supervisor.children
            },
        }  # fmt: skip
        _write_atomically(self.folder / "state.json", json.dumps(state, indent=2) + "\n")


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now. All are held open until all are known, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listening.getsockname()[1]) for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


def _make_accounts(folder: Path) -> list[Account]:
    """Keystore files for the development keys, each with a password file, all 0600."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for role, private_key in zip(ROLES, local_chain.ANVIL_KEYS, strict=False):
        keystore, password_file = folder / f"{role}.json", folder / f"{role}.password"
        key = create_key(keystore, password_file, private_key=private_key, is_for_local_chain=True)
        made.append(Account(role, key, keystore, password_file))
    return made


def _bourse() -> list[str]:
    return [sys.executable, "-m", "marketplace.cli.main"]


def _plain_environment() -> dict[str, str]:
    """What a child needs of our environment: no settings and no secrets of the user's shell."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "OPENBLAS_CORETYPE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def _write_atomically(file: Path, text: str) -> None:
    aside = file.with_name(file.name + ".new")
    aside.write_text(text)
    aside.replace(file)
