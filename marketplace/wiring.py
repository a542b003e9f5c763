"""From settings to objects. Every process of the market is put together here and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import AddressBook
from marketplace.chain.events import EventFollower
from marketplace.chain.keystore import load_key
from marketplace.chain.market import Market as ChainMarket
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.client.api import GatewayApi
from marketplace.client.market import Market
from marketplace.config import Settings
from marketplace.daemon import Stop, run_forever
from marketplace.domain.classes import load_classes
from marketplace.domain.ids import address
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
from marketplace.services.books import Books, read_books
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.operator import OperatorJournal
from marketplace.telemetry import configure_logging
from scheduler.engine.policy import Policy
from scheduler.service import SchedulerService

RUNTIME_FOLDER = Path(__file__).resolve().parents[1] / ".runtime"
"""Where `make setup` puts the job runtime."""


def open_key(settings: Settings) -> Key:
    """The key of this process, from its keystore and password file."""
    settings.require("keystore", "keystore_password_file")
    assert settings.keystore, "required above"
    assert settings.keystore_password_file, "required above"
    return load_key(settings.keystore, settings.keystore_password_file)


def open_chain_market(settings: Settings) -> ChainMarket:
    """The market that the address book names, on the chain that it names. Raises ConfigError, WrongChain, ChainUnavailable."""
    settings.require("rpc_urls", "address_book")
    book = open_address_book(settings)
    chain = Chain(settings.rpc_urls)
    chain.require_chain_id(book.chain_id)
    return ChainMarket(chain, book.market, deployed_at_block=book.deployed_at_block)


def open_address_book(settings: Settings) -> AddressBook:
    """Where the market lives."""
    settings.require("address_book")
    assert settings.address_book, "required above"
    return AddressBook.read(settings.address_book)


def open_market(settings: Settings, *, stop: Stop | None = None) -> Market:
    """The SDK's market for the key of these settings."""
    settings.require("gateway_url", "rpc_urls")
    book = AddressBook.read(settings.address_book) if settings.address_book else None
    return Market.connect(
        settings.gateway_url, settings.rpc_urls, open_key(settings), settings.home,
        address_book=book, confirmations=settings.confirmations, stop=stop,
    )  # fmt: skip


def audit(settings: Settings) -> Books:
    """The market's books from its events, and whether the chain agrees."""
    market = open_chain_market(settings)
    try:
        return read_books(market, EventFollower(market.chain, market.address, confirmations=1))
    finally:
        market.chain.close()


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
    run_forever(projector.step, "indexer", Stop().on_signals(), wait=_until_nudged(board, "orders"))


def run_scheduler(settings: Settings) -> None:
    """Clear the market and keep its deadlines until SIGTERM."""
    configure_logging("scheduler")
    settings.require("redis_url", "journal_url", "blobs_url")
    market, journal = open_chain_market(settings), OperatorJournal(settings.journal_url)
    board, blobs = Board(settings.redis_url), FolderBlobs(settings.blobs_url)
    sender = Sender(market.chain, open_key(settings), journal.outbox)
    service = SchedulerService(board, journal, market, sender, blobs, Policy(), classes=load_classes())
    run_forever(service.step, "scheduler", Stop().on_signals(), wait=_until_nudged(board, "chain"))


def run_provider(settings: Settings, inventory: Path) -> None:
    """Offer this inventory and serve leases until SIGTERM."""
    configure_logging("provider")
    settings.require("gateway_url")
    market, key, stop = open_chain_market(settings), open_key(settings), Stop().on_signals()
    settings.home.mkdir(parents=True, exist_ok=True)
    journal = AgentJournal(f"sqlite:///{settings.home.resolve()}/agent.sqlite")
    declared = load_inventory(inventory, decimals=market.terms().token_decimals)
    api = GatewayApi(
        settings.gateway_url, key=key, domain=market.domain, block_time=lambda: market.chain.head().timestamp
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
        run_forever(agent.step, "provider", stop)
    finally:
        agent.close()


def _until_nudged(board: Board, hint: str) -> Callable[[float], object]:
    """An idle wait that ends when somebody nudges: work is pushed, and the period is only the fallback."""
    return lambda seconds: board.wait_nudge(hint, timeout_seconds=seconds)
