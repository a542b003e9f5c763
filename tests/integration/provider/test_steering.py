"""An agent that is steered while it runs: what it has on offer follows its operator, and it leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

from marketplace.domain.leases import LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.units import PricePerGpuHour
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.inventory import Inventory
from marketplace.provider.inventory_file import InventoryFile
from marketplace.provider.steering import Graces, Steering
from marketplace.store.journal.wishes import AgentStanding, AskedPrice, WishTable
from tests.integration.provider.stage import INVENTORY, Stage
from tests.unit.provider.test_steering import Signals

WRITES_AND_WAITS = ("sh", "-c", "echo so far > /job/out/part.txt; echo begun; sleep 1000")


def offer_of(stage: Stage, agent: ProviderAgent) -> Offer:
    """The agent's only listing, as the chain has it."""
    (row,) = stage.journal(agent).listings()
    found = stage.market.offer_of(row.offer)
    assert found
    return found


def is_alive(stage: Stage, agent: ProviderAgent) -> bool:
    return offer_of(stage, agent).is_alive(stage.chain.head().timestamp)


def heeded(stage: Stage, agent: ProviderAgent) -> int:
    """The number of the last wish that the agent says it has acted on."""
    report = stage.journal(agent).desk.report()
    return report.heeded if report else 0


def test_a_command_pauses_resumes_and_reprices_without_a_restart(stage: Stage) -> None:
    """Paused, the offer is off the market and no new one is listed; resumed, the same one is back; a price is the one asked for."""
    agent = stage.agent()
    listed, desk = stage.listed(agent), stage.journal(agent).desk
    wish = desk.stand(AgentStanding.PAUSED)
    stage.until(agent, lambda: heeded(stage, agent) == wish.number, "the pause is heeded")
    assert not is_alive(stage, agent)
    desk.ask(listed, AskedPrice(PricePerGpuHour(40_500_000), PricePerGpuHour(36_000_000)))
    wish = desk.stand(AgentStanding.OPEN)
    stage.until(agent, lambda: heeded(stage, agent) == wish.number, "the other wishes are heeded")

    assert is_alive(stage, agent)
    assert (offer_of(stage, agent).id, offer_of(stage, agent).price) == (listed, 40_500_000)


def test_a_changed_inventory_is_on_offer_without_a_restart(stage: Stage) -> None:
    """A price in the file is a price on the chain; a file that breaks later withdraws nothing and is told in the report."""
    path = stage.folder / "inventory.toml"
    path.write_text(INVENTORY)
    agent = stage.agent(steers=lambda desk, _: _steered_by(desk, path))
    stage.listed(agent)
    path.write_text(INVENTORY.replace('"36"', '"40.5"'))
    stage.until(agent, lambda: offer_of(stage, agent).price == 40_500_000, "the new price is on the chain")
    path.write_text(INVENTORY.replace("count = 2", "count = 0"))

    def problem() -> str:
        report = stage.journal(agent).desk.report()
        return report.inventory_problem if report else ""

    stage.until(agent, problem, "the broken file is noticed")
    assert "offer[0].count" in problem()
    assert is_alive(stage, agent)


def _steered_by(desk: WishTable, path: Path) -> Steering:
    file = InventoryFile(path, decimals=6)
    return Steering(desk, file.inventory, file=file)


def test_an_agent_that_is_told_to_leave_hands_its_job_back_paid_and_delivered(stage: Stage) -> None:
    """After the grace the job is stopped, its seconds are on a receipt, what it had written is delivered, and the offer is gone."""
    signals, graces = Signals(), Graces(grace_seconds=0, hand_back_seconds=10_000)

    def steers(desk: WishTable, inventory: Inventory) -> Steering:
        return Steering(desk, inventory, leaving=signals, graces=graces)

    agent = stage.agent(steers=steers)
    signed = stage.lease(agent, *WRITES_AND_WAITS)
    stage.until(
        agent, lambda: any("begun" in _log(attendance) for attendance in agent._attendances.values()), "it runs"
    )
    signals.is_asked = True
    stage.until(agent, lambda: agent.shutdown.is_over, "the agent has left", signs=True)

    assert not agent.shutdown.has_left_behind
    assert signals.left
    assert not is_alive(stage, agent)
    assert stage.status(signed.id) is LeaseStatus.CLOSED
    assert stage.result(signed.id).outputs
    assert "this provider is leaving" in stage.log_of(signed.id)


def test_an_agent_does_not_wait_long_for_a_signature_before_it_leaves(stage: Stage) -> None:
    """Drained while the client is silent: the lease is claimed, which anyone may finalize, and the agent ends long before its patience does."""
    agent = stage.agent(patience_seconds=100_000, claim_margin_seconds=1)
    signed = stage.lease(agent, "true")
    stage.until(agent, lambda: stage.journal(agent).servings(), "the lease is seen")
    stage.until(agent, lambda: agent._attendances and all(a.ended for a in agent._attendances.values()), "it has run")
    stage.journal(agent).desk.stand(AgentStanding.DRAINING)
    stage.until(agent, lambda: agent.shutdown.is_over, "the agent has left")

    assert stage.status(signed.id) is LeaseStatus.CLAIMED
    assert stage.journal(agent).desk.wishes().standing is AgentStanding.PAUSED


def test_what_has_not_begun_is_declined_by_an_agent_that_leaves(stage: Stage) -> None:
    """A lease that opened while the offer was being withdrawn goes back, free for both sides."""
    agent = stage.agent()
    listed = stage.listed(agent)
    stage.journal(agent).desk.stand(AgentStanding.DRAINING)
    signed = stage.order(stage.spec("sleep", "1000"))
    stage.open(signed, listed)
    stage.until(agent, lambda: agent.shutdown.is_over, "the agent has left")

    assert stage.status(signed.id) is LeaseStatus.NONE


def _log(attendance: object) -> str:
    return attendance.folder.read_log(0, 1 << 16).decode()  # type: ignore[attr-defined]
