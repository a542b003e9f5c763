"""A provider's pay needs the chain only: what a gateway says, or does not say, costs nobody's money."""

from __future__ import annotations

import itertools
import json
import re

from marketplace.chain.fees import Fees
from marketplace.chain.statements import decliner_of
from marketplace.domain import events as e
from marketplace.domain.declines import ObstacleReason, decline_from_wire
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.results import EndedBy, EndedReason
from marketplace.domain.spec import Resources
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds
from marketplace.provider.gas_funds import needed_wei
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import CONSTANTS, INVENTORY, PROVIDER, Stage

PRINTS = ("python", "-c", "import time\nfor n in range(200):\n  print(n, flush=True); time.sleep(0.02)")
QUICK = ("python", "-c", "print('done')")
LENGTHS = (b"0", b"-1", b"18446744073709551617", b"1.5", b'"x"', b"null", b"true", b"[" * 20_000)
"""What a gateway may say about how much of a log it has."""


def test_lies_about_the_log_keep_nobody_from_pay(stage: Stage) -> None:
    """A gateway whose answers about the log cannot be, for ever, delays neither the meter nor the claim."""
    lies = itertools.cycle(LENGTHS)
    with hostile(stage.gateway.url) as gateway:
        gateway.lie = lambda _, path: (200, b'{"length": %s}' % next(lies)) if re.search(r"/logs\b", path) else None
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
        stage.until(
            agent, lambda: len(journal.servings()) == 8 and not journal.servings(ServingState.SEEN), "all have begun"
        )
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


def test_a_decline_says_why_in_the_providers_name(stage: Stage) -> None:
    """What is given back is given back with a reason that the provider has signed."""
    with hostile(stage.gateway.url) as gateway:
        agent = stage.agent(gateway_url=gateway.url)
        signed = stage.order(stage.spec(*QUICK, resources=Resources(memory_mib=4097)))
        stage.open(signed, stage.listed(agent))

        def told() -> list[bytes]:
            return [body for method, path, body in gateway.seen if method == "POST" and path.endswith("/declines")]

        stage.until(agent, told, "it says why")
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.NONE, "the lease is declined")
        word = decline_from_wire(json.loads(told()[0]))

    assert (word.decline.lease, word.decline.reason) == (signed.id, ObstacleReason.NOT_ENOUGH_MEMORY)
    assert decliner_of(word.decline, word.signature, stage.market.domain) == PROVIDER.address


# What the provider loses


def test_outputs_that_the_machine_has_lost_are_not_charged(stage: Stage) -> None:
    """Outputs that cannot be bundled because the provider's own disk gave out cost the client nothing, the bond is safe, and
    the client is told so by a result of that name."""
    agent = stage.agent(patience_seconds=10)
    signed = stage.lease(agent, "python", "-c", "import time; time.sleep(2); open('/job/out/a', 'w').write('made')")
    journal = stage.journal(agent)
    stage.until(agent, lambda: any(row.pid for row in journal.servings(ServingState.RUNNING)), "the job runs")
    (serving,) = (stage.folder / "home" / "servings").iterdir()
    (serving / "result.partial").mkdir()  # so that nothing can be written down
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
    stage.until(agent, lambda: stage.client_api.receipts(signed.id), "it says so")
    stage.jump(CONSTANTS.challenge_window)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")
    result = stage.client_api.outputs(signed.id).result

    stage.check_paid_once(signed, 0)
    assert "not charged: the provider lost the outputs" in journal.servings()[0].note
    assert (result.reason, result.reason.by, result.outputs) == (EndedReason.OUTPUTS_LOST, EndedBy.PROVIDER, ())
    assert b"has lost what the job left" in stage.client_api.fetch_blob(result.log.sha256, lease=signed.id)


def test_outputs_that_no_gateway_takes_are_owed(stage: Stage) -> None:
    """A gateway that says that they are too large does not make the work free: the provider has them, and offers them on."""
    with hostile(stage.gateway.url) as gateway:
        gateway.lie = lambda method, path: (413, b"{}") if method == "PUT" and "/blobs/" in path else None
        agent = stage.agent(gateway_url=gateway.url, patience_seconds=10)
        signed = stage.lease(agent, "python", "-c", "open('/job/out/a', 'w').write('made')")
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
        (serving,) = stage.journal(agent).servings()
        (attendance,) = agent._attendances.values()
        assert not attendance.is_delivered
        gateway.lie = lambda *_: None
        stage.until(agent, lambda: attendance.is_delivered, "they are delivered in the challenge window")

    assert serving.used_seconds
    assert stage.client_api.outputs(signed.id).result.exit_code == 0


# Coin for gas


def test_an_agent_that_runs_out_of_coin_withdraws_its_offers(stage: Stage) -> None:
    """While it still can; it says so, and offers again when there is enough."""
    agent = stage.agent()
    offer = stage.listed(agent)

    def is_alive() -> bool:
        listed, head = stage.market.offer_of(offer), stage.chain.head()
        return listed is not None and listed.is_alive(head.timestamp)

    coin = stage.chain.rpc("eth_getBalance", PROVIDER.address, "latest")
    assert agent.gas_trouble is None
    try:
        fees = Fees.now(stage.chain)
        stage.chain.rpc("anvil_setBalance", PROVIDER.address, hex(needed_wei(fees, 1, 1) - 1))
        stage.until(agent, lambda: not is_alive(), "the offer is withdrawn")
        assert "coin for gas" in (agent.gas_trouble or "")
    finally:
        stage.chain.rpc("anvil_setBalance", PROVIDER.address, coin)
    stage.until(agent, is_alive, "it is offered again")

    assert agent.gas_trouble is None
