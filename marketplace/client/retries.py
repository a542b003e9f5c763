"""What to make of a job, decided from what was seen and nothing else: sight in, decision out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.client.journal_rows import KeptOrder
from marketplace.client.lease_events import LeaseEvent
from marketplace.client.spending import exit_of, servings_of
from marketplace.client.terms import JobTerms
from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.states import JobReason, JobState, TrackedJob
from marketplace.domain.units import Seconds


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known about a job's present order: the chain's word at one block, its events, and the gateway's hint."""

    block: BlockRef
    lease: Lease
    provider: Address | None
    """Who serves it, or served it last; None before anybody did."""
    silent_seconds: Seconds
    """How long the provider has given no sign of life, where there is evidence (``client.liveness``); 0 otherwise. It can bring a retry forward
    and decide nothing else."""
    moves: tuple[LeaseEvent, ...]


@dataclass(frozen=True, slots=True)
class Stay:
    """Nothing to be done before the next block."""


@dataclass(frozen=True, slots=True)
class Become:
    """The job is in another state by now."""

    to: JobState
    reason: JobReason
    note: str = ""


@dataclass(frozen=True, slots=True)
class LookForReceipt:
    """It is being served: see whether the provider has signed its last receipt, and countersign if all of it holds."""


@dataclass(frozen=True, slots=True)
class ReadOutcome:
    """The chain has settled it without our signature: verify what the provider left."""

    result: Bytes32
    used_seconds: Seconds


@dataclass(frozen=True, slots=True)
class OrderAgain:
    """The provider failed the job: the same work is ordered elsewhere, without waiting for the money."""

    provider: Address | None
    reason: JobReason
    note: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The provider is silent, and the client wants no second lease beside the first: that is terminated, and then the work is ordered again."""

    note: str


Decision = Stay | Become | LookForReceipt | ReadOutcome | OrderAgain | GiveUp


def decide(job: TrackedJob, order: KeptOrder, terms: JobTerms, sight: Sight) -> Decision:
    """The next thing to be done about a job that is not over."""
    if job.state is JobState.SUBMITTED:
        return _of_submitted(order, sight)
    return _of_running(job, order, terms, sight) if job.state is JobState.RUNNING else Stay()


def _of_submitted(order: KeptOrder, sight: Sight) -> Decision:
    lease = sight.lease
    if lease.status.is_live or (lease.status is LeaseStatus.CLOSED and servings_of(sight.moves)):
        return Become(JobState.RUNNING, JobReason.LEASE_OPENED, f"offer {lease.offer}" if lease.status.is_live else "")
    if lease.status is LeaseStatus.CLOSED or lease.no_reopen:
        # Closed without events: they are behind our confirmations, or it was cancelled. Only what is certain is said.
        is_cancelled = lease.no_reopen or exit_of(sight.moves) is not None
        return Become(JobState.CANCELLED, JobReason.CLIENT_CANCELLED) if is_cancelled else Stay()
    if sight.block.timestamp >= order.signed.order.expires_at:
        if order.is_refused:
            return Become(JobState.UNPLACED, JobReason.ORDER_REFUSED, order.note)
        return Become(JobState.UNPLACED, JobReason.ORDER_EXPIRED)
    return Stay()


def _of_running(job: TrackedJob, order: KeptOrder, terms: JobTerms, sight: Sight) -> Decision:
    status = sight.lease.status
    if status is LeaseStatus.NONE and not _was_declined(sight):
        return Become(
            JobState.SUBMITTED, JobReason.REORGANISED, "its opening has left the chain; the order waits again"
        )
    if status is LeaseStatus.NONE:
        return Become(
            JobState.SUBMITTED, JobReason.LEASE_DECLINED, "the provider declined; the order is on the book again"
        )
    if status is LeaseStatus.CLOSED:
        return _of_closed(job, order, terms, sight)
    if status is LeaseStatus.OPEN and _is_given_up(job, terms, sight):
        note = f"no sign of life from {sight.provider} for {sight.silent_seconds} s"
        if terms.on_silence == "terminate":
            return GiveUp(note) if order.given_up_at is None else LookForReceipt()
        return OrderAgain(sight.provider, JobReason.PROVIDER_SILENT, note)
    return LookForReceipt() if status in (LeaseStatus.OPEN, LeaseStatus.CLAIMED) else Stay()


def _was_declined(sight: Sight) -> bool:
    servings = servings_of(sight.moves)
    return bool(servings) and isinstance(servings[-1].exit, e.LeaseDeclined)


def _is_given_up(job: TrackedJob, terms: JobTerms, sight: Sight) -> bool:
    """Silent for too long, and there is a retry left. Without one the job waits: the provider may come back in time."""
    return (
        bool(terms.silent_after_seconds)
        and retries_left(job, terms) > 0
        and sight.silent_seconds >= terms.silent_after_seconds
    )


def _of_closed(job: TrackedJob, order: KeptOrder, terms: JobTerms, sight: Sight) -> Decision:
    closing = exit_of(sight.moves)
    if closing is None:
        return Stay()
    match closing:
        case e.LeaseSettled() | e.LeaseFinalized():
            return outcome_of(sight.moves, closing)
        case e.LeaseTerminated() if order.given_up_at is not None and terms.on_silence == "terminate":
            return again_or_lost(job, terms, sight.provider, JobReason.PROVIDER_SILENT, "silent, and terminated by us")
        case e.LeaseTerminated() | e.OrderCancelled():
            return Become(JobState.CANCELLED, JobReason.CLIENT_CANCELLED)
        case e.LeaseDeclined():
            return again_or_lost(job, terms, sight.provider, JobReason.LEASE_DECLINED, "the provider declined for good")
        case e.LeaseRuled() | e.LeaseLapsed():
            return _of_dispute(job, terms, sight, closing)
        case _:
            return again_or_lost(job, terms, sight.provider, JobReason.LEASE_EXPIRED, "the provider never came back")


def _of_dispute(job: TrackedJob, terms: JobTerms, sight: Sight, closing: e.LeaseRuled | e.LeaseLapsed) -> Decision:
    """There is no result that both sides stand by. Who lost a dispute pays for no second attempt without being asked."""
    if isinstance(closing, e.LeaseRuled) and not closing.provider_at_fault:
        return Become(JobState.LOST, JobReason.DISPUTE_ENDED, "the arbiter ruled that the provider is not at fault")
    ruled = (
        "the arbiter ruled that the provider is at fault"
        if isinstance(closing, e.LeaseRuled)
        else "nobody ruled in time"
    )
    return again_or_lost(job, terms, sight.provider, JobReason.DISPUTE_ENDED, ruled)


def outcome_of(moves: Sequence[LeaseEvent], closing: e.LeaseSettled | e.LeaseFinalized) -> ReadOutcome:
    """What was settled; a finalized lease settled what was claimed."""
    claims = [event for event in moves if isinstance(event, e.LeaseClaimed)]
    named = closing if isinstance(closing, e.LeaseSettled) else claims[-1]
    return ReadOutcome(named.result, named.used_seconds)


def again_or_lost(job: TrackedJob, terms: JobTerms, provider: Address | None, reason: JobReason, note: str) -> Decision:
    """Order the work again while retries are left; otherwise the job is lost."""
    if retries_left(job, terms) > 0:
        return OrderAgain(provider, reason, note)
    return Become(JobState.LOST, JobReason.RETRIES_EXHAUSTED if terms.retries else reason, note)


def retries_left(job: TrackedJob, terms: JobTerms) -> int:
    """How often the work may still be ordered again."""
    return max(0, terms.retries + 1 - len(job.orders))
