"""A lease from its opening to the last unit of its pay, on a real chain, with a real gateway and a real sandbox."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.chain import verbs
from marketplace.domain import events as e
from marketplace.domain.errors import ConfigError
from marketplace.domain.ids import ZERO_BYTES32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.results import EndedReason
from marketplace.domain.spec import Group, JobSpec, Resources
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds, UnixTime
from marketplace.domain.work import Input
from marketplace.provider.home import HomeLead
from tests.integration.provider.stage import ACCEPTOR, CLIENT, CONSTANTS, FUNDS, INVENTORY, PROVIDER, Stage, build_agent

WRITES = ("python", "-c", "print(open('hello.txt').read()); open('/job/out/a', 'w').write('made')")
WAITS = ("python", "-c", "import time; print('waiting', flush=True); time.sleep(600)")


def used_seconds(stage: Stage, signed: SignedOrder) -> int:
    """What the one last receipt that settled says."""
    settled = stage.events(e.LeaseSettled, signed.id)
    assert len(settled) == 1
    assert isinstance(settled[0], e.LeaseSettled)
    return settled[0].used_seconds


@pytest.mark.quick
def test_job_runs_and_is_paid_to_the_unit(stage: Stage) -> None:
    """A job runs on its inputs, both sides sign, and exactly its seconds are paid (P-03)."""
    agent = stage.agent()
    signed = stage.lease(agent, *WRITES)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    agent.step()

    assert 0 < used_seconds(stage, signed) < 60
    stage.check_paid_once(signed, used_seconds(stage, signed))
    assert stage.result(signed.id).exit_code == 0
    assert [output.path for output in stage.result(signed.id).outputs] == ["/job/out"]
    assert stage.log_of(signed.id) == "hello\n"
    assert stage.client_api.log(signed.id) == b"hello\n"


def test_a_node_of_a_group_knows_its_place(stage: Stage) -> None:
    """Rank, size and group are in its environment, whatever its own variables say."""
    agent = stage.agent()
    script = "import os; print(*(os.environ[f'BOURSE_{name}'] for name in ('NODE_RANK', 'NODES', 'GROUP')))"
    spec = stage.spec("python", "-c", script, group=Group("ab" * 32, 3, 1), work={"env": {"BOURSE_NODE_RANK": "0"}})
    signed = stage.order(spec)
    stage.open(signed, stage.listed(agent))
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    assert stage.log_of(signed.id) == f"1 3 {'ab' * 32}\n"


def test_folder_is_deleted_after_the_close(stage: Stage) -> None:
    """Nothing of a serving stays on the provider's disk when the chain says that it is over."""
    agent = stage.agent()
    signed = stage.lease(agent, *WRITES)
    servings = stage.folder / "home" / "servings"
    stage.until(agent, lambda: any(servings.iterdir()), "the serving has a folder")
    stage.until(agent, lambda: not any(servings.iterdir()), "the folder is gone", signs=True)

    assert stage.status(signed.id) is LeaseStatus.CLOSED


def test_failing_job_is_metered_and_its_exit_code_signed(stage: Stage) -> None:
    """A job that fails by itself is paid for like any other, and its result says how it failed."""
    agent = stage.agent()
    signed = stage.lease(agent, "python", "-c", "import sys; print('no'); sys.exit(3)")
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    assert stage.result(signed.id).exit_code == 3
    stage.check_paid_once(signed, used_seconds(stage, signed))


def test_job_is_stopped_when_its_seconds_are_used_up(stage: Stage) -> None:
    """Block time ends a job at maxSeconds; all of them are paid, and the log says why it stopped."""
    agent = stage.agent()
    signed = stage.lease(agent, *WAITS, max_seconds=Seconds(20))
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    stage.check_paid_once(signed, 20)
    assert (stage.result(signed.id).exit_code, stage.result(signed.id).reason) == (None, EndedReason.TIME_LIMIT)
    assert "[provider] stopped: the seconds that the order pays for are used up" in stage.log_of(signed.id)


def test_several_jobs_share_the_machine_and_settle(stage: Stage) -> None:
    """Two leases on one offer run on different GPUs at the same time, and both are paid."""
    agent = stage.agent()
    first, second = stage.lease(agent, *WAITS), stage.lease(agent, *WRITES)
    journal = stage.journal(agent)
    stage.until(agent, lambda: journal.servings(ServingState.RUNNING, ServingState.EXITED)[1:], "both have started")
    stage.until(agent, lambda: stage.status(second.id) is LeaseStatus.CLOSED, "the short one is closed", signs=True)
    stage.send(CLIENT, verbs.terminate(stage.book.market, first.order))
    stage.until(agent, lambda: not stage.is_serving(agent), "both are over")

    terminated = stage.events(e.LeaseTerminated, first.id)
    assert [type(event) for event in terminated] == [e.LeaseTerminated]
    stage.check_paid_once(first, terminated[0].paid_seconds + used_seconds(stage, second))  # type: ignore[attr-defined]


# Declining


def check_declined(stage: Stage, signed: SignedOrder) -> None:
    """The lease was given back in time, without penalty; the order may be opened again elsewhere (P-24)."""
    assert len(stage.events(e.LeaseDeclined, signed.id)) == 1
    assert stage.status(signed.id) is LeaseStatus.NONE
    assert stage.market.balance_of(PROVIDER.address) == FUNDS
    assert stage.market.balance_of(CLIENT.address) == FUNDS


def until_declined(stage: Stage, spec: JobSpec, **how: bool) -> SignedOrder:
    agent = stage.agent()
    offer = stage.listed(agent)
    signed = stage.order(spec, **how)
    stage.open(signed, offer)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.NONE, "the lease is declined")
    stage.until(agent, lambda: not stage.is_serving(agent), "the serving is closed")
    (serving,) = stage.journal(agent).servings()
    assert serving.note.startswith("LeaseDeclined; declined: ")
    return signed


def test_input_of_another_content_is_declined(stage: Stage) -> None:
    """A bundle that does not hash to its name is not run: somebody changed it on the way."""
    (given,) = stage.work(*WRITES).inputs
    spec = stage.spec(*WRITES, work={"inputs": (given,)})
    (blob,) = stage.gateway.blobs.path.rglob(given.parts[0])
    blob.chmod(0o600)
    blob.write_bytes(b"\0" * blob.stat().st_size)

    check_declined(stage, until_declined(stage, spec))


def test_input_of_another_size_is_declined(stage: Stage) -> None:
    """Work that lies about an input's size is not run."""
    (given,) = stage.work(*WRITES).inputs
    spec = stage.spec(*WRITES, work={"inputs": (replace(given, bytes=given.bytes + 1),)})

    check_declined(stage, until_declined(stage, spec, posts=False))


def test_input_that_is_no_bundle_is_declined(stage: Stage) -> None:
    """An input that does not unpack is not run; no gateway would take its order, but its client can open it alone."""
    content = b"not a tar archive"
    given = Input("/job/in", len(content), (stage.client_api.put_blob(content),))
    spec = stage.spec(*WRITES, work={"inputs": (given,)})

    check_declined(stage, until_declined(stage, spec, posts=False))


def test_spec_that_nobody_delivers_is_declined(stage: Stage) -> None:
    """An order whose spec the gateway does not have is given back while that is free."""
    check_declined(stage, until_declined(stage, stage.spec(*WRITES), uploads=False, posts=False))


def test_more_than_the_machine_has_is_declined(stage: Stage) -> None:
    """A spec that asks for more memory than the machine has is declined."""
    check_declined(stage, until_declined(stage, stage.spec(*WRITES, resources=Resources(memory_mib=4097))))


def test_declined_order_can_be_served_again(stage: Stage) -> None:
    """An order that was declined may come back, and is then another serving of the same lease."""
    agent = stage.agent()
    offer = stage.listed(agent)
    spec = stage.spec(*WRITES)
    signed = stage.order(spec, uploads=False, posts=False)
    stage.open(signed, offer)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.NONE, "the lease is declined")
    stage.client_api.put_blob(spec.canonical(), public=True)
    stage.client_api.post_order(signed)
    stage.jump(1)
    stage.open(signed, offer)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)
    stage.until(agent, lambda: not stage.is_serving(agent), "the servings are closed")

    stage.check_paid_once(signed, used_seconds(stage, signed))
    assert [serving.note.split(";")[0] for serving in stage.journal(agent).servings()] == [
        "LeaseDeclined",
        "LeaseSettled",
    ]


def test_too_late_to_decline_ends_with_nothing_to_pay(stage: Stage) -> None:
    """What turns out impossible after the grace is closed by a receipt over 0 seconds whose log says why."""
    agent = stage.agent()
    offer = stage.listed(agent)
    signed = stage.order(stage.spec(*WRITES, resources=Resources(memory_mib=4097)))
    stage.open(signed, offer)
    stage.jump(CONSTANTS.start_grace)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    stage.check_paid_once(signed, 0)
    assert (stage.result(signed.id).exit_code, stage.result(signed.id).reason) == (None, EndedReason.NOT_RUN)
    assert "[provider] not run: not_enough_memory" in stage.log_of(signed.id)


# Silence


def test_silent_client_is_claimed_and_finalized(stage: Stage) -> None:
    """A client that does not sign cannot keep the provider's pay (P-23): claim, window, finalize, all by the agent."""
    agent = stage.agent()
    signed = stage.lease(agent, *WRITES)
    journal = stage.journal(agent)
    stage.until(agent, lambda: journal.servings(ServingState.RECEIPTED), "our receipt is delivered")
    used = journal.servings()[0].used_seconds
    stage.jump(2 * CONSTANTS.claim_grace)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
    stage.jump(CONSTANTS.challenge_window)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")

    assert used is not None
    assert len(stage.events(e.LeaseFinalized, signed.id)) == 1
    stage.check_paid_once(signed, used)


def test_signature_in_the_window_settles_the_claim(stage: Stage) -> None:
    """A client that signs after the claim is settled with at once: nobody waits for the window."""
    agent = stage.agent()
    signed = stage.lease(agent, *WRITES)
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RECEIPTED), "our receipt is delivered")
    stage.jump(2 * CONSTANTS.claim_grace)
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.CLAIMED), "the lease is claimed")
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    stage.check_paid_once(signed, used_seconds(stage, signed))


def test_claim_is_made_before_the_deadline_however_patient(stage: Stage) -> None:
    """A lease that ran to its last second is claimed before anybody can expire it."""
    agent = stage.agent(patience_seconds=10_000)
    signed = stage.lease(agent, *WAITS, max_seconds=Seconds(20))
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RECEIPTED), "our receipt is delivered")
    stage.jump(CONSTANTS.claim_grace // 2)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
    stage.jump(CONSTANTS.challenge_window)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")

    stage.check_paid_once(signed, 20)


def test_pay_does_not_depend_on_the_gateway(stage: Stage) -> None:
    """A gateway that goes away in the middle of a job stops neither the job nor the claim for it."""
    agent = stage.agent(patience_seconds=10)
    signed = stage.lease(agent, *WAITS, max_seconds=Seconds(30))
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RUNNING), "the job runs")
    stage.gateway.stop()
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
    stage.jump(CONSTANTS.challenge_window)
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")

    stage.check_paid_once(signed, 30)


def test_log_is_caught_up_when_the_gateway_returns(stage: Stage) -> None:
    """What a job prints while the gateway is away is there when it is back, in order and once."""
    agent = stage.agent()
    script = "import time\nfor n in range(8):\n  print(n, flush=True); time.sleep(0.2)"
    signed = stage.lease(agent, "python", "-c", script)
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RUNNING), "the job runs")
    stage.gateway.stop()
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.EXITED), "the job is over")
    stage.gateway.start()
    stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    assert stage.log_of(signed.id) == "".join(f"{n}\n" for n in range(8))
    assert stage.client_api.log(signed.id).decode() == stage.log_of(signed.id)


# Other endings


def test_terminated_lease_ends_the_job(stage: Stage) -> None:
    """The client's terminate stops the job and frees its GPUs; what elapsed is paid by the contract."""
    agent = stage.agent()
    signed = stage.lease(agent, *WAITS)
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RUNNING), "the job runs")
    stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
    stage.until(agent, lambda: not stage.is_serving(agent), "the serving is closed")
    stage.until(agent, lambda: not any((stage.folder / "home" / "servings").iterdir()), "job and folder are gone")

    (terminated,) = stage.events(e.LeaseTerminated, signed.id)
    assert isinstance(terminated, e.LeaseTerminated)
    stage.check_paid_once(signed, terminated.paid_seconds)


def test_claim_by_hand_ends_the_job(stage: Stage) -> None:
    """An operator who claims while the job runs has given its GPUs back: the job ends, and the claim is what is paid."""
    agent = stage.agent()
    signed = stage.lease(agent, *WAITS)
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.RUNNING), "the job runs")
    stage.send(PROVIDER, verbs.claim(stage.book.market, signed.order, Seconds(1), ZERO_BYTES32))
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.CLAIMED), "the agent takes it as claimed")
    stage.jump(CONSTANTS.challenge_window)
    stage.until(agent, lambda: not stage.is_serving(agent), "the serving is closed")

    assert len(stage.events(e.LeaseFinalized, signed.id)) == 1
    stage.check_paid_once(signed, 1)


def test_lease_of_a_stranger_is_left_alone(stage: Stage) -> None:
    """A lease on somebody else's offer is none of the agent's business."""
    agent = stage.agent()
    offer = stage.listed(agent)
    stage.fund(ACCEPTOR)
    listed = stage.market.offer_of(offer)
    assert listed is not None
    call = verbs.list_offer(
        stage.book.market, gpu_class=listed.gpu_class, gpus=listed.gpus, bond_bps=listed.bond_bps, price=listed.price,
        min_seconds=Seconds(0), expires_at=UnixTime(2**40 - 1), arbiter=listed.arbiter, spec=listed.spec,
    )  # fmt: skip
    (event,) = stage.send(ACCEPTOR, call).events
    assert isinstance(event, e.OfferListed)
    signed = stage.order(stage.spec(*WRITES))
    stage.open(signed, event.offer.id)
    head = stage.chain.head().number
    stage.until(agent, lambda: (stage.journal(agent).cursor() or stage.chain.block(0)).number > head, "it was read")

    assert not stage.journal(agent).servings()
    assert stage.status(signed.id) is LeaseStatus.OPEN


def test_two_agents_cannot_share_a_home(stage: Stage) -> None:
    """A second agent on the same home folder is refused with the name of the first."""
    stage.agent()

    with pytest.raises(ConfigError, match="another agent"):
        build_agent(stage.rpc_url, stage.book, stage.gateway.url, stage.folder / "home", INVENTORY, {})


def test_a_second_agent_of_a_home_stands_by(tmp_path: Path) -> None:
    """It is told that the folder is another's, as often as it asks, and has it as soon as the first one ends."""
    first, second = HomeLead(tmp_path / "home"), HomeLead(tmp_path / "home")
    assert (first.hold(), second.hold(), first.hold(), second.hold()) == (True, False, True, False)
    assert second.home is None
    first.leave()

    assert second.hold()
    assert second.home is not None
    second.leave()
