"""The processes of the market, each put together from settings here and nowhere else.

Apart from ``wiring`` because of what it imports: the command line's everyday verbs start twice as fast without the servers' libraries.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.blocks import Chain
from marketplace.chain.checksums import address_from_text
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.watching import heads_watched
from marketplace.client.trust import roots_of
from marketplace.config import Settings
from marketplace.daemon import GentleStop, Stop
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import ConfigError, ToolMissing
from marketplace.domain.ids import Address
from marketplace.domain.policy import Policy
from marketplace.domain.units import TokenUnits, units_from_text
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.own_page import OwnWord, own_page
from marketplace.gateway.proxies import proxies_in
from marketplace.gateway.server import serve
from marketplace.gateway.static_files import read_folder
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.chores import ChorePools
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.gateways import GatewayLine
from marketplace.provider.gpus.locks import GpuLocks, locks_folder
from marketplace.provider.gpus.picking import uuids_of
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.home import HomeLead, holder_of
from marketplace.provider.inventory import Inventory
from marketplace.provider.inventory_file import InventoryFile
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.runtime import load_runtime
from marketplace.provider.steering import GRACE_SECONDS, Graces, Steering
from marketplace.provider.toolbox import Toolbox
from marketplace.provider.unsealing import recipient_in
from marketplace.relay.doors import doors_over
from marketplace.relay.server import serve_relay
from marketplace.running import Daemon, facts_of, head_seen, key_is_ours_alone, permit_until, transactions_move
from marketplace.services.checks import Check
from marketplace.services.expiry import Sweeper, SweepingProjector
from marketplace.services.leadership import BoardLead, Led, Permit
from marketplace.services.projection import Projector
from marketplace.services.quotas import quotas_over
from marketplace.services.readiness import HeadWatch, projection_follows
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.agent import open_agent_journal
from marketplace.store.journal.operator import OperatorJournal
from marketplace.telemetry import configure_logging
from marketplace.watchdog import Pulse
from marketplace.wiring import open_address_book, open_chain_market, open_key, open_rig, open_sender
from marketplace.workers import serve_by_workers
from scheduler.cluster import ClusterOrHere
from scheduler.engine.auction.bidding import Auctioneer, hold_here
from scheduler.service import SchedulerService

RUNTIME_FOLDER = Path(__file__).resolve().parents[1] / ".runtime"
"""Where `make setup` puts the job runtime."""
PAGE_FOLDER = Path(__file__).resolve().parents[1] / "web/dist"
"""Where `make setup` puts the page; without it a gateway serves none."""

_SLICE_SECONDS = 0.25
"""How late a block may be noticed while waiting for a nudge."""


def run_gateway(settings: Settings, host: str, port: int, workers: int = 1) -> int:
    """Serve HTTP until SIGTERM, by so many processes; the exit status."""
    configure_logging("gateway")
    settings.require("redis_url", "journal_url", "blobs_url", "opener", "arbiter")
    if workers == 1:
        _serve_gateway(settings, host, port)
        return 0
    return serve_by_workers(workers, host, port, lambda listener: _serve_gateway(settings, host, port, listener))


def _serve_gateway(settings: Settings, host: str, port: int, listener: socket.socket | None = None) -> None:
    market, book = open_chain_market(settings), open_address_book(settings)
    roles = MarketRoles(
        book.catalogue,
        address_from_text(settings.opener, field="BOURSE_OPENER"),
        address_from_text(settings.arbiter, field="BOURSE_ARBITER"),
        settings.relay_url,
        book.vaults,
    )
    journal = OperatorJournal(settings.journal_url)
    public = urlsplit(settings.gateway_url)
    site = f"{public.scheme}://{public.netloc}" if public.netloc else f"http://{host}:{port}"
    proxies, least_stake = proxies_in(settings.trusted_proxies), _least_stake(settings, market)
    desks = desks_over(
        market, journal, Board(settings.redis_url), FolderBlobs(settings.blobs_url), roles, clock=_clock, site=site,
        least_stake=least_stake,
    )  # fmt: skip
    desks.readiness.ask("orders")  # once before the first probe, so that the line at the start can tell a block

    def about() -> dict[str, object]:
        head = desks.readiness.head
        return {
            "block": head.number if head else None, "market": market.address, "chain": market.chain.chain_id,
            "journal": journal.kind, "host": host, "port": port,
        }  # fmt: skip

    with heads_watched(market.chain):
        serve(
            create_app(desks, origins=settings.gateway_origins, page=read_folder(PAGE_FOLDER)),
            host,
            port,
            listener=listener,
            about=about,
            proxies=proxies,
        )


def run_own_page(settings: Settings, port: int, *, say: Callable[[str], None]) -> None:
    """Serve the page of this install at 127.0.0.1, over a gateway, until SIGTERM or Ctrl-C. Raises ConfigError where no page was built."""
    settings.require("gateway_url", "address_book")
    book, told = open_address_book(settings), roots_of(settings.opener, settings.arbiter)
    page = read_folder(PAGE_FOLDER)
    if page is None:
        raise ConfigError(["the page is not built: make setup does that"])
    word = OwnWord(
        urlsplit(settings.gateway_url).netloc, book.chain_id, book.market, book.token, told.opener or book.opener, told.arbiter or book.arbiter
    )  # fmt: skip
    say(f"the page of this install, over {settings.gateway_url}: http://127.0.0.1:{port}/ (Ctrl-C ends it)")
    serve(own_page(page, settings.gateway_url, word), "127.0.0.1", port)


def run_relay(settings: Settings, host: str, port: int) -> None:
    """Join those who sit at jobs to their providers, until SIGTERM."""
    configure_logging("relay")
    settings.require("redis_url", "journal_url", "blobs_url")
    journal, blobs = OperatorJournal(settings.journal_url), FolderBlobs(settings.blobs_url)
    serve_relay(doors_over(open_chain_market(settings), journal, Board(settings.redis_url), blobs), host, port)


def _least_stake(settings: Settings, market: MarketContract) -> TokenUnits:
    decimals = market.terms().token_decimals
    return units_from_text(settings.least_stake, decimals, field="BOURSE_LEAST_STAKE")


def run_indexer(settings: Settings, health_port: int | None = None) -> None:
    """Keep the projection until SIGTERM, or stand by while another indexer of this Redis does."""
    configure_logging("indexer")
    settings.require("redis_url", "journal_url", "blobs_url")
    stop, market, board = Stop().on_signals(), open_chain_market(settings), Board(settings.redis_url)
    journal, blobs = OperatorJournal(settings.journal_url), FolderBlobs(settings.blobs_url)
    opener = address_from_text(settings.opener, field="BOURSE_OPENER") if settings.opener else None
    quotas = quotas_over(market, journal.uploads, board)

    def begin(_: Permit) -> SweepingProjector:
        """Its writes are fenced: what a permit could tell, the board does."""
        follower = EventFollower(
            market.chain, market.address, confirmations=settings.confirmations, factory=market.companies.factory
        )
        projector = Projector(follower, journal, blobs, board, market.terms(), opener=opener)
        return SweepingProjector(projector, Sweeper(market, journal, blobs, board, quotas))

    pulse, lead = Pulse(), BoardLead(board.leads, "indexer")
    led = Led(lead, begin, "indexer")
    watch = HeadWatch(_probed(settings, market, health_port).paced_head, _clock)
    checks: dict[str, Check] = {
        "chain": watch.check, "journal": journal.write_probe, "blobs": blobs.write_probe, "redis": board.ping,
        "projection": projection_follows(board, lambda: watch.head),
    }  # fmt: skip
    Daemon(
        "indexer", led, stop, facts_of(led, None, market.address, market.chain.chain_id, journal=journal.kind),
        checks, {"projection": checks.keys()}, pulse, EachBlock(market.chain).until_nudged(board, "orders", stop),
        lead.kept(lambda: not pulse.is_late),
    ).run(health_port)  # fmt: skip


def run_scheduler(settings: Settings, *, on_ray: bool = False, health_port: int | None = None) -> None:
    """Clear the market and keep its deadlines until SIGTERM, or stand by while another scheduler of this account does."""
    configure_logging("scheduler")
    settings.require("redis_url", "journal_url", "blobs_url")
    auctioneer = _auctioneer_on(settings.ray_address) if on_ray else hold_here
    stop, market, key = Stop().on_signals(), open_chain_market(settings), open_key(settings)
    journal, board, blobs = (
        OperatorJournal(settings.journal_url),
        Board(settings.redis_url),
        FolderBlobs(settings.blobs_url),
    )
    pulse, lead = Pulse(), BoardLead(board.leads, f"scheduler:{key.address}")
    sending: list[Sender] = []

    def begin(permit: Permit) -> SchedulerService:
        sending[:] = [open_sender(settings, market, key, journal.outbox)]
        return SchedulerService(
            board, journal, market, sending[0], blobs, Policy(), classes=load_classes(), auctioneer=auctioneer,
            permit=permit_until(stop, pulse, permit),
        )  # fmt: skip

    led = Led(lead, begin, "scheduler")
    watch, sender = HeadWatch(head_seen(led, _probed(settings, market, health_port)), _clock), _last(sending)
    checks: dict[str, Check] = {
        "chain": watch.check, "journal": journal.write_probe, "blobs": blobs.write_probe, "redis": board.ping,
        "projection": projection_follows(board, lambda: watch.head),
        "transactions": transactions_move(sender, lambda: watch.head), "key": key_is_ours_alone(sender),
    }  # fmt: skip
    Daemon(
        "scheduler", led, stop, facts_of(led, key.address, market.address, market.chain.chain_id, journal=journal.kind),
        checks, {"rounds": checks.keys()}, pulse, _until_nudged(board, "chain"), lead.kept(lambda: not pulse.is_late),
    ).run(health_port)  # fmt: skip


def _auctioneer_on(ray_address: str) -> Auctioneer:
    """Ray is large and optional: only a process of its own imports it, for who asks for it."""
    if find_spec("ray") is None:
        raise ToolMissing("ray", "pip install 'compute-bourse[ray]'")
    return ClusterOrHere(ray_address)


def _open_machine(settings: Settings, inventory: Path, decimals: int) -> tuple[GpuRig, GpuLocks, InventoryFile]:
    """The machine's GPUs, and the file that offers some of them, which are this agent's from here on."""
    rig, place = open_rig(settings), settings.gpu_locks or locks_folder()
    rig.look()
    gpus = GpuLocks(place, f"process {os.getpid()}, {settings.home}")

    def hold(found: Inventory) -> None:
        """By UUID, also those that are declared to be something else."""
        gpus.hold(uuids_of(found.gpus, rig.seen))

    recipient = recipient_in(settings.home)
    file = InventoryFile(inventory, decimals=decimals, recipient=recipient, check=hold, rig=rig)
    if not holder_of(settings.home):  # who stands by takes no GPU from the agent that it stands by for
        hold(file.inventory)
    return rig, gpus, file


def operated(market: MarketContract, key: Key, spv: Address | None) -> Address | None:
    """The company that the key operates, if one is named. Raises ConfigError for one that it does not."""
    if spv is None:
        return None
    if not market.companies.is_company(spv):
        raise ConfigError([f"{spv} is no company of the address book's factory ({market.companies.factory or 'none'})"])
    operator = market.companies.speaker_of(spv)
    if operator != key.address:
        raise ConfigError([f"the operator of {spv} is {operator}, this key is {key.address}: its owner sets another"])
    return spv


def _gateway_lines(
    settings: Settings, market: MarketContract, key: Key, spv: Address | None
) -> tuple[GatewayLine, ...]:
    """A provider's lines to its gateways, the preferred one first."""
    assert settings.gateway_url, "required before"
    return tuple(
        GatewayLine.to(
            GatewayApi(
                url, key=key, domain=market.domain, block_time=lambda: market.chain.paced_head().timestamp, account=spv
            )
        )
        for url in (settings.gateway_url, *settings.other_gateways)
    )


def run_provider(
    settings: Settings,
    inventory: Path,
    health_port: int | None = None,
    grace_seconds: float = GRACE_SECONDS,
    spv: Address | None = None,
) -> bool:
    """Offer this inventory, as the company ``spv`` if one is named, and serve leases until a signal or a command asks to leave; stand by while another agent has this home.

    Whether all is finished: no offer is up, and no lease is left that somebody has to come back for."""
    configure_logging("provider")
    settings.require("gateway_url")
    stop = GentleStop()
    stop.on_signals()
    market, key = open_chain_market(settings), open_key(settings)
    company = operated(market, key, spv)
    journal = open_agent_journal(settings.home)
    rig, gpus, file = _open_machine(settings, inventory, market.terms().token_decimals)
    gateways = _gateway_lines(settings, market, key, company)
    home, agents = HomeLead(settings.home), list[ProviderAgent]()
    sender = open_sender(settings, market, key, journal.outbox)

    def begin(_: Permit) -> ProviderAgent:
        assert home.home, "held: that is why we begin"
        gpus.hold(uuids_of(file.inventory.gpus, rig.seen))
        tools = Toolbox(
            chain=market.chain,
            market=market,
            follower=EventFollower(market.chain, market.address, confirmations=settings.confirmations),
            sender=sender,
            key=key,
            journal=journal,
            gateways=gateways,
            executor=BubblewrapExecutor(
                load_runtime(RUNTIME_FOLDER), records=home.home.folder / "jobs", cgroups=find_cgroups()
            ),
            home=home.home,
            policy=AgentPolicy.for_terms(market.terms(), settings.slice_seconds),
            pools=ChorePools.separate(),
            rig=rig,
            spv=company,
        )
        stop.may_ask()
        steering = Steering(
            journal.desk, file.inventory, file=file, leaving=stop, graces=Graces(grace_seconds=grace_seconds)
        )
        agents.append(ProviderAgent(tools, file.inventory, steering))
        return agents[0]

    led = Led(home, begin, "provider")
    watch = HeadWatch(head_seen(led, _probed(settings, market, health_port)), _clock)
    checks: dict[str, Check] = {
        "chain": watch.check, "journal": journal.write_probe,
        "gateway": lambda: (
            None if any(line.api.ready("receipts") for line in gateways) else "none answers, or can take receipts"
        ),
        "transactions": transactions_move(lambda: sender, lambda: watch.head), "key": key_is_ours_alone(lambda: sender),
        "gas": lambda: agents[-1].gas_trouble if agents else None,
    }  # fmt: skip
    money = checks.keys() - {"gateway"}
    try:
        Daemon(
            "provider", led, stop, facts_of(led, key.address, market.address, market.chain.chain_id, journal=journal.kind),
            checks, {"jobs": checks.keys(), "money": money},
            wait=lambda seconds: agents[-1].wait(seconds, stop) if agents else stop.wait(seconds),
        ).run(health_port)  # fmt: skip
    finally:
        for agent in agents:
            agent.close()
        gpus.close()
    return not any(agent.shutdown.has_left_behind for agent in agents)


def _until_nudged(board: Board, hint: str) -> Callable[[float], object]:
    """An idle wait that ends when somebody nudges: work is pushed, and the period is only the fallback."""
    return lambda seconds: board.wait_nudge(hint, timeout_seconds=seconds)


class EachBlock:
    """An idle wait that ends with a block other than the one before the last step, which costs a call of the node and no more."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._head: BlockRef | None = None

    def until_nudged(self, board: Board, hint: str, stop: Stop) -> Callable[[float], object]:
        """The wait: for a nudge, a new block, ``stop``, or the end of its time. A block that came while the step ran ends it at once."""

        def wait(seconds: float) -> None:
            deadline = time.monotonic() + seconds
            while not self._has_new_head() and (left := deadline - (now := time.monotonic())) > 0:
                is_nudged = board.wait_nudge(hint, timeout_seconds=min(_SLICE_SECONDS, left))
                # Without Redis that ends at once: the step says so, and is tried again more and more slowly.
                if is_nudged or stop.is_set() or time.monotonic() - now < min(_SLICE_SECONDS, left) / 2:
                    return

        return wait

    def _has_new_head(self) -> bool:
        """Also where the node does not answer: the step that follows says so, and backs off."""
        before = self._head
        try:
            self._head = self._chain.paced_head()
        except ChainError:
            return True
        return self._head != before


def _probed(settings: Settings, market: MarketContract, health_port: int | None) -> Chain:
    """The chain as probes look at it, with connections of its own: a probe must not switch nodes in the middle of a step."""
    return market.chain if health_port is None else open_chain_market(settings).chain


def _last(made: list[Sender]) -> Callable[[], Sender | None]:
    return lambda: made[-1] if made else None


_clock = time.time  # noqa: TID251  how old the chain's head is, and since when something is so; decides about nothing
