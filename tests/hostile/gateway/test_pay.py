"""A gateway that lies on every answer costs nobody a unit: what ran is paid, what could not run is given back."""

from __future__ import annotations

import itertools

from marketplace.domain import events as e
from marketplace.domain.leases import LeaseStatus
from tests.hostile.gateway.routes import Liar
from tests.integration.provider.conftest import agent_anvil, agent_redis, stage
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import CLIENT, CONSTANTS, FUNDS, PROVIDER, Stage

__all__ = ["agent_anvil", "agent_redis", "stage"]

PRINTS = ("python", "-c", "import time\nfor n in range(100):\n  print(n, flush=True); time.sleep(0.02)")


def test_a_job_that_runs_is_paid_for(stage: Stage) -> None:
    """From the moment that it runs every answer is a lie, about logs, receipts, uploads and the agent's own life: it claims all the same."""
    with hostile(stage.gateway.url) as gateway:
        agent, liar = stage.agent(gateway_url=gateway.url, patience_seconds=5), Liar()
        signed = stage.lease(agent, *PRINTS)
        journal = stage.journal(agent)
        stage.until(agent, lambda: any(row.pid for row in journal.servings()), "the job runs")
        gateway.lie = liar
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
        (serving,) = journal.servings()
        stage.jump(CONSTANTS.challenge_window)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")

    assert liar.told > 5
    assert serving.used_seconds
    stage.check_paid_once(signed, serving.used_seconds)


def test_a_gateway_that_takes_nothing_is_no_reason_not_to_be_paid(stage: Stage) -> None:
    """413 and 507 in turn for all that the agent brings, from its listing to the end: it is served, metered, claimed and paid to the unit."""
    refusals = itertools.cycle((413, 507))
    with hostile(stage.gateway.url) as gateway:
        gateway.lie = lambda method, path: None if method in ("GET", "HEAD") else (next(refusals), b"{}")
        agent = stage.agent(gateway_url=gateway.url, patience_seconds=5, fetch_patience_seconds=10)
        signed = stage.lease(agent, "python", "-c", "open('/job/out/a', 'w').write('made' * 100_000); print('made')")
        journal = stage.journal(agent)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
        (serving,) = journal.servings()
        stage.jump(CONSTANTS.challenge_window)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")
        servings = stage.folder / "home" / "servings"
        stage.until(agent, lambda: not any(servings.iterdir()), "the agent gives up delivering, and cleans up")
        refused = [path for method, path, _ in gateway.seen if method not in ("GET", "HEAD")]

    assert refused
    assert serving.used_seconds
    stage.check_paid_once(signed, serving.used_seconds)


def test_a_job_that_cannot_run_costs_nothing(stage: Stage) -> None:
    """Where the gateway lies from the beginning, what the lease is about is never known: it is declined while that is free."""
    with hostile(stage.gateway.url) as gateway:
        agent, liar = stage.agent(gateway_url=gateway.url, patience_seconds=5), Liar()
        offer = stage.listed(agent)
        signed = stage.order(stage.spec(*PRINTS))
        gateway.lie = liar
        stage.open(signed, offer)
        stage.until(agent, lambda: stage.events(e.LeaseDeclined, signed.id), "the lease is declined")

    assert liar.told
    assert stage.market.balance_of(PROVIDER.address) == FUNDS
    assert stage.market.balance_of(CLIENT.address) == FUNDS
