"""A job of several nodes: when it can no longer succeed, which node is to blame, and how it ended."""

from __future__ import annotations

import pytest

from marketplace.client.breaches import breach_of, groups_in, node_name, state_of
from marketplace.client.journal_rows import KeptJob
from marketplace.client.terms import JobTerms
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.spec import Group
from marketplace.domain.states import JobEvent, JobReason, JobState, TrackedJob
from marketplace.domain.units import Seconds, UnixTime

TERMS = JobTerms(0, Seconds(600), Seconds(15))
S, R = JobState, JobReason


def node(rank: int, *steps: tuple[JobState, int, JobReason, str], size: int = 2, group: str = "ab" * 32) -> KeptJob:
    """A node with its history after it was put on the book at 0."""
    identifier = Bytes32("0x" + f"{rank + 1:064x}")
    history = tuple(
        JobEvent(state, UnixTime(at), reason, note)
        for state, at, reason, note in ((S.SUBMITTED, 0, R.ORDER_ACCEPTED, ""), *steps)
    )
    job = TrackedJob(identifier, "train", history[-1].state, (identifier,), Sha256("33" * 32), history)
    return KeptJob(job, TERMS, 1, rank + 1, Group(group, size, rank))


OPENED = (S.RUNNING, 10, R.LEASE_OPENED, "")
DONE = (S.SUCCEEDED, 20, R.RESULT_VERIFIED, "exit code 0 after 10 s")
FAILED = (S.FAILED, 20, R.RESULT_VERIFIED, "exit code 3 after 10 s")
ENDED = (S.CANCELLED, 25, R.GROUP_BROKEN, "node 1 of 2 failed: exit code 3 after 10 s")
DECLINED = (S.SUBMITTED, 12, R.LEASE_DECLINED, "the provider declined")


def test_a_group_in_which_nothing_has_happened_is_whole() -> None:
    """All waiting, all running, one done before the other: nothing to be ended."""
    for nodes in (
        [node(0), node(1)],
        [node(0, OPENED), node(1, OPENED)],
        [node(0, OPENED, DONE), node(1, OPENED)],
        [node(0, OPENED, DONE), node(1, OPENED, DONE)],
    ):
        assert breach_of(nodes, UnixTime(10_000)) == ""


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((OPENED, FAILED), "node 1 of 2 failed: exit code 3 after 10 s"),
        ((OPENED, (S.LOST, 30, R.LEASE_DECLINED, "declined for good")), "node 1 of 2 was lost: declined for good"),
        (((S.UNPLACED, 30, R.ORDER_EXPIRED, ""),), "node 1 of 2 found no place"),
        (((S.CANCELLED, 30, R.CLIENT_CANCELLED, ""),), "node 1 of 2 was cancelled"),
    ],
)
def test_a_node_that_ends_without_success_breaks_its_group(
    steps: tuple[tuple[JobState, int, JobReason, str], ...], told: str
) -> None:
    """Whatever ended it; the sentence names the node and says how."""
    assert breach_of([node(0, OPENED), node(1, *steps)], UnixTime(31)) == told


def test_the_node_that_failed_is_blamed_and_not_the_one_that_was_ended_for_it() -> None:
    """Also when the other's end was seen first."""
    nodes = [node(0, OPENED, (S.CANCELLED, 5, R.GROUP_BROKEN, "because of node 1")), node(1, OPENED, FAILED)]

    assert breach_of(nodes, UnixTime(30)).startswith("node 1 of 2 failed")
    assert state_of(nodes) is S.FAILED


@pytest.mark.parametrize(("steps", "since"), [((), 10), ((OPENED, DECLINED), 12)])
def test_a_node_that_stays_behind_breaks_its_group_in_the_end(
    steps: tuple[tuple[JobState, int, JobReason, str], ...], since: int
) -> None:
    """Never opened, or declined while the other runs: after as long as a silent provider would be waited for."""
    nodes = [node(0, OPENED), node(1, *steps)]

    assert breach_of(nodes, UnixTime(since + 14)) == ""
    assert breach_of(nodes, UnixTime(since + 15)) == "node 1 of 2 found no place within 15 s of another"


def test_a_group_of_which_no_node_runs_may_wait_as_long_as_its_orders_do() -> None:
    """Declined together, all of it is on the book again: no money runs out meanwhile."""
    assert breach_of([node(0, OPENED, DECLINED), node(1, OPENED, DECLINED)], UnixTime(500)) == ""


def test_a_group_stands_where_its_last_node_stands() -> None:
    """On the book while one node is, running while one runs, a success when all are."""
    assert state_of([node(0, OPENED), node(1)]) is S.SUBMITTED
    assert state_of([node(0, OPENED, DONE), node(1, OPENED)]) is S.RUNNING
    assert state_of([node(0, OPENED, DONE), node(1, OPENED, DONE)]) is S.SUCCEEDED
    assert state_of([node(0, OPENED, ENDED), node(1, OPENED, FAILED)]) is S.FAILED


def test_a_group_that_was_ended_because_a_node_stayed_behind_found_no_place() -> None:
    """No node failed by itself, and no one called it off."""
    behind = (S.CANCELLED, 40, R.GROUP_BROKEN, "node 1 of 2 found no place within 15 s of another")

    assert state_of([node(0, OPENED, behind), node(1, behind)]) is S.UNPLACED
    assert state_of([node(0, OPENED, DONE), node(1, behind)]) is S.UNPLACED


def test_groups_that_are_over_are_left_alone() -> None:
    """Only groups with a node that is not over are looked at, each by rank, jobs without one never."""
    alone = KeptJob(node(0).job, TERMS, 1, 9)
    over = [node(0, OPENED, DONE, group="cd" * 32), node(1, OPENED, DONE, group="cd" * 32)]
    open_ones = [node(1), node(0, OPENED)]

    assert groups_in([alone, *over, *open_ones]) == [[open_ones[1], open_ones[0]]]


def test_a_node_is_named_by_its_job_and_its_rank() -> None:
    """In every list of jobs."""
    assert node_name(node(1)) == "train · node 1 of 2"
    assert node_name(KeptJob(node(1).job, TERMS, 1, 9)) == "train"
