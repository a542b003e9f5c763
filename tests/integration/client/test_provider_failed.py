"""A provider that says itself that it failed ends its lease, and not the job, as long as somebody else can do the work."""

from __future__ import annotations

import pytest

from marketplace.client import Job, JobReason, JobState
from marketplace.client.handed_back import SETTLED_AFTER_SECONDS
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.results import EndedReason
from marketplace.domain.units import Seconds
from tests.integration.client.conftest import Desk, Play


@pytest.mark.parametrize("reason", [EndedReason.STOPPED, EndedReason.NOT_RUN])
def test_the_work_is_ordered_elsewhere_once_the_failed_lease_is_settled(
    desk: Desk, play: Play, running: Job, reason: EndedReason
) -> None:
    """Its receipt is signed and what it counts is paid; the next order excludes it, and only then two are paid in turn, never at once."""
    first = running.orders[-1]
    play.hand_in(running, 5, ended=reason)

    desk.step()

    assert (running.state, len(running.orders)) == (JobState.RUNNING, 1)
    play.settle(desk, running)
    desk.step()
    assert (running.state, running.history[-1].reason) == (JobState.SUBMITTED, JobReason.PROVIDER_FAILED)
    assert running.kept.job.excluded == (play.offer.provider,)
    play.open(desk, running, play.other_offer)
    play.hand_in(running, 0, api=play.other_api)
    desk.step()
    assert running.state is JobState.SUCCEEDED
    assert play.gateway.market.lease_of(first).status is LeaseStatus.CLOSED


def test_who_hands_a_job_back_and_does_not_settle_holds_it_up_no_longer_than_a_moment(
    desk: Desk, play: Play, running: Job
) -> None:
    """The client brings both signatures to the chain itself, pays what the receipt counts, and orders elsewhere; once, however often it looks."""
    first = running.orders[-1]
    play.hand_in(running, 5, ended=EndedReason.STOPPED)
    desk.step()
    steps = desk.market.session.steps()
    next(steps)
    assert play.gateway.market.lease_of(first).status is LeaseStatus.OPEN

    play.pass_time(SETTLED_AFTER_SECONDS)
    for _ in range(3):
        next(steps)

    lease = play.gateway.market.lease_of(first)
    assert (lease.status, lease.paid_seconds) == (LeaseStatus.CLOSED, 5)
    assert (running.state, running.history[-1].reason) == (JobState.SUBMITTED, JobReason.PROVIDER_FAILED)


def test_without_a_retry_left_the_job_has_failed(desk: Desk, play: Play) -> None:
    """The client that wants one attempt is told how that ended."""
    job = desk.market.submit(play.request(retries=0))
    play.open(desk, job)
    play.pass_time(10)
    play.hand_in(job, 5, ended=EndedReason.STOPPED)

    desk.step()

    assert (job.state, job.history[-1].reason) == (JobState.FAILED, JobReason.RESULT_VERIFIED)


def test_who_comes_back_to_say_that_it_failed_ends_nobody_elses_lease(desk: Desk, play: Play) -> None:
    """A silent provider's work is done elsewhere; its word that it did not do it is no result to take instead."""
    play.api.heartbeat()
    play.other_api.heartbeat()
    job = desk.market.submit(play.request(silent_after=Seconds(15)))
    play.open(desk, job)
    play.keep_silent(desk, 20)
    silent, _ = job.orders
    play.open(desk, job, play.other_offer)

    play.hand_in(job, 0, ended=EndedReason.NOT_RUN, lease=silent)
    desk.step()
    desk.step()

    assert job.state is JobState.RUNNING
    assert play.gateway.market.lease_of(job.orders[-1]).status is LeaseStatus.OPEN
    play.hand_in(job, 0, api=play.other_api)
    desk.step()
    assert job.state is JobState.SUCCEEDED
