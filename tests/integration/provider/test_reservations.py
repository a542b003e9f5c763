"""A reservation from the book to its end: opened by the provider's own agent, begun when it says, and paid for from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from marketplace.api.fields import Uint
from marketplace.api.orders import OrderDocument
from marketplace.api.record import BlockTold, to_json
from marketplace.api.reservations import ReservationPage, ReservationTold
from marketplace.chain import verbs
from marketplace.chain.events import EventFollower
from marketplace.client import JobRequest, Market
from marketplace.client.trust import TrustRoots
from marketplace.domain import events as e
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds, UnixTime
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.inventory import Inventory
from marketplace.provider.inventory_file import InventoryFile
from marketplace.provider.reserving import ReserveRefusal
from marketplace.provider.steering import Steering
from marketplace.services.projection import Projector
from marketplace.store.journal.wishes import WishTable
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import ARBITER, CLIENT, INVENTORY, OPENER, PRICE, PROVIDER, Stage

RESERVE = """
[[reserve]]
classes = ["RTX4090"]
longest = "1h"
lead = "1h"
price = "36"
guaranteed_bps = 1000
"""
LEAD, TERM, GUARANTEED, UPFRONT = 60, 600, 60, 30
SLICE, PATIENCE = 5, 5


@contextmanager
def indexed(stage: Stage) -> Iterator[Callable[[], object]]:
    """The gateway's projection of the chain: a step of it, as often as it is called."""
    projector = Projector(
        EventFollower(stage.chain, stage.book.market, confirmations=1), stage.gateway.journal, stage.gateway.blobs,
        stage.gateway.board, stage.market.terms(), opener=OPENER.address,
    )  # fmt: skip
    yield projector.step


def reserved(stage: Stage, **changed: object) -> SignedOrder:
    """A session from in a minute on, on the gateway's book."""
    at = UnixTime(stage.chain.head().timestamp + LEAD)
    spec = stage.spec(work={"entrypoint": "session"}, session=SessionTerms())
    terms = {
        "starts_at": at, "expires_at": at, "opener": ZERO_ADDRESS, "max_seconds": Seconds(TERM), "min_seconds": Seconds(GUARANTEED),
    } | changed  # fmt: skip
    return stage.order(spec, **terms)


def until(
    stage: Stage, agent: ProviderAgent, step: Callable[[], object], condition: Callable[[], object], what: str, *, signs: bool = False
) -> None:  # fmt: skip
    """Agent and indexer go on until it is so."""

    def each() -> None:
        agent.step()
        step()
        if signs:
            stage.countersign()

    stage.clock.until(condition, what, each=each)


def test_a_reservation_is_opened_by_its_provider_and_metered_from_its_beginning(stage: Stage) -> None:
    """Of two orders the one that keeps the inventory's rules is opened, holds its GPU before it begins, runs no second early, and costs what ran."""
    agent = stage.agent(inventory=INVENTORY + RESERVE)
    with indexed(stage) as step:
        stage.listed(agent)
        too_loose, signed = reserved(stage, min_seconds=Seconds(1)), reserved(stage)
        until(stage, agent, step, lambda: stage.status(signed.id) is LeaseStatus.OPEN, "it is opened")
        lease = stage.market.lease_of(signed.id)
        offer = stage.market.offer_of(lease.offer)
        assert offer
        assert (offer.gpus - offer.free, lease.price) == (1, PRICE)
        assert lease.opened_at < signed.order.starts_at
        assert stage.status(too_loose.id) is LeaseStatus.NONE
        stage.jump(signed.order.starts_at - stage.chain.head().timestamp - 2)
        until(stage, agent, step, lambda: stage.journal(agent).servings(ServingState.RUNNING), "it runs")
    (serving,) = stage.journal(agent).servings(ServingState.RUNNING)
    assert serving.updated_at >= signed.order.starts_at
    assert serving.lost_seconds == 0
    stage.jump(GUARANTEED)
    stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
    stage.until(agent, lambda: not stage.is_serving(agent), "it is over")

    (ended,) = stage.events(e.LeaseTerminated, signed.id)
    assert isinstance(ended, e.LeaseTerminated)
    assert ended.paid_seconds == ended.ref.block.timestamp - signed.order.starts_at
    stage.check_paid_once(signed, ended.paid_seconds)


def test_a_reservation_that_was_there_before_the_offer_is_opened(stage: Stage) -> None:
    """Left while no offer of ours was of its class, it is judged anew when one stands."""
    path = stage.folder / "inventory.toml"
    path.write_text(INVENTORY.replace("RTX4090", "H100-SXM-80GB") + RESERVE)

    def steers(desk: WishTable, _: Inventory) -> Steering:
        file = InventoryFile(path, decimals=6)
        return Steering(desk, file.inventory, file=file)

    agent = stage.agent(steers=steers)
    with indexed(stage) as step:
        stage.listed(agent)
        signed = reserved(stage)
        until(stage, agent, step, lambda: agent._housekeeping._reservations._known, "it is left to others")
        assert stage.status(signed.id) is LeaseStatus.NONE
        path.write_text(INVENTORY + RESERVE)
        until(stage, agent, step, lambda: stage.status(signed.id) is LeaseStatus.OPEN, "it is opened")

    assert stage.market.lease_of(signed.id).opened_at < signed.order.starts_at


def test_a_gateway_that_is_away_before_the_term_begins_costs_nobody_anything(stage: Stage) -> None:
    """A term lease cannot be declined, so what is not there yet is waited for until it begins, and only then given up (P-21)."""
    agent = stage.agent(inventory=INVENTORY + RESERVE, fetch_patience_seconds=2)
    with indexed(stage) as step:
        stage.listed(agent)
        signed = reserved(stage)
        until(stage, agent, step, lambda: stage.status(signed.id) is LeaseStatus.OPEN, "it is opened")
        stage.gateway.stop()
        before = stage.market.lease_of(signed.id).opened_at
        stage.until(agent, lambda: stage.journal(agent).servings(), "it is seen")
        stage.jump(before + 2 * LEAD // 3 - stage.chain.head().timestamp)
        stage.until(agent, lambda: agent.head == stage.chain.head(), "the start grace has passed")
        (serving,) = stage.journal(agent).servings()
        assert (serving.state, serving.note) == (ServingState.SEEN, "")
        stage.gateway.start()
        until(stage, agent, step, lambda: stage.journal(agent).servings(ServingState.RUNNING), "it runs")


@contextmanager
def sdk_client(stage: Stage) -> Iterator[Market]:
    """The client's own market, by the SDK."""
    market = Market.connect(
        stage.gateway.url, [stage.rpc_url], CLIENT, stage.folder / "client", address_book=stage.book,
        roots=TrustRoots(OPENER.address, ARBITER.address),
    )  # fmt: skip
    try:
        yield market
    finally:
        market.close()


def test_a_client_prepays_signs_slice_by_slice_and_is_claimed_from_when_it_stops(stage: Stage) -> None:
    """What was promised up front is paid before the term begins, each slice while the client's watcher is there; without it the provider serves on
    as far as is guaranteed and a slice and its patience further, stops, and claims."""
    agent = stage.agent(inventory=INVENTORY + RESERVE, slice_seconds=SLICE, patience_seconds=PATIENCE)
    with indexed(stage) as step, sdk_client(stage) as market:
        stage.listed(agent)
        step()
        request = JobRequest(
            command=(), session=SessionTerms(), gpus_of=("RTX4090",), max_price=PRICE, max_time=Seconds(TERM), retries=0,
            min_time=Seconds(GUARANTEED), starts_at=UnixTime(stage.chain.head().timestamp + LEAD), upfront=Seconds(UPFRONT),
            memory_mib=256, disk_mib=64,
        )  # fmt: skip
        job = market.submit(request)
        (lease,) = job.orders

        def client_too() -> None:
            step()
            for _ in market.steps(0):
                pass

        until(stage, agent, client_too, lambda: stage.market.lease_of(lease).paid_seconds == UPFRONT, "it is prepaid")
        assert stage.chain.head().timestamp < request.starts_at
        stage.jump(request.starts_at + GUARANTEED - stage.chain.head().timestamp)
        until(
            stage, agent, client_too, lambda: stage.market.lease_of(lease).paid_seconds > GUARANTEED, "slices are paid"
        )
        signed = stage.market.lease_of(lease).paid_seconds
        until(stage, agent, step, lambda: stage.status(lease) is LeaseStatus.CLAIMED, "it is claimed")

    claimed = stage.market.lease_of(lease)
    assert claimed.paid_seconds >= signed
    assert claimed.claimed_seconds < TERM
    assert claimed.claimed_seconds - claimed.paid_seconds >= SLICE + PATIENCE
    assert "not signed for" in stage.journal(agent).servings()[0].note


def test_a_job_that_ends_before_what_it_guarantees_costs_that(stage: Stage) -> None:
    """The GPUs were held for it: ending it from inside is no way around the guarantee."""
    agent = stage.agent(inventory=INVENTORY + RESERVE)
    with indexed(stage) as step:
        stage.listed(agent)
        at = UnixTime(stage.chain.head().timestamp + LEAD)
        signed = stage.order(
            stage.spec("true"),
            starts_at=at,
            expires_at=at,
            opener=ZERO_ADDRESS,
            max_seconds=Seconds(TERM),
            min_seconds=Seconds(GUARANTEED),
        )
        until(stage, agent, step, lambda: stage.status(signed.id) is LeaseStatus.OPEN, "it is opened")
        stage.jump(LEAD)
        until(stage, agent, step, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "it is settled", signs=True)

    stage.check_paid_once(signed, GUARANTEED)


def test_a_reservation_that_a_gateway_made_up_costs_no_gas(stage: Stage) -> None:
    """Its id and its signature are the agent's own to check: nothing is sent for an order that its client has not signed, whoever shows it."""
    with hostile(stage.gateway.url) as gateway, indexed(stage) as step:
        agent = stage.agent(gateway_url=gateway.url, inventory=INVENTORY + RESERVE)
        stage.listed(agent)
        true = reserved(stage)
        made_up = replace(true.order, max_seconds=Seconds(TERM - 1))
        shown = ReservationTold(true.id, OrderDocument.of(made_up), true.signature, true.order.expires_at, Uint(0))
        page = to_json(ReservationPage([shown], BlockTold.of(stage.chain.head())))
        gateway.lie = lambda method, path: (200, page) if path.startswith("/v1/reservations") else None
        before = nonce_of(stage)
        until(stage, agent, step, lambda: agent._housekeeping._reservations._known, "it is judged")
        (word,) = agent._housekeeping._reservations._known.values()
        assert (word.reason, nonce_of(stage)) == (ReserveRefusal.NOT_SIGNED, before)
        gateway.lie = lambda *_: None
        until(stage, agent, step, lambda: stage.status(true.id) is LeaseStatus.OPEN, "the true one is opened")


def nonce_of(stage: Stage) -> int:
    """How many transactions the provider has sent."""
    return int(stage.chain.rpc("eth_getTransactionCount", PROVIDER.address, "latest"), 16)
