"""A provider's pay needs the chain only: what a gateway says, or does not say, costs nobody's money."""

from __future__ import annotations

import itertools
import re

from marketplace.domain import events as e
from marketplace.domain.models import LeaseStatus
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import CONSTANTS, INVENTORY, Stage

PRINTS = ("python", "-c", "import time\nfor n in range(200):\n  print(n, flush=True); time.sleep(0.02)")
QUICK = ("python", "-c", "print('done')")
LENGTHS = (b"0", b"-1", b"18446744073709551617", b"1.5", b'"x"', b"null", b"true", b"[" * 20_000)
"""What a gateway may say about how much of a log it has."""


def test_lies_about_the_log_keep_nobody_from_pay(stage: Stage) -> None:
    """A gateway whose answers about the log cannot be, for ever, delays neither the meter nor the claim."""
    lies = itertools.cycle(LENGTHS)
    with hostile(stage.gateway.url) as gateway:
        gateway.lie = lambda _, path: b'{"length": %s}' % next(lies) if re.search(r"/logs\b", path) else None
        agent = stage.agent(gateway_url=gateway.url, patience_seconds=5)
        signed = stage.lease(agent, *PRINTS)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
        (serving,) = stage.journal(agent).servings()
        stage.jump(CONSTANTS.challenge_window)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")

    assert serving.used_seconds
    stage.check_paid_once(signed, serving.used_seconds)


def test_a_dripping_gateway_cannot_keep_claims_away(stage: Stage) -> None:
    """Eight jobs are over when the gateway begins to drip a byte a second on every request: all eight are claimed in time."""
    with hostile(stage.gateway.url) as gateway:
        agent = stage.agent(
            gateway_url=gateway.url, inventory=INVENTORY.replace("count = 2", "count = 8"), patience_seconds=20
        )
        offer, spec = stage.listed(agent), stage.spec(*QUICK)
        leases = [stage.order(spec, max_seconds=Seconds(600)).id for _ in range(8)]
        for order in stage.gateway.journal.all_orders():
            stage.open(order.signed, offer)
        journal = stage.journal(agent)
        stage.until(agent, lambda: len(journal.servings(ServingState.RUNNING)) == 8, "all have begun")
        gateway.is_dripping = True
        stage.until(
            agent, lambda: all(stage.status(lease) is LeaseStatus.CLAIMED for lease in leases), "all are claimed"
        )

    assert all(len(stage.events(e.LeaseClaimed, lease)) == 1 for lease in leases)


def test_a_gateway_that_is_away_for_a_moment_makes_nobody_decline(stage: Stage) -> None:
    """A spec that cannot be fetched now is fetched when the gateway is back, as long as declining would still be free."""
    with hostile(stage.gateway.url) as gateway:
        agent = stage.agent(gateway_url=gateway.url, patience_seconds=10)
        offer = stage.listed(agent)
        gateway.is_away = True
        signed = stage.order(stage.spec(*QUICK))
        stage.open(signed, offer)
        opened_at = stage.chain.head().timestamp
        stage.until(
            agent, lambda: stage.chain.head().timestamp > opened_at + CONSTANTS.start_grace // 2, "half the grace"
        )
        assert gateway.refused
        gateway.is_away = False
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "it ran, and is claimed")

    assert not stage.events(e.LeaseDeclined, signed.id)
