"""The life of a job (the client's view) and of a serving (the provider's view), as tables that code and docs share.

A *job* is one piece of work over all its orders and retries; a *serving* is one opening of one lease. Neither is an on-chain word.
``docs/reference/states.md`` draws both, and a test compares the drawing with these tables.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from marketplace.domain.errors import InvalidTransition
from marketplace.domain.ids import Address, Bytes32, Sha256
from marketplace.domain.units import UnixTime


class JobState(StrEnum):
    """Where a job stands, as its client sees it."""

    SUBMITTED = "submitted"
    """Its order is signed, and on the book as soon as a gateway has taken it."""
    RUNNING = "running"
    """Its lease is open: the meter runs."""
    SUCCEEDED = "succeeded"
    """Exit code 0, outputs verified, receipt signed."""
    FAILED = "failed"
    """It ran and exited with another code; verified and paid for all the same."""
    UNPLACED = "unplaced"
    """Its order expired before anybody served it."""
    LOST = "lost"
    """Its providers fell silent and no retry is left."""
    CANCELLED = "cancelled"
    """The client called it off."""


JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.SUBMITTED: frozenset({JobState.RUNNING, JobState.UNPLACED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.SUBMITTED, JobState.SUCCEEDED, JobState.FAILED, JobState.LOST, JobState.CANCELLED}
    ),
    JobState.SUCCEEDED: frozenset({JobState.SUBMITTED, JobState.RUNNING}),
    JobState.FAILED: frozenset({JobState.SUBMITTED, JobState.RUNNING}),
    JobState.UNPLACED: frozenset({JobState.SUBMITTED}),
    JobState.LOST: frozenset({JobState.SUBMITTED, JobState.RUNNING}),
    JobState.CANCELLED: frozenset({JobState.SUBMITTED, JobState.RUNNING}),
}

JOB_TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.UNPLACED, JobState.LOST, JobState.CANCELLED})
"""Nothing leads on from here but a reorganisation of the chain that takes back what led here."""


class JobReason(StrEnum):
    """Why a job changed its state."""

    ORDER_SIGNED = "order_signed"
    ORDER_ACCEPTED = "order_accepted"
    """What older journals say instead of ORDER_SIGNED."""
    ORDER_REFUSED = "order_refused"
    LEASE_OPENED = "lease_opened"
    LEASE_DECLINED = "lease_declined"
    PROVIDER_SILENT = "provider_silent"
    PROVIDER_FAILED = "provider_failed"
    """It says so itself: it handed the job back, could not run it, or has lost its outputs."""
    LEASE_EXPIRED = "lease_expired"
    DISPUTE_ENDED = "dispute_ended"
    RESULT_VERIFIED = "result_verified"
    RESULT_REJECTED = "result_rejected"
    ORDER_EXPIRED = "order_expired"
    RETRIES_EXHAUSTED = "retries_exhausted"
    CLIENT_CANCELLED = "client_cancelled"
    REORGANISED = "reorganised"
    """The block that told otherwise has left the chain."""
    GROUP_BROKEN = "group_broken"
    """Another node of its group failed, so its client ended this one."""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One transition of a job, kept for ever."""

    state: JobState
    at: UnixTime
    reason: JobReason
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrackedJob:
    """A piece of work, its orders in the order of the attempts, and its history."""

    id: Bytes32
    """The id of its first order."""
    name: str
    state: JobState
    orders: tuple[Bytes32, ...]
    spec: Sha256
    history: tuple[JobEvent, ...]
    excluded: tuple[Address, ...] = ()
    """Providers that failed it."""
    taken: Bytes32 | None = None
    """The order whose result was taken, or is awaited though a later one was signed; None: the newest."""

    @property
    def is_terminal(self) -> bool:
        return self.state in JOB_TERMINAL

    @property
    def order(self) -> Bytes32:
        """The order that the job is about: the one that is being tried now, or whose result was taken."""
        return self.taken or self.orders[-1]


def advance(job: TrackedJob, to: JobState, *, at: UnixTime, reason: JobReason, note: str = "") -> TrackedJob:
    """The job one transition later; the only way to change its state. Raises InvalidTransition."""
    if to not in JOB_TRANSITIONS[job.state]:
        raise InvalidTransition("job", job.id, job.state, to)
    # After a reorganisation the newest block may be older than the last event: history reads forwards all the same.
    told_at = max(at, job.history[-1].at) if job.history else at
    return replace(job, state=to, history=(*job.history, JobEvent(to, told_at, reason, note)))


_TOLD_BY_THE_CHAIN = frozenset(JobReason) - {
    JobReason.ORDER_REFUSED, JobReason.PROVIDER_SILENT, JobReason.REORGANISED,
}  # fmt: skip


def taken_back(job: TrackedJob, gone: Collection[int], at: UnixTime) -> TrackedJob:
    """The job when the blocks that some events of its history (``gone``, counted from 0) rest on have left the chain: in the state that it had
    before them, with one more event that says so.

    The same job where they had not changed it. A signed order stays signed: nothing is taken back beyond the last time that the job was submitted.
    """
    before = len(job.history)
    while before > 1 and before - 1 in gone and _is_taken_back(job.history[before - 1]):
        before -= 1
    if before == len(job.history):
        return job
    note = "what led to it has left the chain"
    return advance(job, job.history[before - 1].state, at=at, reason=JobReason.REORGANISED, note=note)


def _is_taken_back(event: JobEvent) -> bool:
    return event.state is not JobState.SUBMITTED and event.reason in _TOLD_BY_THE_CHAIN


class ServingState(StrEnum):
    """Where a serving stands, as its provider sees it."""

    SEEN = "seen"
    """The lease opened on one of our offers; spec and inputs are being fetched and checked."""
    RUNNING = "running"
    """The executor has it."""
    EXITED = "exited"
    """It ended; outputs are being bundled and uploaded, the receipt signed."""
    RECEIPTED = "receipted"
    """Our receipt is with the client's side; its signature is awaited."""
    SETTLING = "settling"
    """Both signatures are there; the settlement is on its way to the chain."""
    CLAIMED = "claimed"
    """The client stayed silent; our claim stands in its challenge window."""
    CLOSED = "closed"
    """The chain says that the serving is over, whichever way. Only a reorganisation that takes its end back leads on from here."""


SERVING_TRANSITIONS: Mapping[ServingState, frozenset[ServingState]] = {
    ServingState.SEEN: frozenset({ServingState.RUNNING, ServingState.EXITED, ServingState.CLOSED}),
    ServingState.RUNNING: frozenset({ServingState.EXITED, ServingState.CLOSED}),
    ServingState.EXITED: frozenset({ServingState.RECEIPTED, ServingState.CLAIMED, ServingState.CLOSED}),
    ServingState.RECEIPTED: frozenset({ServingState.SETTLING, ServingState.CLAIMED, ServingState.CLOSED}),
    ServingState.SETTLING: frozenset({ServingState.CLAIMED, ServingState.CLOSED}),
    ServingState.CLAIMED: frozenset({ServingState.SETTLING, ServingState.CLOSED}),
    ServingState.CLOSED: frozenset(
        {ServingState.SEEN, ServingState.EXITED, ServingState.RECEIPTED, ServingState.SETTLING}
    ),
}
