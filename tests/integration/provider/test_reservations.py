"""A reservation from the book to its end: opened by the provider's own agent, begun when it says, and paid for from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from marketplace.chain import verbs
from marketplace.chain.events import EventFollower
from marketplace.domain import events as e
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds, UnixTime
from marketplace.provider.agent import ProviderAgent
from marketplace.services.projection import Projector
from tests.integration.provider.stage import CLIENT, INVENTORY, OPENER, PRICE, Stage

RESERVE = """
[[reserve]]
classes = ["RTX4090"]
longest = "1h"
lead = "1h"
price = "36"
guaranteed_bps = 1000
"""
LEAD, TERM, GUARANTEED = 60, 600, 60


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


def test_a_gateway_that_is_away_before_the_term_begins_costs_nobody_anything(stage: Stage) -> None:
    """A term lease cannot be declined, so what is not there yet is waited for until it begins, and only then given up (P-21)."""
    agent = stage.agent(inventory=INVENTORY + RESERVE, fetch_patience_seconds=2)
    with indexed(stage) as step:
        stage.listed(agent)
        signed = reserved(stage)
        until(stage, agent, step, lambda: stage.status(signed.id) is LeaseStatus.OPEN, "it is opened")
        stage.gateway.stop()
        before = stage.market.lease_of(signed.id).opened_at
        stage.until(agent, lambda: stage.chain.head().timestamp > before + LEAD // 2, "the start grace has passed")
        (serving,) = stage.journal(agent).servings()
        assert (serving.state, serving.note) == (ServingState.SEEN, "")
        stage.gateway.start()
        until(stage, agent, step, lambda: stage.journal(agent).servings(ServingState.RUNNING), "it runs")
