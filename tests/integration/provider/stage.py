"""A stage for one provider agent: a real chain whose blocks are one second apart and come when we say so, a real gateway.

Block time here runs faster than the clock on the wall (about five seconds a second), so that windows end soon.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, time

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.client.http import Retries
from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import AddressBook, MarketConstants
from marketplace.chain.devnet import ANVIL_KEYS, mine
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Mined, Sender
from marketplace.domain import events as e
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import bundle_paths
from marketplace.domain.errors import GatewayError
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, OfferId, bytes32_of, sha256_of
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.results import Result
from marketplace.domain.spec import JobSpec, Resources
from marketplace.domain.states import ServingState
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.work import Input, Work
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.server import server_for
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.chores import ChorePools
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.gateways import GatewayLine
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.home import AgentHome
from marketplace.provider.inventory import Inventory, read_inventory
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.runtime import load_runtime
from marketplace.provider.steering import Steering
from marketplace.provider.toolbox import Toolbox
from marketplace.provider.unsealing import recipient_in
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.wishes import WishTable

ROOT = Path(__file__).resolve().parents[3]
AGENT_PROCESS = Path(__file__).with_name("agent_process.py")
DOLLAR = 1_000_000
DEPLOYER, CLIENT, PROVIDER, OPENER, ACCEPTOR = ANVIL_KEYS[:5]
ARBITER = ANVIL_KEYS[9]
FUNDS = TokenUnits(1_000 * DOLLAR)
CONSTANTS = MarketConstants(Seconds(30), Seconds(60), Seconds(40), Seconds(60), TokenUnits(100_000))
PRICE = PricePerGpuHour(36 * DOLLAR)
"""One cent a second for one GPU."""
PATIENCE_SECONDS = 90
BLOCK_EVERY_SECONDS = 0.2

INVENTORY = f"""
region = "eu"
cpus = 4
memory_mib = 4096
disk_mib = 2048

[[offer]]
gpu = "RTX4090"
count = 2
price = "36"
bond_bps = 1000
arbiter = "{ARBITER.address}"
days = 30
"""

Steers = Callable[[WishTable, Inventory], Steering]


class Clockwork:
    """Lets block time pass while a condition is waited for."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._pause = threading.Event()
        self._next_block = 0.0

    def tick(self) -> None:
        """Wait a moment; now and then there is a block."""
        self._pause.wait(0.02)
        if monotonic() >= self._next_block:
            mine(self._chain)
            self._next_block = monotonic() + BLOCK_EVERY_SECONDS

    def until(self, condition: Callable[[], object], what: str, *, each: Callable[[], object] = lambda: None) -> None:
        """Tick, and call ``each``, until the condition holds; fail after a while."""
        deadline = monotonic() + PATIENCE_SECONDS
        while not condition():
            assert monotonic() < deadline, f"waited too long: {what}"
            each()
            self.tick()


class RunningGateway:
    """The gateway behind uvicorn in a thread, on a port that it keeps when it is stopped and started again."""

    def __init__(self, market: MarketContract, catalogue: str, redis_url: str, folder: Path) -> None:
        self.journal = OperatorJournal(f"sqlite:///{folder}/operator.sqlite")
        self.board = Board(redis_url)
        self.blobs = FolderBlobs(folder / "blobs")
        roles = MarketRoles(catalogue, OPENER.address, ARBITER.address)  # type: ignore[arg-type]
        self._desks = desks_over(market, self.journal, self.board, self.blobs, roles, clock=time)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port))
        self._server = server_for(create_app(self._desks), "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        deadline, waiting = monotonic() + 20, threading.Event()
        while not self._server.started:
            assert self._thread.is_alive()
            assert monotonic() < deadline
            waiting.wait(0.02)

    def stop(self) -> None:
        if self._thread:
            self._server.should_exit = True
            self._thread.join(30)
            assert not self._thread.is_alive()
            self._thread = None

    def close(self) -> None:
        self.stop()
        self.board.close()
        self.journal.close()


@dataclass(frozen=True)
class AgentProcesses:
    """Starts one agent after the other; see ``agent_process``."""

    process: subprocess.Popen[bytes]
    folder: Path

    def start(self, *, kill_at: str = "", is_patient: bool = False, may_be_late: bool = False) -> None:
        for name in ("pid", "ended"):
            (self.folder / name).unlink(missing_ok=True)
        assert self.process.stdin
        self.process.stdin.write(f"{'~' if is_patient else ''}{'+' if may_be_late else ''}{kill_at}\n".encode())
        self.process.stdin.flush()

    @property
    def wait_status(self) -> int | None:
        """How the agent ended; None while it lives."""
        ended = self.folder / "ended"
        return int(ended.read_text()) if ended.exists() else None

    def terminate(self) -> None:
        os.kill(int((self.folder / "pid").read_text()), signal.SIGTERM)


@dataclass
class Stage:
    """One market with a funded client and a funded provider; agents are made on it."""

    chain: Chain
    book: AddressBook
    market: MarketContract
    gateway: RunningGateway
    folder: Path
    clock: Clockwork
    client_api: GatewayApi
    rpc_url: str
    salts: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    agents: list[ProviderAgent] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    # Agents

    def agent(
        self,
        *,
        home: str = "home",
        gateway_url: str = "",
        inventory: str = INVENTORY,
        steers: Steers | None = None,
        rig: GpuRig | None = None,
        spv: Address | None = None,
        **policy: int,
    ) -> ProviderAgent:
        """An agent in this process; its steps are ours to make. ``gateway_url``: several by spaces, the preferred one first."""
        agent = build_agent(
            self.rpc_url,
            self.book,
            gateway_url or self.gateway.url,
            self.folder / home,
            inventory,
            policy,
            steers,
            rig,
            spv,
        )
        self.agents.append(agent)
        return agent

    def listed(self, agent: ProviderAgent) -> OfferId:
        """Step until the agent has listed its first offer."""
        self.until(agent, lambda: self.journal(agent).listings(), "an offer is listed")
        return self.journal(agent).listings()[-1].offer

    def agents_apart(self) -> AgentProcesses:
        """Agents in processes of their own, all on one home."""
        self.book.write(self.folder / "book.json")
        words = [self.rpc_url, str(self.folder / "book.json"), self.gateway.url, str(self.folder / "home")]
        environment = {"PYTHONPATH": str(ROOT), "PATH": os.defpath}
        with (self.folder / "agent.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(AGENT_PROCESS), *words], stdin=subprocess.PIPE, stdout=log, stderr=log,
                env=environment, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return AgentProcesses(process, self.folder)

    def until(self, agent: ProviderAgent, condition: Callable[[], object], what: str, *, signs: bool = False) -> None:
        """Step the agent, and let time pass, until the condition holds. ``signs``: the client countersigns all the while."""

        def each() -> None:
            agent.step()
            if signs:
                self.countersign()

        self.clock.until(condition, what, each=each)

    def is_serving(self, agent: ProviderAgent) -> bool:
        """Whether the agent has anything left to serve."""
        return bool(
            self.journal(agent).servings(*(state for state in ServingState if state is not ServingState.CLOSED))
        )

    @staticmethod
    def journal(agent: ProviderAgent) -> AgentJournal:
        return agent._tools.journal

    # The client

    def spec(
        self, *command: str, files: Mapping[str, str] | None = None, work: Mapping[str, object] | None = None, **changed: object
    ) -> JobSpec:  # fmt: skip
        """A spec whose work and input bundle are at the gateway; ``work`` changes what the work says."""
        found = replace(self.work(*command, files=files), **(work or {}))  # type: ignore[arg-type]
        self.client_api.put_blob(found.canonical())
        spec = JobSpec(found.name, resources=Resources(memory_mib=256, disk_mib=64))
        return replace(spec, **changed)  # type: ignore[arg-type]

    def work(self, *command: str, files: Mapping[str, str] | None = None) -> Work:
        """Work whose input bundle is at the gateway."""
        source = self.folder / f"input-{next(self.salts)}"
        source.mkdir()
        for name, content in (files or {"hello.txt": "hello"}).items():
            (source / name).write_text(content)
        bundle = bundle_paths([(path.name, path) for path in source.iterdir()], Allowance(1 << 20)).content()
        blob = self.client_api.put_blob(bundle)
        return Work(command, "5a" * 32, inputs=(Input("/job/in", len(bundle), (blob,)),))

    def order(self, spec: JobSpec, *, uploads: bool = True, posts: bool = True, **changed: object) -> SignedOrder:
        """A signed order, its spec at the gateway and itself on the book, or not."""
        order = Order(
            client=CLIENT.address, classes=2**256 - 1, offer=OfferId(0), gpus=GpuCount(spec.resources.gpus),
            max_seconds=Seconds(120), min_seconds=Seconds(0), max_price=PRICE, min_bond_bps=Bps(0), starts_at=UnixTime(0),
            expires_at=UnixTime(2**40 - 1), tip=TokenUnits(0), opener=OPENER.address, acceptor=ZERO_ADDRESS,
            arbiter=ARBITER.address, spec=bytes32_of(spec.sha256), salt=next(self.salts),
        )  # fmt: skip
        signed = CLIENT.sign_order(replace(order, **changed), self.market.domain)  # type: ignore[arg-type]
        if uploads:
            self.client_api.put_blob(spec.canonical(), public=True)
        if posts:
            self.client_api.post_order(signed)
        return signed

    def open(self, signed: SignedOrder, offer: OfferId) -> Bytes32:
        """Open a lease, as a scheduler would; its id."""
        mined = self.send(OPENER, verbs.open_fills(self.book.market, [Fill(signed, offer, PRICE)]))
        assert any(isinstance(event, e.LeaseOpened) for event in mined.events), mined.events
        return signed.id

    def lease(self, agent: ProviderAgent, *command: str, **changed: object) -> SignedOrder:
        """A lease for this command on the agent's offer, freshly opened."""
        signed = self.order(self.spec(*command), **changed)
        self.open(signed, self.listed(agent))
        return signed

    def countersign(self) -> None:
        """Sign every receipt of a provider that has no signature of the client yet, for whatever seconds it says."""
        for signed in self.gateway.journal.all_orders():
            try:
                receipts = self.client_api.receipts(signed.id)
                for item in receipts:
                    if item.role == "provider" and not any(
                        (other.role, other.receipt) == ("client", item.receipt) for other in receipts
                    ):
                        signature = CLIENT.sign_receipt(item.receipt, self.market.domain)
                        self.client_api.post_receipt(signed.id, item.receipt, "client", signature)
            except GatewayError:
                continue  # closed meanwhile, or not there yet: the next look will tell

    # The chain

    def send(self, key: Key, call: verbs.Call) -> Mined:
        return Sender(self.chain, key).send(call)

    def fund(self, key: Key) -> None:
        """Free balance FUNDS for the key's account."""
        for call in (
            verbs.mint(self.book.token, key.address, FUNDS),
            verbs.approve(self.book.token, self.book.market, FUNDS),
            verbs.deposit(self.book.market, key.address, FUNDS),
        ):
            self.send(key, call)

    def status(self, lease: Bytes32) -> LeaseStatus:
        return self.market.lease_of(lease).status

    def jump(self, seconds: int) -> None:
        """Let so many seconds of block time pass at once."""
        self.chain.rpc("evm_setNextBlockTimestamp", self.chain.head().timestamp + seconds)
        mine(self.chain)

    def events(self, kind: type[e.Event], lease: Bytes32) -> list[e.Event]:
        """What happened to the lease on the chain, so far."""
        mine(self.chain)  # anvil shows the state of a block a moment before its logs
        follower = EventFollower(self.chain, self.book.market, confirmations=1)
        past = follower.history(self.book.deployed_at_block, self.chain.head().number)
        return [event for event in past if isinstance(event, kind) and getattr(event, "lease", None) == lease]

    def result(self, lease: Bytes32) -> Result:
        """The result document behind the last event that names one."""
        (settled,) = self.events(e.LeaseSettled, lease)
        assert isinstance(settled, e.LeaseSettled)
        told = self.client_api.outputs(lease)
        assert sha256_of(told.content) == settled.result[2:]
        return told.result

    def log_of(self, lease: Bytes32) -> str:
        return self.client_api.fetch_blob(self.result(lease).log.sha256, lease=lease).decode()

    def check_paid_once(self, signed: SignedOrder, used: int) -> None:
        """Every balance is what it was, but for E(used), to the unit; nothing is locked any more."""
        earned = earned_rounded_down(PRICE, signed.order.gpus, Seconds(used))

        now = self.chain.head()
        held = self.market.balances_of([PROVIDER.address, CLIENT.address], now)
        got = held[PROVIDER.address] - FUNDS, FUNDS - held[CLIENT.address]
        assert self.market.lease_of(signed.id, now).status is LeaseStatus.CLOSED
        assert got == (earned, earned), f"{got} for {earned}"

    def close(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stdin
            process.stdin.close()
        for agent in self.agents:
            agent.close()
            for line in agent._tools.gateways:
                line.api.close()
            agent._tools.journal.close()
            agent._tools.chain.close()
        self.client_api.close()
        self.chain.close()


def build_agent(
    rpc_url: str,
    book: AddressBook,
    gateway_url: str,
    home: Path,
    inventory: str,
    policy: Mapping[str, int],
    steers: Steers | None = None,
    rig: GpuRig | None = None,
    spv: Address | None = None,
) -> ProviderAgent:
    """An agent as `bourse provider up` builds it; ``steers`` makes what it is steered by."""
    chain = Chain([rpc_url])
    market = MarketContract(chain, book.market, deployed_at_block=book.deployed_at_block, spv_factory=book.spv_factory)
    home.mkdir(parents=True, exist_ok=True)
    journal = AgentJournal(f"sqlite:///{home}/agent.sqlite")
    gateways = tuple(
        GatewayLine.to(
            GatewayApi(
                url, key=PROVIDER, domain=market.domain, block_time=lambda: chain.head().timestamp,
                retries=Retries(attempts=1), account=spv,
            )
        )
        for url in gateway_url.split()
    )  # fmt: skip
    tools = Toolbox(
        chain=chain, market=market, follower=EventFollower(chain, book.market, confirmations=1),
        sender=Sender(chain, PROVIDER, journal.outbox), key=PROVIDER, journal=journal, gateways=gateways,
        executor=BubblewrapExecutor(load_runtime(ROOT / ".runtime"), records=home / "jobs", cgroups=find_cgroups()),
        home=AgentHome(home),
        policy=replace(AgentPolicy.for_terms(market.terms()), **policy), pools=ChorePools.separate(), rig=rig or GpuRig(), spv=spv,
    )  # fmt: skip
    declared = read_inventory(inventory.encode(), decimals=6, recipient=recipient_in(home), seen=tools.rig.seen)
    return ProviderAgent(tools, declared, steers(journal.desk, declared) if steers else None)
