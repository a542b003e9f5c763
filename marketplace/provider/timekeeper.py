"""The owner of a serving's deadlines until its job is over: giving back in time, metering, and ending it before a claim were late.

What is here reads the chain's word, the journal and the agent's memory, and waits for nothing: no gateway, file or job can hold it
up. Time that this provider lost is counted here, and not charged.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from marketplace.chain import verbs
from marketplace.domain.blocks import BlockRef
from marketplace.domain.leases import Lease
from marketplace.domain.pricing import start_of
from marketplace.domain.results import EndedReason
from marketplace.domain.states import ServingState
from marketplace.domain.units import Bps, Seconds, UnixTime
from marketplace.provider import metering
from marketplace.provider.attendance import Attendance, JobEnd
from marketplace.provider.capacity import Capacity
from marketplace.provider.declines import DeclineNotices
from marketplace.provider.executors.base import EndReason, ExecutionResult
from marketplace.provider.gas_funds import GasFunds
from marketplace.provider.preflight import Obstacle, ObstacleReason
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving

_log = structlog.get_logger()

KILLED = 137
"""128 + SIGKILL, as a shell would say it."""

_STOPPED: dict[EndReason, str] = {
    EndReason.TIME_LIMIT: "stopped: the seconds that the order pays for are used up",
    EndReason.KILLED: "stopped: the seconds that the order pays for are used up",
    EndReason.MEMORY_LIMIT: "stopped: it used more memory than its spec asks for",
    EndReason.DISK_LIMIT: "stopped: its inputs and what it wrote take more disk than its spec asks for",
    EndReason.FILES_LIMIT: "stopped: more files, or deeper folders, than a job may have",
    EndReason.UNATTENDED: "stopped: the provider's agent was away for too long",
    EndReason.LOST: "not run: the sandbox failed, which is not the job's doing and costs nothing",
}
_OURS = frozenset({EndReason.LOST, EndReason.UNATTENDED})
"""What ended the job was this provider's doing, and costs nothing."""
_HANDED_BACK = "stopped: this provider is leaving; what was done until then is delivered, and paid by the second"
_UNPAID = "stopped: what was served beyond the guarantee was not signed for; it is claimed"
_FOLLOWED = "ended: the session that goes on with it is there"
_ENDED: dict[EndReason, EndedReason] = {
    EndReason.EXITED: EndedReason.EXITED,
    EndReason.TIME_LIMIT: EndedReason.TIME_LIMIT,
    EndReason.KILLED: EndedReason.TIME_LIMIT,
    EndReason.MEMORY_LIMIT: EndedReason.MEMORY_LIMIT,
    EndReason.DISK_LIMIT: EndedReason.DISK_LIMIT,
    EndReason.FILES_LIMIT: EndedReason.FILES_LIMIT,
    EndReason.UNATTENDED: EndedReason.STOPPED,
    EndReason.LOST: EndedReason.SANDBOX_FAILED,
}
"""What the executor's word is in the result; it kills for us only when the order's seconds are used up."""
_WORK_INVALID = (ObstacleReason.SPEC_INVALID, ObstacleReason.INPUT_INVALID, ObstacleReason.GPUS_DIFFER)


def _note_on(result: ExecutionResult) -> str:
    """Why the job was ended, and what was seen of it; what went through its way out. Nothing else about a job that ended by itself."""
    said = _STOPPED.get(result.ended, "")
    said = f"{said} ({result.evidence})" if said and result.evidence else said
    carried = f"{result.egress_bytes} bytes went through its way out" if result.egress_bytes else ""
    return "; ".join(filter(None, (said, carried)))


def _note_gap(attendance: Attendance, result: ExecutionResult) -> None:
    """Remember what is missing in the log. The pay does not wait for a disk that is full."""
    try:
        if result.log is not None:
            attendance.folder.note_gap(result.log.missing_from, result.log.missing_bytes)
    except OSError as exc:
        _log.warning("log.gap_not_noted", folder=attendance.folder.name, error=str(exc))


class Timekeeper:
    """Brings servings that cannot be run back to the market, and those that ran to EXITED."""

    def __init__(self, tools: Toolbox, capacity: Capacity, gas_funds: GasFunds, notices: DeclineNotices) -> None:
        self._tools = tools
        self._capacity = capacity
        self._gas_funds = gas_funds
        self._notices = notices

    # What runs

    def notice(self, attendance: Attendance) -> None:
        """See whether the job is over: it was still running at the block at which it was seen last."""
        if attendance.execution is None or attendance.ended is not None:
            return
        result = attendance.execution.poll()
        if result is not None:
            attendance.ended = JobEnd(result, attendance.seen_running, attendance.away_since is not None)
            _log.info("job.ended", folder=attendance.folder.name, exit_code=result.exit_code, ended=result.ended)

    def count(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Count the time to this block as the job's own; or as lost, where nobody here has watched it."""
        self.notice(attendance)
        if attendance.execution is None or attendance.ended is not None:
            return serving
        since, attendance.away_since = attendance.away_since, None
        if since is not None and since < head.timestamp:
            lost = Seconds(head.timestamp - max(since, start_of(serving.order, lease)))
            serving = self._tools.journal.note(serving, lost_seconds=Seconds(serving.lost_seconds + max(0, lost)))
            _log.warning("serving.unwatched", lease=serving.lease, lost_seconds=lost)
        attendance.seen_running = head
        return serving

    def metered(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Meter a job that is over; and one that nobody can say anything about before our claim would be late."""
        if attendance.ended is not None and not attendance.is_stopped:
            after = attendance.ended.after or head
            attendance.ended = replace(attendance.ended, after=after)
            if attendance.ended.is_unwatched:
                return self._exited(serving, attendance, lease, after.timestamp)
            if head.number <= after.number:
                return serving  # the first block at or after the end is still to come
            return self._exited(serving, attendance, lease, self._tools.chain.block(after.number + 1).timestamp)
        if attendance.obstacle:
            return self.not_run(serving, attendance, attendance.obstacle, lease, head)
        if attendance.execution is None:
            overdue = self._overdue(serving, attendance, lease, head)
            return self.not_run(serving, attendance, overdue, lease, head) if overdue else serving
        window = metering.claim_window(serving.order, lease, self._tools.terms, self._tools.policy)
        if metering.seconds_left(serving.order, lease, head.timestamp) == 0 and head.timestamp >= window.last_call_at:
            _log.error("job.will_not_die", lease=serving.lease)
            attendance.ended, attendance.is_stopped = JobEnd(ExecutionResult(KILLED, EndReason.KILLED, ()), head), False
        return serving

    def _exited(self, serving: Serving, attendance: Attendance, lease: Lease, ended_at: UnixTime) -> Serving:
        assert attendance.ended, "that is why"
        result = attendance.ended.result
        used = lease.paid_seconds
        if result.ended not in _OURS:
            metered = metering.used_seconds if attendance.is_handed_back else metering.owed_seconds
            used = metered(serving.order, lease, ended_at, serving.lost_seconds)
        was_handed_back = attendance.is_handed_back and result.ended is EndReason.KILLED
        ended = EndedReason.STOPPED if was_handed_back else _ENDED[result.ended]
        exit_code = result.exit_code if ended is EndedReason.EXITED else None
        _note_gap(attendance, result)
        lost = (
            f"{serving.lost_seconds} s that the provider lost, or took to have the image, are not charged"
            if serving.lost_seconds
            else ""
        )
        is_followed = attendance.is_followed and result.ended is EndReason.KILLED
        is_unpaid = attendance.progress.is_unpaid and result.ended is EndReason.KILLED
        ours = _HANDED_BACK if attendance.is_handed_back else _FOLLOWED if is_followed else _UNPAID if is_unpaid else ""
        why = ours or _note_on(result)
        note = "; ".join(filter(None, (why, lost)))
        self._capacity.end(serving.key)
        _log.info(
            "serving.exited", lease=serving.lease, exit_code=exit_code, used_seconds=used, ended=result.ended,
            lost_seconds=serving.lost_seconds, enforcement=list(result.enforcement),
        )  # fmt: skip
        return self._tools.journal.advance(
            serving, ServingState.EXITED, at=ended_at, note=note, exit_code=exit_code, ended=ended, used_seconds=used
        )

    def claimed_by_hand(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Its operator has claimed while we were at it: the chain has given its GPUs away, so the job ends, at what was claimed."""
        if attendance.execution is not None and attendance.ended is None:
            attendance.execution.kill()
            return serving
        self._capacity.end(serving.key)
        used = Seconds(max(lease.claimed_seconds, lease.paid_seconds))
        _log.info("serving.claimed_by_hand", lease=serving.lease, used_seconds=used)
        return self._tools.journal.advance(
            serving,
            ServingState.EXITED,
            at=head.timestamp,
            note="ended: claimed by hand",
            ended=EndedReason.LEASE_OVER,
            used_seconds=used,
        )

    # What cannot be run

    def leave(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef, *, must_end: bool) -> None:
        """The agent leaves: what has not begun is declined where that is free; ``must_end``: what runs is stopped, too, and handed back."""
        if attendance.starting.is_under_way:
            return
        if attendance.execution is not None:
            if must_end and attendance.ended is None and not attendance.is_handed_back:
                _log.info("job.handed_back", lease=serving.lease)
                attendance.is_handed_back = True
                attendance.execution.kill()
            return
        bond_bps = attendance.offer.bond_bps if attendance.offer else Bps(0)
        is_free = serving.state is ServingState.SEEN and metering.can_decline(
            serving.order, lease, head.timestamp, bond_bps, self._tools.terms
        )
        if (is_free or must_end) and attendance.ended is None:
            attendance.obstacle = attendance.obstacle or Obstacle(ObstacleReason.LEAVING, "this provider is stopping")

    def declining(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Give the lease back while that is free: at once where the obstacle stays, as late as possible where it may pass."""
        if attendance.obstacle is None and self._gas_funds.trouble and not metering.is_term_lease(serving.order, lease):
            attendance.obstacle = Obstacle(ObstacleReason.NO_COIN_FOR_GAS, self._gas_funds.trouble)
        if attendance.obstacle is None:
            attendance.obstacle = self._overdue(serving, attendance, lease, head)
        obstacle = attendance.obstacle
        if obstacle is None:
            return serving
        sent = attendance.dispatch.outcome(head.number)
        if sent and sent.mined:
            _log.info("lease.declined", lease=serving.lease, reason=obstacle.reason, detail=obstacle.detail)
            return serving
        if not attendance.dispatch.is_idle or head.number < attendance.dispatch.seen_from:
            return serving
        bond_bps = attendance.offer.bond_bps if attendance.offer else Bps(0)
        is_open = metering.can_decline(serving.order, lease, head.timestamp, bond_bps, self._tools.terms)
        if is_open and not (sent and sent.reverted):
            _log.warning("lease.cannot_run", lease=serving.lease, reason=obstacle.reason, detail=obstacle.detail)
            attendance.send(verbs.decline(self._tools.desk, serving.order), head)
            self._notices.tell(serving, obstacle, head.timestamp)
            return serving
        return self.not_run(serving, attendance, obstacle, lease, head)

    def not_run(
        self, serving: Serving, attendance: Attendance, obstacle: Obstacle, lease: Lease, head: BlockRef
    ) -> Serving:
        """Too late to decline: it ends here, with a receipt over what was paid already, and the reason in its log."""
        self._capacity.end(serving.key)
        note = f"not run: {obstacle}"
        _log.warning("serving.not_run", lease=serving.lease, reason=obstacle.reason, detail=obstacle.detail)
        return self._tools.journal.advance(
            serving,
            ServingState.EXITED,
            at=head.timestamp,
            note=note,
            ended=EndedReason.WORK_INVALID if obstacle.reason in _WORK_INVALID else EndedReason.NOT_RUN,
            used_seconds=lease.paid_seconds,
        )

    def _overdue(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Obstacle | None:
        """What is given up now, of all that might still have come."""
        if metering.seconds_left(serving.order, lease, head.timestamp) == 0:
            return Obstacle(ObstacleReason.OUT_OF_TIME, "the seconds that the order pays for are used up")
        if not self._is_too_late(serving, attendance, lease, head):
            return None
        if attendance.is_found:
            return Obstacle(ObstacleReason.MACHINE_FAILED, "what an agent before left of it cannot be ended")
        if attendance.trouble is not None:
            return attendance.trouble
        if attendance.assignment is None:
            return Obstacle(ObstacleReason.SPEC_NOT_DELIVERED, "the gateway takes too long")
        if attendance.is_waiting_for_room:
            return Obstacle(ObstacleReason.MACHINE_BUSY, "GPUs, memory or disk are held by other jobs")
        # A large input that is still arriving is no reason to give up; one that has failed to arrive is.
        return None

    def _is_too_late(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> bool:
        """Whether what is not there by now is given up: in time to decline, or, past that, when our patience ends.

        A term lease cannot be declined, and costs nobody anything before it begins: our patience begins then."""
        policy = self._tools.policy
        if metering.is_term_lease(serving.order, lease):
            since = max(attendance.since, start_of(serving.order, lease))
            return head.timestamp >= since + policy.fetch_patience_seconds
        decide_by = metering.decline_window(lease, self._tools.terms, policy).decide_by
        if attendance.since < decide_by:
            return head.timestamp >= decide_by
        return head.timestamp >= attendance.since + policy.fetch_patience_seconds
