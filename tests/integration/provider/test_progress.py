"""A session is paid slice by slice while it runs: what both sides sign, what the chain pays, and who may be away or killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from marketplace.chain import verbs
from marketplace.domain import events as e
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.spec import JobSpec
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds
from marketplace.provider.agent import ProviderAgent
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import CLIENT, Stage
from tests.integration.provider.test_crashes import Crashing

SLICE = 5
SLACK_SECONDS = 12
"""From a slice's end until its receipt is signed by both and mined, on a slow machine, in block time."""
STEPS = ("progress.signed", "progress.countersigned", "progress.sending")


def a_session(stage: Stage) -> JobSpec:
    return stage.spec(work={"entrypoint": "session"}, session=SessionTerms())


def paid_seconds(stage: Stage, signed: SignedOrder) -> int:
    return stage.market.lease_of(signed.id).paid_seconds


def begun(stage: Stage, agent: ProviderAgent) -> SignedOrder:
    """A session that runs."""
    signed = stage.order(a_session(stage), max_seconds=Seconds(3_000))
    stage.open(signed, stage.listed(agent))
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RUNNING), "it runs")
    return signed


def test_a_session_is_paid_while_it_runs(stage: Stage) -> None:
    """Three slices are paid by the chain before anybody ends it, what is unpaid stays near one slice, and the end pays the rest once."""
    agent = stage.agent(slice_seconds=SLICE)
    signed = begun(stage, agent)
    unpaid: list[int] = []

    def look() -> bool:
        lease = stage.market.lease_of(signed.id)
        unpaid.append(stage.chain.head().timestamp - lease.opened_at - lease.paid_seconds)
        return len(stage.events(e.LeaseSettled, signed.id)) >= 3

    stage.until(agent, look, "three slices are paid", signs=True)
    events = stage.events(e.LeaseSettled, signed.id)
    assert all(isinstance(event, e.LeaseSettled) and not event.last and event.paid for event in events)
    assert stage.status(signed.id) is LeaseStatus.OPEN
    assert max(unpaid) <= 2 * SLICE + SLACK_SECONDS
    stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
    stage.until(agent, lambda: not stage.is_serving(agent), "it is over")

    stage.check_paid_once(signed, paid_seconds_at_end(stage, signed))


def paid_seconds_at_end(stage: Stage, signed: SignedOrder) -> int:
    (ended,) = stage.events(e.LeaseTerminated, signed.id)
    assert isinstance(ended, e.LeaseTerminated)
    return ended.paid_seconds


def test_a_job_with_a_command_is_not_cut_where_gas_has_no_known_worth(stage: Stage) -> None:
    """Nobody signs for slices of a job that is no session, unless each is known to be worth twenty times its gas."""
    agent = stage.agent(slice_seconds=SLICE)
    signed = stage.lease(agent, "sleep", "600", max_seconds=Seconds(3_000))
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RUNNING), "it runs")
    before = stage.chain.head().timestamp
    stage.until(agent, lambda: stage.chain.head().timestamp > before + 3 * SLICE, "slices pass", signs=True)
    assert not stage.journal(agent).receipts(signed.id)
    agent._tools.sender._fees = agent._tools.sender._fees.__class__(wei_per_unit=10**12)
    stage.until(agent, lambda: paid_seconds(stage, signed), "it is worth it", signs=True)

    assert stage.status(signed.id) is LeaseStatus.OPEN


def test_a_gateway_that_lies_about_signatures_moves_no_money(stage: Stage) -> None:
    """A gateway that shows its own signatures, none, or last ones has the chain asked nothing; when it is honest again the newest slice is paid."""
    with hostile(stage.gateway.url) as gateway:
        lies = iter(range(10**9))

        def lie(method: str, path: str) -> tuple[int, bytes] | None:
            told = (b"{}", b'{"receipts": [], "asOf": null}', b"[" * 10_000)
            return (200, told[next(lies) % 3]) if method == "GET" and path.endswith("/receipts") else None

        gateway.lie = lie
        agent = stage.agent(gateway_url=gateway.url, slice_seconds=SLICE)
        signed = begun(stage, agent)
        before = stage.chain.head().timestamp
        stage.until(agent, lambda: stage.chain.head().timestamp > before + 4 * SLICE, "slices pass", signs=True)
        assert paid_seconds(stage, signed) == 0
        gateway.lie = lambda *_: None
        stage.until(agent, lambda: paid_seconds(stage, signed) >= 4 * SLICE, "all of it is paid", signs=True)


def test_a_dispute_does_not_take_what_was_signed_for(stage: Stage) -> None:
    """A client that signs for a slice and disputes before it is paid has it paid all the same."""
    agent = stage.agent(slice_seconds=SLICE)
    signed = begun(stage, agent)
    agent._progress.settle = lambda pairs, head: None  # type: ignore[method-assign]  # it is too slow
    progress = next(iter(agent._attendances.values())).progress
    stage.jump(30)
    stage.until(agent, lambda: progress.signed, "a slice is signed for", signs=True)
    stage.send(CLIENT, verbs.dispute(stage.book.market, signed.order))
    del agent._progress.settle
    owed = progress.signed.receipt.used_seconds
    stage.until(agent, lambda: paid_seconds(stage, signed) == owed, "it is paid in the dispute")

    assert stage.status(signed.id) is LeaseStatus.DISPUTED


@pytest.fixture
def crashing(stage: Stage) -> Iterator[Crashing]:
    crashing = Crashing(stage)
    yield crashing
    crashing.journal.close()


def test_an_agent_killed_at_each_step_of_a_slice_is_paid_each_second_once(stage: Stage, crashing: Crashing) -> None:
    """Killed after signing, after it has the client's signature, and when it sends: the next agent goes on, and no second is paid twice."""
    crashing.agents.start(kill_at=STEPS[0], is_patient=True)
    stage.clock.until(crashing.journal.listings, "an offer is listed")
    signed = stage.order(a_session(stage), max_seconds=Seconds(3_000))
    stage.open(signed, crashing.journal.listings()[0].offer)
    crashing.died(STEPS[0], signs=True)
    for point in STEPS[1:]:
        crashing.killed_at(point, signs=True)
    crashing.agents.start(is_patient=True)
    stage.clock.until(lambda: paid_seconds(stage, signed), "a slice is paid", each=stage.countersign)
    stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
    stage.clock.until(
        lambda: all(row.state is ServingState.CLOSED for row in crashing.journal.servings()), "all is closed"
    )
    crashing.agents.terminate()
    stage.clock.until(lambda: crashing.agents.wait_status is not None, "it stops")

    stage.check_paid_once(signed, paid_seconds_at_end(stage, signed))
