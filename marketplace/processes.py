"""The processes of the market, each put together from settings here and nowhere else.

Apart from ``wiring`` because of what it imports: the command line's everyday verbs start twice as fast without the servers' libraries.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from marketplace.chain.blocks import Chain
from marketplace.chain.events import EventFollower
from marketplace.chain.transactions import Sender
from marketplace.client.api import GatewayApi
from marketplace.config import Settings
from marketplace.daemon import Step, Stop, run_forever
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import ChainError, ToolMissing
from marketplace.domain.ids import address
from marketplace.domain.models import BlockRef
from marketplace.domain.wake import NextWake
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.server import serve
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.chores import ChorePool
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.home import AgentHome
from marketplace.provider.inventory import load_inventory
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.runtime import load_runtime
from marketplace.provider.toolbox import Toolbox
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.operator import OperatorJournal
from marketplace.telemetry import configure_logging
from marketplace.wiring import open_address_book, open_chain_market, open_key
from scheduler.engine.clear import Auctioneer, hold_here
from scheduler.engine.policy import Policy
from scheduler.service import SchedulerService

RUNTIME_FOLDER = Path(__file__).resolve().parents[1] / ".runtime"
"""Where `make setup` puts the job runtime."""


_SLICE_SECONDS = 0.25
"""How late a block may be noticed while waiting for a nudge."""


def run_gateway(settings: Settings, host: str, port: int) -> None:
    """Serve HTTP until SIGTERM."""
    configure_logging("gateway")
    settings.require("redis_url", "journal_url", "blobs_url", "opener", "arbiter")
    market, book = open_chain_market(settings), open_address_book(settings)
    roles = MarketRoles(
        book.catalogue,
        address(settings.opener, field="BOURSE_OPENER"),
        address(settings.arbiter, field="BOURSE_ARBITER"),
    )
    desks = desks_over(
        market,
        OperatorJournal(settings.journal_url),
        Board(settings.redis_url),
        FolderBlobs(settings.blobs_url),
        roles,
        clock=time.time,  # noqa: TID251  tells how old the chain's head is; decides about nothing
    )
    serve(create_app(desks), host, port)


def run_indexer(settings: Settings) -> None:
    """Keep the projection until SIGTERM."""
    configure_logging("indexer")
    settings.require("redis_url", "journal_url", "blobs_url")
    market, board = open_chain_market(settings), Board(settings.redis_url)
    follower = EventFollower(market.chain, market.address, confirmations=settings.confirmations)
    journal, blobs = OperatorJournal(settings.journal_url), FolderBlobs(settings.blobs_url)
    opener = address(settings.opener, field="BOURSE_OPENER") if settings.opener else None
    projector = Projector(follower, journal, blobs, board, market.terms(), opener=opener)
    blocks, stop = EachBlock(market.chain), Stop().on_signals()
    run_forever(lambda: blocks.step(projector.step), "indexer", stop, wait=blocks.until_nudged(board, "orders", stop))


def run_scheduler(settings: Settings, *, on_ray: bool = False) -> None:
    """Clear the market and keep its deadlines until SIGTERM."""
    configure_logging("scheduler")
    settings.require("redis_url", "journal_url", "blobs_url")
    auctioneer = _auctioneer_on(settings.ray_address) if on_ray else hold_here
    market, journal = open_chain_market(settings), OperatorJournal(settings.journal_url)
    board, blobs = Board(settings.redis_url), FolderBlobs(settings.blobs_url)
    sender = Sender(market.chain, open_key(settings), journal.outbox)
    service = SchedulerService(
        board, journal, market, sender, blobs, Policy(), classes=load_classes(), auctioneer=auctioneer
    )
    run_forever(service.step, "scheduler", Stop().on_signals(), wait=_until_nudged(board, "chain"))


def _auctioneer_on(ray_address: str) -> Auctioneer:
    """Ray is large and optional: only who asks for it imports it."""
    try:
        from scheduler.ray_auction import RayAuctioneer
    except ModuleNotFoundError as absent:
        raise ToolMissing("ray", "pip install 'compute-bourse[ray]'") from absent
    return RayAuctioneer(ray_address)


def run_provider(settings: Settings, inventory: Path) -> None:
    """Offer this inventory and serve leases until SIGTERM."""
    configure_logging("provider")
    settings.require("gateway_url")
    market, key, stop = open_chain_market(settings), open_key(settings), Stop().on_signals()
    settings.home.mkdir(parents=True, exist_ok=True)
    journal = AgentJournal(f"sqlite:///{settings.home.resolve()}/agent.sqlite")
    declared = load_inventory(inventory, decimals=market.terms().token_decimals)
    api = GatewayApi(
        settings.gateway_url, key=key, domain=market.domain, block_time=lambda: market.chain.paced_head().timestamp
    )
    tools = Toolbox(
        chain=market.chain,
        market=market,
        follower=EventFollower(market.chain, market.address, confirmations=settings.confirmations),
        sender=Sender(market.chain, key, journal.outbox),
        key=key,
        journal=journal,
        api=api,
        executor=BubblewrapExecutor(load_runtime(RUNTIME_FOLDER), cgroups=find_cgroups()),
        home=AgentHome(settings.home),
        policy=AgentPolicy.for_terms(market.terms()),
        pool=ChorePool(),
    )
    agent = ProviderAgent(tools, declared)
    try:
        run_forever(agent.step, "provider", stop, wait=lambda seconds: agent.wait(seconds, stop))
    finally:
        agent.close()


def _until_nudged(board: Board, hint: str) -> Callable[[float], object]:
    """An idle wait that ends when somebody nudges: work is pushed, and the period is only the fallback."""
    return lambda seconds: board.wait_nudge(hint, timeout_seconds=seconds)


class EachBlock:
    """Runs a step with every block: an idle wait that ends with a new one, which costs a call of the node and no more."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._head: BlockRef | None = None

    def step(self, step: Step) -> NextWake:
        """One step, and a note of the head before it: what came while it ran is new."""
        self._head = self._chain.paced_head()
        return step()

    def until_nudged(self, board: Board, hint: str, stop: Stop) -> Callable[[float], object]:
        """The wait: for a nudge, a block other than the step's, ``stop``, or the end of its time."""

        def wait(seconds: float) -> None:
            deadline = time.monotonic() + seconds
            while (left := deadline - (now := time.monotonic())) > 0:
                is_nudged = board.wait_nudge(hint, timeout_seconds=min(_SLICE_SECONDS, left))
                # Without Redis that ends at once: the step says so, and is tried again more and more slowly.
                is_away = time.monotonic() - now < min(_SLICE_SECONDS, left) / 2
                if is_nudged or is_away or stop.is_set() or self._has_new_head():
                    return

        return wait

    def _has_new_head(self) -> bool:
        """Also where the node does not answer: the step that follows says so, and backs off."""
        try:
            return self._chain.paced_head() != self._head
        except ChainError:
            return True
