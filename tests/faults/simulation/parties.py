"""The real objects as processes that can die: each is built from its journal, stepped, thrown away, and built again."""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from time import monotonic, time
from typing import Any, TypeVar

import marketplace.client.session as client_session
from marketplace.api.client.gateway import GatewayApi
from marketplace.api.client.http import Retries
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Mined, Sender
from marketplace.chain.verbs import Call
from marketplace.client import Market
from marketplace.client.journal import JobJournal
from marketplace.client.session import ClientSession
from marketplace.client.trust import TrustRoots
from marketplace.domain.chain_errors import TransactionNotMined
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.policy import Policy
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.server import server_for
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.chores import ChorePool, ChorePools
from marketplace.provider.gateways import GatewayLine
from marketplace.provider.home import AgentHome
from marketplace.provider.inventory import read_inventory
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.toolbox import Toolbox
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.operator import OperatorJournal
from scheduler.service import SchedulerService
from tests.faults.simulation.executor import BlockTimeExecutor
from tests.faults.simulation.mortality import Killed, Life, MortalChain, MortalLine, living, watch_server
from tests.faults.simulation.world import ARBITER, OPENER, World
from tests.ports import free_port

INVENTORY = f"""
region = "eu"
cpus = 8
memory_mib = 65536
disk_mib = 65536

[[offer]]
gpu = "RTX4090"
count = 2
price = "36"
bond_bps = 1000
arbiter = "{ARBITER.address}"
days = 30
"""


T = TypeVar("T")


class SteppedSender(Sender):
    """The real sender; who waits for it lets the world go on, block by block, for as long as the seed is patient."""

    world: World
    life: Life
    sent = 0

    def send(self, call: Call, *, wait_seconds: int = 0, **more: Any) -> Mined:
        self.sent += 1
        patience = self.world.dice.of("patience", self.life.name, self.sent).choice((0, 0, 1, 2, 3))
        while True:
            try:
                return super().send(call, wait_seconds=0, **more)
            except TransactionNotMined:
                if patience == 0:
                    raise
            patience -= 1
            self.world.block()

    def recover(self, *, wait_seconds: int = 0) -> tuple[Mined, ...]:
        return super().recover(wait_seconds=0)


class Party(ABC):
    """One process. ``step`` is one turn of its daemon's loop; ``die`` what kill -9 leaves of it."""

    def __init__(self, name: str, world: World, confirmations: int) -> None:
        self.name, self.world, self.confirmations = name, world, confirmations
        self.life = Life(name)
        self.is_up = False
        self.crashes: list[str] = []
        self.sender: Sender | None = None
        self._opened = ExitStack()

    def step(self) -> None:
        """One turn, as ``daemon.run_forever`` takes it; a process that is down is started first."""
        self.run(self._turn)

    def run(self, work: Callable[[], T]) -> T | None:
        """Run something in this process; None where that failed or killed it. What fails as it may is said, else noted as a crash."""
        try:
            with living(self.life):
                if not self.is_up:
                    self._build()
                    self.is_up = True
                return work()
        except Killed as point:
            self.world.history.met("kill", str(point))
            self.die()
        except MarketplaceError as error:
            self.world.history.say(f"  {self.name}: {type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  the daemon's loop catches it, too; here it is one of the findings
            self.crashes.append(f"{self.name}: {type(error).__name__}: {error}")
            self.world.history.say(f"  CRASH {self.crashes[-1]}")
            self._crashed(error)
        if not self.is_up:
            self.die()
        return None

    def _crashed(self, error: Exception) -> None:
        for line in traceback.format_exception(error)[-6:]:
            self.world.history.say("    | " + line.rstrip().replace("\n", "\n    | "))

    def die(self) -> None:
        """The process is gone: what it held open is closed by the kernel, what it had in memory is lost."""
        self.life.armed = ""
        self._opened.close()
        self._opened = ExitStack()
        self.is_up = False

    def _chain(self) -> MortalChain:
        lines = (self.name, f"{self.name}-b") if self.world.has_two_nodes else (self.name,)
        chain = MortalChain([self.world.node.url(line) for line in lines], self.life)
        self._opened.callback(chain.close)
        self.world.chains.add(chain)
        return chain

    def _market(self) -> MarketContract:
        return MarketContract(
            self._chain(), self.world.book.market, deployed_at_block=self.world.book.deployed_at_block
        )

    def _sender(self, market: MarketContract, key: Key, outbox: Any) -> Sender:
        sender = SteppedSender(market.chain, key, outbox, confirmations=self.confirmations)
        sender.world, sender.life = self.world, self.life
        return sender

    def _operator_stores(self) -> tuple[OperatorJournal, Board, FolderBlobs]:
        journal, board = OperatorJournal(f"sqlite:///{self.world.folder}/operator.sqlite"), Board(self.world.redis.url)
        self._opened.callback(journal.close)
        self._opened.callback(board.close)
        return journal, board, FolderBlobs(self.world.folder / "blobs")

    @abstractmethod
    def _build(self) -> None: ...

    @abstractmethod
    def _turn(self) -> Any: ...


class SchedulerParty(Party):
    """A scheduler with its keeper."""

    def _build(self) -> None:
        market = self._market()
        self.journal, board, blobs = self._operator_stores()
        self.sender = self._sender(market, OPENER, self.journal.outbox)
        self.service = SchedulerService(
            board, self.journal, market, self.sender, blobs, Policy(), classes=load_classes(), wait_seconds=0
        )

    def _turn(self) -> Any:
        return self.service.step()


class IndexerParty(Party):
    """An indexer."""

    def _build(self) -> None:
        market = self._market()
        journal, board, blobs = self._operator_stores()
        follower = EventFollower(market.chain, market.address, confirmations=self.confirmations)
        self.projector = Projector(follower, journal, blobs, board, market.terms(), opener=OPENER.address)

    def _turn(self) -> Any:
        for _ in range(20):
            if self.projector.step().within_seconds > 0:
                return


class SteppedPool(ChorePool):
    """Chores run when the world says, on its thread."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, work))
        return future

    def abandon(self, future: Future[Any]) -> None:
        """What waits is never begun; nothing runs while anybody could abandon it."""
        future.cancel()

    def run(self) -> None:
        """Run what waits, and what that brings."""
        while self.waiting:
            future, work = self.waiting.pop(0)
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001  as a thread pool does
                future.set_exception(error)

    def close(self) -> None:
        self.waiting.clear()


class AgentParty(Party):
    """A provider's agent."""

    def __init__(self, name: str, world: World, confirmations: int, key: Key, gateway_url: str) -> None:
        super().__init__(name, world, confirmations)
        self.key, self.gateway_url = key, gateway_url
        self.turns = 0

    def _build(self) -> None:
        market, home = self._market(), self.world.folder / self.name
        home.mkdir(exist_ok=True)
        self.journal = AgentJournal(f"sqlite:///{home}/agent.sqlite")
        self._opened.callback(self.journal.close)
        chain, self.pool = market.chain, SteppedPool()
        self.executor = BlockTimeExecutor(lambda: self.world.now)
        api = GatewayApi(
            self.gateway_url, key=self.key, domain=market.domain, block_time=lambda: chain.head().timestamp,
            retries=Retries(attempts=1), transport=MortalLine(self.life),
        )  # fmt: skip
        self._opened.callback(api.close)
        folder = AgentHome(home)
        self._opened.callback(folder.close)
        self.sender = self._sender(market, self.key, self.journal.outbox)
        follower = EventFollower(chain, market.address, confirmations=self.confirmations)
        tools = Toolbox(
            chain=chain, market=market, follower=follower, sender=self.sender, key=self.key, journal=self.journal,
            gateways=(GatewayLine(api, self.pool, self.pool),),
            executor=self.executor, home=folder, policy=AgentPolicy.for_terms(market.terms()),
            pools=ChorePools(self.pool, self.pool),
        )  # fmt: skip
        self.agent = ProviderAgent(tools, read_inventory(INVENTORY.encode(), decimals=6))

    def _turn(self) -> Any:
        self.turns += 1
        self.agent.step()
        if self.world.dice.of("chores", self.name, self.turns).random() < 0.85:
            self.pool.run()
            self.agent.step()


class ClientParty(Party):
    """A client with its journal: the SDK's market in a process of its own."""

    def __init__(self, name: str, world: World, confirmations: int, key: Key, gateway_url: str) -> None:
        super().__init__(name, world, confirmations)
        self.key, self.gateway_url = key, gateway_url

    def _build(self) -> None:
        market, home = self._market(), self.world.folder / self.name
        chain = market.chain
        api = GatewayApi(
            self.gateway_url, key=self.key, domain=market.domain, block_time=lambda: chain.head().timestamp,
            retries=Retries(attempts=1), transport=MortalLine(self.life),
        )  # fmt: skip
        self._opened.callback(api.close)
        book, outbox = JobJournal(home / "jobs.sqlite"), OutboxFile(home / "outbox.sqlite")
        self._opened.callback(book.close)
        self._opened.callback(outbox.close)
        # The SDK makes its own sender; ours is the real one, too, but for who waits.
        setattr(client_session, "Sender", self._sender_for)  # noqa: B010
        try:
            session = ClientSession(
                self.key, market, api, book, home / "results", outbox=outbox, confirmations=self.confirmations
            )
            self.market = Market(session, TrustRoots(OPENER.address, ARBITER.address))
        finally:
            setattr(client_session, "Sender", Sender)  # noqa: B010

    def _sender_for(self, chain: MortalChain, key: Key, *more: Any, **named: Any) -> Sender:
        self.sender = SteppedSender(chain, key, *more, **named)
        self.sender.world, self.sender.life = self.world, self.life
        return self.sender

    def _turn(self) -> Any:
        for _ in self.market.steps(0):
            pass
        self.market.wallet.tend()  # as every command of the command line does


class GatewayParty(Party):
    """The gateway behind uvicorn, in a thread of its own; it has no steps, it is up or down."""

    def __init__(self, name: str, world: World, confirmations: int) -> None:
        super().__init__(name, world, confirmations)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def _build(self) -> None:
        market = self._market()
        journal, board, blobs = self._operator_stores()
        watch_server(self.world.history.lines, self.crashes)
        roles = MarketRoles(self.world.book.catalogue, OPENER.address, ARBITER.address)
        server = server_for(
            create_app(desks_over(market, journal, board, blobs, roles, clock=time)), "127.0.0.1", self.port
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()

        def stop() -> None:
            server.should_exit = server.force_exit = True
            thread.join(20)

        self._opened.callback(stop)
        deadline, pause = monotonic() + 20, threading.Event()
        while not server.started and thread.is_alive() and monotonic() < deadline:
            pause.wait(0.005)

    def _turn(self) -> Any:
        return None
