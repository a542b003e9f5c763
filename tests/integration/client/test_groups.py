"""Jobs of several nodes on a real chain and gateway: linked orders, all of them or none, and who is to blame."""

from __future__ import annotations

import httpx
import pytest

from marketplace.chain import verbs
from marketplace.client import Job, JobGroup, JobReason, JobState
from marketplace.domain.errors import GatewayProblem, InsufficientBalance
from marketplace.domain.ids import bytes32_of
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.spec import read_spec
from marketplace.domain.units import Seconds
from tests.integration.client.conftest import Crash, Desk, Play
from tests.integration.gateway.conftest import CLIENT, PROVIDER, Gateway


@pytest.fixture
def group(desk: Desk, play: Play) -> JobGroup:
    """Two nodes on the book."""
    return desk.market.submit_group(play.request(name="gang", silent_after=Seconds(15)), 2)


def _start(desk: Desk, play: Play, *jobs: Job) -> None:
    for job in jobs:
        play.open(desk, job)
    play.pass_time(10)


def test_a_job_of_two_nodes_is_two_linked_orders(desk: Desk, play: Play, group: JobGroup) -> None:
    """Each node signs an order of its own; the specs differ by rank only, and the gateway has both."""
    first, second = (job.spec.group for job in group.jobs)

    assert first is not None
    assert second is not None
    assert (first.id, first.size, first.rank) == (group.id, 2, 0)
    assert (second.id, second.size, second.rank) == (group.id, 2, 1)
    for job in group.jobs:
        assert play.api.order(job.id).state == "book"
        assert read_spec(desk.market.book.order(job.id).spec) == job.spec
    assert group.state is JobState.SUBMITTED


def test_a_group_succeeds_when_all_of_its_nodes_do(desk: Desk, play: Play, group: JobGroup) -> None:
    """Each node is verified and paid for by itself, and each one's outputs are kept apart."""
    _start(desk, play, *group.jobs)
    play.hand_in(group.jobs[1], 5)
    desk.step()
    assert (group.state, group.is_terminal, group.failure) == (JobState.RUNNING, False, "")

    play.hand_in(group.jobs[0], 6)

    assert group.wait(20) is JobState.SUCCEEDED
    assert group.failure == ""
    files = group.download(play.folder / "out")
    assert [str(file.relative_to(play.folder / "out")) for file in files] == ["node-0/model.txt", "node-1/model.txt"]


def test_when_a_node_fails_the_others_are_ended(desk: Desk, play: Play, gateway: Gateway, group: JobGroup) -> None:
    """The chain has terminated them, they are paid for their time, and all of them name the node that failed."""
    _start(desk, play, *group.jobs)
    play.hand_in(group.jobs[1], 5, exit_code=3)

    assert group.wait(20) is JobState.FAILED
    assert group.failure == "node 1 of 2 failed: exit code 3 after 5 s"
    ended = group.jobs[0]
    assert gateway.market.lease_of(ended.id).status is LeaseStatus.CLOSED
    assert (ended.state, ended.history[-1].reason) == (JobState.CANCELLED, JobReason.GROUP_BROKEN)
    assert ended.history[-1].note == group.failure
    assert ended.attempts()[0].exit == "LeaseTerminated"
    assert group.sums().paid > 0


def test_a_node_that_is_declined_for_good_ends_the_others(
    desk: Desk, play: Play, gateway: Gateway, group: JobGroup
) -> None:
    """It is on the book again and nobody takes it: after the patience for silence the rest stops costing money."""
    for job in group.jobs:
        play.open(desk, job)
    gateway.send(PROVIDER, verbs.decline(gateway.book.market, play.order_of(desk, group.jobs[1])))
    desk.step()
    play.pass_time(10)
    desk.step()
    assert [job.state for job in group.jobs] == [JobState.RUNNING, JobState.SUBMITTED]

    play.pass_time(10)

    assert group.wait(20) is JobState.UNPLACED
    assert group.failure == "node 1 of 2 found no place within 15 s of another"
    assert {gateway.market.lease_of(job.id).status for job in group.jobs} == {LeaseStatus.CLOSED}
    assert {job.history[-1].reason for job in group.jobs} == {JobReason.GROUP_BROKEN}


def test_calling_one_node_off_calls_all_off(desk: Desk, play: Play, gateway: Gateway, group: JobGroup) -> None:
    """Half of a job is worth nothing; whichever way it is called off."""
    _start(desk, play, group.jobs[0])

    group.jobs[1].cancel()

    assert group.wait(20) is JobState.CANCELLED
    assert group.failure == "node 1 of 2 was cancelled"
    assert {gateway.market.lease_of(job.id).status for job in group.jobs} == {LeaseStatus.CLOSED}
    other = desk.market.submit_group(play.request(), 2)
    assert other.cancel() is JobState.CANCELLED


def test_a_node_that_has_been_claimed_is_left_to_its_claim(
    desk: Desk, play: Play, gateway: Gateway, group: JobGroup
) -> None:
    """Its work is done and cannot be terminated any more: it is settled by itself, though another node has failed."""
    _start(desk, play, *group.jobs)
    result, _ = play.result()
    order = play.order_of(desk, group.jobs[0])
    gateway.send(PROVIDER, verbs.claim(gateway.book.market, order, Seconds(5), bytes32_of(result.sha256)))
    play.hand_in(group.jobs[1], 5, exit_code=1)
    desk.step()
    desk.step()

    assert group.failure == "node 1 of 2 failed: exit code 1 after 5 s"
    assert [job.state for job in group.jobs] == [JobState.RUNNING, JobState.FAILED]
    assert gateway.market.lease_of(group.jobs[0].id).status is LeaseStatus.CLAIMED


def test_a_node_is_not_ordered_again_by_itself(desk: Desk, play: Play, group: JobGroup) -> None:
    """Elsewhere it would not be beside the others: its silent provider is waited for until the deadline."""
    for job in group.jobs:
        play.open(desk, job)
    play.api.heartbeat()
    play.pass_time(100)
    desk.step()

    assert [len(job.orders) for job in group.jobs] == [1, 1]
    assert group.state is JobState.RUNNING


def test_another_process_ends_the_others_after_a_crash(desk: Desk, play: Play, group: JobGroup) -> None:
    """Which nodes belong together is in the journal, and so is why they were ended."""
    _start(desk, play, *group.jobs)
    play.hand_in(group.jobs[0], 5, exit_code=2)

    reborn = desk.again()
    (again,) = {job.kept.group.id for job in reborn.market.jobs() if job.kept.group}
    found = JobGroup(reborn.market, again)

    assert found.wait(20) is JobState.FAILED
    assert found.failure == "node 0 of 2 failed: exit code 2 after 5 s"


def test_a_crash_while_submitting_loses_no_node(desk: Desk, play: Play) -> None:
    """All nodes are written down before the first is posted: a restart posts those that are missing."""
    desk.line.crash_after = "POST /v1/orders"
    with pytest.raises(Crash):
        desk.market.submit_group(play.request(), 3)

    reborn = desk.again()
    reborn.step()

    jobs = reborn.market.jobs()
    assert [play.api.order(job.id).state for job in jobs] == ["book"] * 3


def test_money_for_some_nodes_only_is_no_money(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Each order alone would be taken; together they cost more than there is, and nothing is signed away."""
    free = gateway.market.balance_of(desk.market.account)
    price = free * 3600 // 600 * 2 // 3

    with pytest.raises(InsufficientBalance):
        desk.market.submit_group(play.request(max_price=price), 2)

    assert desk.market.jobs() == ()
    assert desk.line.sent("POST", "/orders") == []


def test_a_group_that_the_gateway_refuses_is_over(desk: Desk, play: Play) -> None:
    """The refusal reaches the caller; what the gateway has seen is cancelled on the chain, what never left is over."""
    desk.line.busy["POST /v1/orders"] = 422
    with pytest.raises(GatewayProblem) as refused:
        desk.market.submit_group(play.request(), 2)

    desk.step()

    assert refused.value.status == 422
    assert [job.state for job in desk.market.jobs()] == [JobState.CANCELLED, JobState.UNPLACED]
    assert len(desk.line.sent("POST", "/v1/orders")) == 1


def test_a_refusal_of_a_later_node_ends_the_earlier_ones(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Here the money goes away between the two posts: the first node's order cannot be opened any more, by anybody."""
    free = gateway.market.balance_of(desk.market.account)

    def spend(request: httpx.Request, content: bytes) -> None:
        if request.url.path == "/v1/orders" and len(desk.line.sent("POST", "/v1/orders")) == 1:
            gateway.send(CLIENT, verbs.withdraw(gateway.book.market, CLIENT.address, free))

    desk.line.tampers.append(spend)
    with pytest.raises(GatewayProblem) as refused:
        desk.market.submit_group(play.request(), 3)
    gateway.fund(CLIENT, free)
    desk.step()

    jobs = desk.market.jobs()
    assert refused.value.reason == "ClientBalanceTooLow"
    assert [job.state for job in jobs] == [JobState.CANCELLED, JobState.CANCELLED, JobState.UNPLACED]
    assert gateway.market.lease_of(jobs[0].id).status is LeaseStatus.CLOSED
    assert len(desk.line.sent("POST", "/v1/orders")) == 2
