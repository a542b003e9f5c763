"""An agent whose node lies, and whose chain takes blocks back: no lease is missed, none is served that is not there, none is paid twice."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.contracts import contract_abi
from marketplace.chain.devnet import mine
from marketplace.chain.events import KEPT_BLOCKS
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.states import ServingState
from marketplace.provider.openings import ENDING_GONE, OPENING_GONE
from tests.integration.chain.lying_node import lying, no_logs, reorganise
from tests.integration.provider.stage import CLIENT, Stage
from tests.integration.provider.test_serving import WAITS, WRITES, used_seconds

UNTIL_IT_MAY_END = (
    "python", "-c", "import os, time\nwhile not os.path.exists('/job/out/end'): time.sleep(0.1)",
)  # fmt: skip


def let_end(stage: Stage) -> None:
    """``UNTIL_IT_MAY_END`` may, wherever it runs now."""
    for out in stage.folder.glob("home/servings/*/runs/*/out"):
        with suppress(FileNotFoundError):  # it is being thrown away
            (out / "end").touch()


def depth_of(stage: Stage, block: int) -> int:
    """How many blocks there are from this one on."""
    return stage.chain.head().number - block + 1


def test_a_lease_runs_although_the_node_tells_no_logs(stage: Stage) -> None:
    """``[]`` for every question about logs: the blooms say that there is more, and the receipts say what."""
    with lying(stage.rpc_url) as node:
        node.lies["eth_getLogs"] = no_logs
        stage.rpc_url = node.url
        agent = stage.agent()
        signed = stage.lease(agent, *WRITES)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
        agent.close()

    stage.check_paid_once(signed, used_seconds(stage, signed))


def test_an_opening_that_left_the_chain_is_closed_with_its_reason_and_served_again(stage: Stage) -> None:
    """The first serving is over, and says why; the lease that is opened again is another serving, and is paid once."""
    agent = stage.agent()
    offer, signed = stage.listed(agent), stage.order(stage.spec(*WRITES))
    stage.open(signed, offer)
    journal = stage.journal(agent)
    stage.until(agent, lambda: journal.servings(ServingState.SEEN, ServingState.RUNNING), "it is served")
    (first,) = journal.servings()

    reorganise(stage.chain, depth_of(stage, first.opened_in_block))
    mine(stage.chain, 2)
    stage.until(agent, lambda: journal.servings(ServingState.CLOSED), "it is not served any more")
    (closed,) = journal.servings(ServingState.CLOSED)
    assert closed.key == first.key
    assert OPENING_GONE in closed.note
    assert agent.openings.repairs.undone_blocks > 0

    stage.open(signed, offer)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    stage.check_paid_once(signed, used_seconds(stage, signed))


def test_an_ending_that_left_the_chain_is_taken_back(stage: Stage) -> None:
    """The client called it off, and the block that did left the chain: the job is served on, and paid."""
    agent = stage.agent()
    signed = stage.lease(agent, *WAITS, max_seconds=60)
    journal = stage.journal(agent)
    stage.until(agent, lambda: journal.servings(ServingState.RUNNING), "it runs")
    ended = stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order)).block.number
    stage.until(agent, lambda: journal.servings(ServingState.CLOSED), "it is over")

    reorganise(stage.chain, depth_of(stage, ended))
    mine(stage.chain, 1)
    stage.until(agent, lambda: not journal.servings(ServingState.CLOSED), "it lives again")
    (again,) = journal.servings()
    assert ENDING_GONE in {event.note for event in journal.history_of_serving(*again.key)}
    assert agent.openings.repairs.revived == 1

    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    stage.check_paid_once(signed, used_seconds(stage, signed))


def test_a_lease_that_was_never_seen_is_found(stage: Stage) -> None:
    """The contract has more GPUs in use than the agent serves: it reads again, finds the lease, runs it, and counts that."""
    agent = stage.agent()
    offer = stage.listed(agent)
    stage.until(agent, lambda: stage.journal(agent).cursor("agreed"), "contract and journal agree")
    signed = stage.order(stage.spec(*WRITES), max_seconds=300)
    stage.open(signed, offer)
    # As if the events of these blocks had been withheld.
    agent.openings.cursor = stage.chain.head()
    mine(stage.chain, 64)

    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    assert agent.openings.repairs.found == 1
    stage.check_paid_once(signed, used_seconds(stage, signed))


@pytest.mark.parametrize("is_stubborn", [False, True], ids=["once", "until it is believed"])
def test_a_false_word_about_a_lease_costs_no_bond(stage: Stage, is_stubborn: bool) -> None:
    """Zeros for ``leaseOf`` at one block end nothing; where the node insists until the serving is closed, it is found again and paid."""
    lease_of = "0x" + contract_abi("ComputeMarket").functions["leaseOf"].selector.hex()
    told: list[str] = []

    def zeros(parameters: list[Any], true: Any) -> Any:
        if not parameters[0]["data"].startswith(lease_of):
            return true
        told.append(parameters[1]["blockHash"])
        is_lie = is_stubborn or told[-1] == told[0]
        return "0x" + "00" * (len(true) // 2 - 1) if is_lie else true

    with lying(stage.rpc_url) as node:
        stage.rpc_url = node.url
        agent = stage.agent()
        offer, signed = stage.listed(agent), stage.order(stage.spec(*WAITS), max_seconds=600)
        journal = stage.journal(agent)
        stage.until(agent, lambda: journal.cursor("agreed"), "contract and journal agree")
        stage.open(signed, offer)
        stage.until(agent, lambda: journal.servings(ServingState.RUNNING), "it runs")
        node.lies["eth_call"] = zeros
        if is_stubborn:
            stage.until(agent, lambda: journal.servings(ServingState.CLOSED), "the lie is believed")
            mine(stage.chain, KEPT_BLOCKS + 1)
        else:
            stage.until(agent, lambda: len(set(told)) > 1, "it is asked again")
        node.lies.clear()
        stage.until(agent, lambda: journal.servings(ServingState.RUNNING), "it runs (again)")
        agent.close()

    states = [event.to_state for event in journal.history_of_serving(*journal.servings()[0].key)]
    closed = states.count(ServingState.CLOSED)
    assert (closed, agent.openings.repairs.revived) == ((1, 1) if is_stubborn else (0, 0))


def test_a_job_that_was_stopped_for_a_lease_that_came_back_runs_again(stage: Stage) -> None:
    """Gone for two blocks, with its opening, and back in the same second: the job begins anew, and its own end is what is receipted."""
    lease_of = "0x" + contract_abi("ComputeMarket").functions["leaseOf"].selector.hex()
    stopped: list[bool] = []

    def zeros(parameters: list[Any], true: Any) -> Any:
        is_gone = parameters[0]["data"].startswith(lease_of) and not stopped
        return "0x" + "00" * (len(true) // 2 - 1) if is_gone else true

    with lying(stage.rpc_url) as node:
        stage.rpc_url = node.url
        agent = stage.agent()
        signed = stage.lease(agent, *UNTIL_IT_MAY_END, max_seconds=600)
        journal = stage.journal(agent)
        stage.until(agent, lambda: journal.servings(ServingState.RUNNING), "it runs")
        (attendance,) = agent._attendances.values()
        node.lies["eth_call"] = zeros
        stage.until(agent, lambda: attendance.is_stopped, "it is stopped")
        stopped.append(True)

        def is_receipted() -> bool:
            let_end(stage)
            return bool(journal.servings(ServingState.RECEIPTED))

        stage.until(agent, is_receipted, "it is receipted")
        (serving,) = journal.servings()
        agent.close()

    assert (serving.lease, serving.exit_code) == (signed.id, 0)
    assert serving.used_seconds


def test_a_reorganisation_deeper_than_the_agent_remembers_is_read_from_the_beginning(stage: Stage) -> None:
    """Nothing that it remembers stands: everything is read again, which changes nothing that is true."""
    agent = stage.agent()
    signed = stage.lease(agent, *WAITS, max_seconds=40)
    journal = stage.journal(agent)
    stage.until(agent, lambda: journal.servings(ServingState.RUNNING), "it runs")
    (before,) = journal.servings()
    gone = [type(one)(one.number, type(one.hash)("0x" + "ab" * 32), one.timestamp) for one in journal.trail()]
    journal.save_cursor(gone[-1], gone)
    agent.openings.cursor = gone[-1]
    assert len(gone) <= KEPT_BLOCKS

    stage.until(agent, lambda: agent.openings.repairs.rebuilt, "everything is read again")
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    assert [serving.key for serving in journal.servings()] == [before.key]
    stage.check_paid_once(signed, used_seconds(stage, signed))
