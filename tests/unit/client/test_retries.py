"""What a client makes of what it sees: one decision per sight, and no sight without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.client.journal_rows import KeptOrder
from marketplace.client.lease_events import LeaseEvent
from marketplace.client.retries import Become, GiveUp, LookForReceipt, OrderAgain, ReadOutcome, Sight, Stay, decide
from marketplace.client.terms import JobTerms
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address, Bytes32, Sha256
from marketplace.domain.leases import NO_LEASE, Lease, LeaseStatus
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.states import JOB_TERMINAL, JobEvent, JobReason, JobState, TrackedJob
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime
from tests.unit.client.happened import happened

ID = Bytes32("0x" + "11" * 32)
CLIENT, PROVIDER, ARBITER = (Address("0x" + digit * 40) for digit in "abc")
NOW = 1_000
TERMS = JobTerms(retries=1, expires_in_seconds=Seconds(600), silent_after_seconds=Seconds(15))
RESULT = "0x" + "22" * 32


def an_order(**changed: Any) -> Order:
    order = Order(CLIENT, 2, 0, 1, 600, 0, 400_000, 0, 0, NOW + 100, 0, CLIENT, CLIENT, ARBITER, ID, 1)  # type: ignore[arg-type]
    return replace(order, **changed)


def kept(**changed: Any) -> KeptOrder:
    return KeptOrder(SignedOrder(ID, an_order(**changed), "0x"), ID, 1, b"{}", b"[]", UnixTime(NOW), True, "", "")


def a_job(state: JobState, orders: int = 1) -> TrackedJob:
    event = JobEvent(state, UnixTime(NOW), JobReason.ORDER_ACCEPTED)
    return TrackedJob(ID, "job", state, (ID,) * orders, Sha256("33" * 32), (event,))


def a_lease(status: LeaseStatus, **changed: Any) -> Lease:
    lease = replace(NO_LEASE, status=status, offer=1, price=PricePerGpuHour(300_000), opened_at=UnixTime(NOW - 50))
    return replace(lease, **changed)


def sight(lease: Lease, *moves: LeaseEvent, silent: int = 0, at: int = NOW) -> Sight:
    return Sight(BlockRef(9, ID, UnixTime(at)), lease, PROVIDER, Seconds(silent), moves)


def move(name: str, number: int = 1, **amounts: int | str) -> LeaseEvent:
    return happened(name, ID, number, NOW, ID, **amounts)


OPENED = move("LeaseOpened", 1, offer=1, price=300_000)


def test_a_waiting_order_waits() -> None:
    """On the book and not expired: nothing to be done."""
    assert decide(a_job(JobState.SUBMITTED), kept(), TERMS, sight(NO_LEASE)) == Stay()


@pytest.mark.parametrize("status", [LeaseStatus.OPEN, LeaseStatus.CLAIMED, LeaseStatus.DISPUTED])
def test_an_opened_order_runs(status: LeaseStatus) -> None:
    """Live in whatever way: the job has begun."""
    decision = decide(a_job(JobState.SUBMITTED), kept(), TERMS, sight(a_lease(status), OPENED))

    assert isinstance(decision, Become)
    assert (decision.to, decision.reason) == (JobState.RUNNING, JobReason.LEASE_OPENED)


def test_a_whole_run_that_was_missed_is_caught_up_with() -> None:
    """Opened and closed while nobody looked: the job runs first, and then is over."""
    decision = decide(a_job(JobState.SUBMITTED), kept(), TERMS, sight(a_lease(LeaseStatus.CLOSED), OPENED))

    assert isinstance(decision, Become)
    assert decision.to is JobState.RUNNING


@pytest.mark.parametrize(("at", "over"), [(NOW + 99, False), (NOW + 100, True)])
def test_an_order_expires_by_block_time(at: int, over: bool) -> None:
    """expiresAt is the first second at which it may no longer be opened."""
    decision = decide(a_job(JobState.SUBMITTED), kept(), TERMS, sight(NO_LEASE, at=at))

    assert decision == (Become(JobState.UNPLACED, JobReason.ORDER_EXPIRED) if over else Stay())


def test_a_closed_order_without_any_event_is_left_until_the_events_are_there() -> None:
    """Events may lag behind the head; nothing is said about a job that is not certain."""
    assert decide(a_job(JobState.SUBMITTED), kept(), TERMS, sight(a_lease(LeaseStatus.CLOSED))) == Stay()
    assert decide(a_job(JobState.RUNNING), kept(), TERMS, sight(a_lease(LeaseStatus.CLOSED), OPENED)) == Stay()


def test_a_cancelled_order_is_cancelled() -> None:
    """By event, or by the flag that forbids opening it again."""
    cancelled = Become(JobState.CANCELLED, JobReason.CLIENT_CANCELLED)
    by_event = sight(a_lease(LeaseStatus.CLOSED), move("OrderCancelled", by=CLIENT))

    assert decide(a_job(JobState.SUBMITTED), kept(), TERMS, by_event) == cancelled
    assert decide(a_job(JobState.SUBMITTED), kept(), TERMS, sight(replace(NO_LEASE, no_reopen=True))) == cancelled


@pytest.mark.parametrize("status", [LeaseStatus.OPEN, LeaseStatus.CLAIMED])
def test_a_running_job_is_looked_after(status: LeaseStatus) -> None:
    """While the lease can be settled, a receipt is looked for."""
    assert decide(a_job(JobState.RUNNING), kept(), TERMS, sight(a_lease(status), OPENED)) == LookForReceipt()


@pytest.mark.parametrize(("silent", "given_up"), [(15, True), (14, False), (0, False), (500, True)])
def test_a_provider_is_given_up_after_long_silence(silent: int, given_up: bool) -> None:
    """After as many seconds of evidence as the client's patience has, and not one before."""
    decision = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(a_lease(LeaseStatus.OPEN), OPENED, silent=silent))

    assert isinstance(decision, OrderAgain if given_up else LookForReceipt)


def test_who_wants_no_second_lease_gives_the_first_up_before() -> None:
    """With ``terminate`` nothing is ordered beside a live lease: it is given up, then ended by us, and only then the work is ordered again."""
    terms, job = replace(TERMS, on_silence="terminate"), a_job(JobState.RUNNING)
    silent, given_up = sight(a_lease(LeaseStatus.OPEN), OPENED, silent=15), replace(kept(), given_up_at=UnixTime(NOW))
    ended = sight(a_lease(LeaseStatus.CLOSED), OPENED, move("LeaseTerminated", 2, by=CLIENT, paid_seconds=5, paid=1))

    assert isinstance(decide(job, kept(), terms, silent), GiveUp)
    assert decide(job, given_up, terms, silent) == LookForReceipt()
    again = decide(job, given_up, terms, ended)
    assert isinstance(again, OrderAgain)
    assert again.reason is JobReason.PROVIDER_SILENT
    assert decide(job, kept(), terms, ended) == Become(JobState.CANCELLED, JobReason.CLIENT_CANCELLED)


@pytest.mark.parametrize(("at", "over"), [(NOW + 99, False), (NOW + 100, True)])
def test_a_refused_order_is_over_when_it_can_be_opened_no_more(at: int, over: bool) -> None:
    """A gateway that will not have it may still hand it on: until block time says otherwise it waits, and can be served."""
    refused = replace(kept(), is_posted=False, is_refused=True, note="refused")
    over_now = Become(JobState.UNPLACED, JobReason.ORDER_REFUSED, "refused")

    assert decide(a_job(JobState.SUBMITTED), refused, TERMS, sight(NO_LEASE, at=at)) == (over_now if over else Stay())
    opened = decide(a_job(JobState.SUBMITTED), refused, TERMS, sight(a_lease(LeaseStatus.OPEN), OPENED))
    assert isinstance(opened, Become)
    assert opened.to is JobState.RUNNING


def test_without_retries_a_silent_provider_is_waited_for() -> None:
    """It may come back before the deadline; the lease pays the client if it does not."""
    terms = replace(TERMS, retries=0)

    silent = sight(a_lease(LeaseStatus.OPEN), OPENED, silent=500)

    assert decide(a_job(JobState.RUNNING), kept(), terms, silent) == LookForReceipt()
    assert decide(a_job(JobState.RUNNING, orders=2), kept(), TERMS, silent) == LookForReceipt()


def test_a_declined_job_is_on_the_book_again() -> None:
    """The lease is None again, and the order has not changed."""
    declined = move("LeaseDeclined", 2, status=0, refund=1, bond=1)
    decision = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(NO_LEASE, OPENED, declined))

    assert isinstance(decision, Become)
    assert (decision.to, decision.reason) == (JobState.SUBMITTED, JobReason.LEASE_DECLINED)


def test_a_job_whose_opening_is_gone_was_not_declined() -> None:
    """Only an event says that a provider declined; without one the chain has taken the opening back."""
    decision = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(NO_LEASE))

    assert isinstance(decision, Become)
    assert (decision.to, decision.reason) == (JobState.SUBMITTED, JobReason.REORGANISED)


def test_what_was_settled_is_read() -> None:
    """By a receipt or by an unanswered claim, the outcome is the result that the chain names."""
    settled = move("LeaseSettled", 3, used_seconds=5, result=RESULT, last=1, paid=1, refund=2, bond=3)
    claimed = move("LeaseClaimed", 2, used_seconds=7, result=RESULT)
    finalized = move("LeaseFinalized", 3, paid_seconds=7, paid=1, refund=2, bond=3)
    closed = a_lease(LeaseStatus.CLOSED)

    by_receipt = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(closed, OPENED, settled))
    by_claim = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(closed, OPENED, claimed, finalized))

    assert by_receipt == ReadOutcome(Bytes32(RESULT), Seconds(5))
    assert by_claim == ReadOutcome(Bytes32(RESULT), Seconds(7))


def test_an_expired_lease_is_retried_and_then_lost() -> None:
    """A provider that never came back: ordered again while retries are left."""
    expired = sight(a_lease(LeaseStatus.CLOSED), OPENED, move("LeaseExpired", 2, refund=1, compensation=1, bond=0))

    again = decide(a_job(JobState.RUNNING), kept(), TERMS, expired)
    lost = decide(a_job(JobState.RUNNING, orders=2), kept(), TERMS, expired)

    assert isinstance(again, OrderAgain)
    assert (again.provider, again.reason) == (PROVIDER, JobReason.LEASE_EXPIRED)
    assert isinstance(lost, Become)
    assert (lost.to, lost.reason) == (JobState.LOST, JobReason.RETRIES_EXHAUSTED)


def test_a_lease_that_is_declined_for_good_is_retried_and_then_lost() -> None:
    """Its order can be opened by nobody any more."""
    declined = sight(a_lease(LeaseStatus.CLOSED), OPENED, move("LeaseDeclined", 2, status=4, refund=1, bond=1))

    again = decide(a_job(JobState.RUNNING), kept(), TERMS, declined)
    lost = decide(a_job(JobState.RUNNING, orders=2), kept(), TERMS, declined)

    assert isinstance(again, OrderAgain)
    assert again.reason is JobReason.LEASE_DECLINED
    assert isinstance(lost, Become)
    assert lost.to is JobState.LOST


def test_a_dispute_that_the_client_won_or_nobody_decided_is_ordered_again() -> None:
    """While retries are left; who lost it does not pay for a second attempt without being asked."""
    at_fault, not_at_fault = (
        move("LeaseRuled", 2, provider_at_fault=fault, paid_seconds=1, paid=1, refund=1, to_disputer=1)
        for fault in (1, 0)
    )
    lapsed = move("LeaseLapsed", 2, paid_seconds=1, paid=1, refund=1, bond=1, stake=1)
    closed = a_lease(LeaseStatus.CLOSED)

    for ended in (at_fault, lapsed):
        again = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(closed, OPENED, ended))
        assert isinstance(again, OrderAgain)
        assert again.reason is JobReason.DISPUTE_ENDED
    lost = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(closed, OPENED, not_at_fault))
    assert isinstance(lost, Become)
    assert (lost.to, lost.reason) == (JobState.LOST, JobReason.DISPUTE_ENDED)


def test_a_terminated_job_was_called_off() -> None:
    """By us, whichever process of ours it was."""
    ended = move("LeaseTerminated", 2, by=CLIENT, paid_seconds=5, paid=1, refund=2, bond=3)

    decision = decide(a_job(JobState.RUNNING), kept(), TERMS, sight(a_lease(LeaseStatus.CLOSED), OPENED, ended))

    assert decision == Become(JobState.CANCELLED, JobReason.CLIENT_CANCELLED)


@pytest.mark.parametrize("state", sorted(JOB_TERMINAL))
def test_a_job_that_is_over_stays_over(state: JobState) -> None:
    """Whatever the chain does later."""
    assert decide(a_job(state), kept(), TERMS, sight(a_lease(LeaseStatus.OPEN), OPENED)) == Stay()
