"""The job's side of a serving: from the opening of the lease to the job's end. One method per state, each one step on.

Every method is called again and again with the newest block until the state changes. It never waits: what is slow is a
chore. It journals before it acts, so that an agent that dies at any line finds, when it is back, what it was about to do.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from marketplace.chain import verbs
from marketplace.domain.errors import GatewayProblem, GatewayUnavailable, InvalidField, MarketplaceError
from marketplace.domain.models import BlockRef, Lease
from marketplace.domain.results import EndedReason
from marketplace.domain.states import ServingState
from marketplace.domain.units import Bps, Seconds, UnixTime
from marketplace.domain.work import Assignment
from marketplace.provider import metering
from marketplace.provider.attendance import Attendance, Ended
from marketplace.provider.capacity import Capacity
from marketplace.provider.chores import distrusted
from marketplace.provider.closing import pump_log
from marketplace.provider.executors.base import (
    EndReason,
    ExecutionRequest,
    ExecutionResult,
    Limits,
    open_files_for,
    processes_for,
)
from marketplace.provider.intake import fetch_assignment, lay_out
from marketplace.provider.inventory import InventoryOffer
from marketplace.provider.listing import Lister
from marketplace.provider.preflight import Obstacle, ObstacleReason, obstacle_to
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving

_log = structlog.get_logger()

KILLED = 137
"""128 + SIGKILL, as a shell would say it."""

_STOPPED: dict[EndReason, str] = {
    EndReason.TIME_LIMIT: "stopped: the seconds that the order pays for are used up",
    EndReason.KILLED: "stopped: the seconds that the order pays for are used up",
    EndReason.MEMORY_LIMIT: "stopped: it used more memory than its spec asks for",
    EndReason.OUTPUT_LIMIT: "stopped: it wrote more to its disk than its spec asks for",
    EndReason.UNATTENDED: "stopped: the provider's agent was away for too long",
    EndReason.LOST: "not run: the sandbox failed, which is not the job's doing and costs nothing",
}
_HANDED_BACK = "stopped: this provider is leaving; what was done until then is delivered, and paid by the second"

_ENDED: dict[EndReason, EndedReason] = {
    EndReason.EXITED: EndedReason.EXITED,
    EndReason.TIME_LIMIT: EndedReason.TIME_LIMIT,
    EndReason.KILLED: EndedReason.TIME_LIMIT,
    EndReason.MEMORY_LIMIT: EndedReason.MEMORY_LIMIT,
    EndReason.OUTPUT_LIMIT: EndedReason.DISK_LIMIT,
    EndReason.UNATTENDED: EndedReason.STOPPED,
    EndReason.LOST: EndedReason.SANDBOX_FAILED,
}
"""What the executor's word is in the result; it kills for us only when the order's seconds are used up."""
_WORK_INVALID = (ObstacleReason.SPEC_INVALID, ObstacleReason.INPUT_INVALID, ObstacleReason.GPUS_DIFFER)


def _note_on(result: ExecutionResult) -> str:
    """Why the job was ended, and what was seen of it; nothing about a job that ended by itself."""
    said = _STOPPED.get(result.ended, "")
    return f"{said} ({result.evidence})" if said and result.evidence else said


def _note_gap(attendance: Attendance, result: ExecutionResult) -> None:
    """Remember what is missing in the log. The pay does not wait for a disk that is full."""
    try:
        if result.log is not None:
            attendance.folder.note_gap(result.log.missing_from, result.log.missing_bytes)
    except OSError as exc:
        _log.warning("log.gap_not_noted", folder=attendance.folder.name, error=str(exc))


class Attendant:
    """Brings servings from SEEN over RUNNING to EXITED."""

    def __init__(self, tools: Toolbox, lister: Lister, capacity: Capacity) -> None:
        self._tools = tools
        self._lister = lister
        self._capacity = capacity

    def seen(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Fetch, check and start the job; or decline it while that is free; or end it with nothing to pay."""
        if attendance.obstacle:
            return self._declining(serving, attendance, attendance.obstacle, lease, head)
        prepared = self._prepared(serving, attendance, lease, head)
        if isinstance(prepared, Obstacle):
            attendance.obstacle = prepared
            _log.warning("lease.cannot_run", lease=serving.lease, reason=prepared.reason, detail=prepared.detail)
            return self._declining(serving, attendance, prepared, lease, head)
        if prepared is None or not metering.has_started(serving.order, lease, head.timestamp):
            return serving
        folder = str(attendance.folder.path)
        running = self._tools.journal.advance(serving, ServingState.RUNNING, at=head.timestamp, folder=folder)
        _log.info("serving.running", lease=serving.lease, gpus=prepared.gpus)
        return self._started(running, attendance, prepared, lease, head)

    def running(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Watch the job; stop it when its seconds are used up; meter it when it is over."""
        if attendance.execution is None and attendance.ended is None:
            return self._running_again(serving, attendance, lease, head)
        self.pump(serving, attendance, head)
        if attendance.ended is None:
            self._keep_in_time(serving, attendance, lease, head)
            return serving
        result, after = attendance.ended.result, attendance.ended.after or head
        attendance.ended = Ended(result, after)
        if head.number <= after.number:
            return serving  # the first block at or after the end is still to come
        ended_at = self._tools.chain.block(after.number + 1).timestamp
        return self._metered(serving, attendance, result, lease, ended_at)

    def leave(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef, *, must_end: bool) -> None:
        """The agent leaves: what has not begun is declined where that is free; ``must_end``: what runs is stopped, too, and handed back."""
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

    def claimed_by_hand(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Its operator has claimed while we were at it: the chain has given its GPUs away, so the job ends, at what was claimed."""
        if attendance.execution is not None and attendance.ended is None:
            attendance.execution.kill()
            return serving
        self._capacity.release(serving.key)
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

    def pump(self, serving: Serving, attendance: Attendance, head: BlockRef) -> None:
        """Stream what is new in the log to the gateway. Its failures are the log's alone: they never reach the job."""
        try:
            offset = attendance.pumping.take(head.number)
        except (GatewayUnavailable, GatewayProblem) as exc:
            _log.debug("log.not_streamed", lease=serving.lease, reason=exc.reason)
            return
        attendance.log_offset = attendance.log_offset if offset is None else offset
        start, api, folder = attendance.log_offset, self._tools.api, attendance.folder
        if folder.read_log(start, 1):
            attendance.pumping.begin(
                lambda: distrusted(lambda: pump_log(api, serving.lease, folder, start)), head.number
            )

    # Preparing

    def _prepared(
        self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef
    ) -> ExecutionRequest | Obstacle | None:
        """The job ready to run, what stands in its way, or None while that is still being found out."""
        if attendance.obstacle:
            return attendance.obstacle
        offer = self._lister.inventory_offer(serving.offer, serving.order.gpus)
        left = metering.seconds_left(serving.order, lease, head.timestamp)
        if offer is None:
            return Obstacle(ObstacleReason.OFFER_NOT_IN_INVENTORY, f"offer {serving.offer}")
        if left == 0:
            return Obstacle(ObstacleReason.OUT_OF_TIME, "the seconds that the order pays for are used up")
        task = attendance.assignment or self._fetched(serving, attendance, offer, lease, head)
        if not isinstance(task, Assignment):
            return task
        run = attendance.run or self._laid_out(serving, attendance, task, lease, head)
        if not isinstance(run, Path):
            return run
        share = self._capacity.take(serving.key, offer, task.spec.resources)
        if share is None:
            busy = Obstacle(ObstacleReason.MACHINE_BUSY, "GPUs, memory or disk are held by other jobs")
            return busy if self._is_too_late(serving, attendance, lease, head) else None
        try:
            return self._request(attendance, task, run, share.gpus, left)
        except InvalidField as exc:
            return Obstacle(ObstacleReason.SPEC_INVALID, str(exc))

    def _fetched(
        self, serving: Serving, attendance: Attendance, offer: InventoryOffer, lease: Lease, head: BlockRef
    ) -> Assignment | Obstacle | None:
        try:
            found = attendance.fetching.take(head.number)
        except (GatewayUnavailable, GatewayProblem) as exc:
            attendance.trouble, found = str(exc), None
        if isinstance(found, Assignment):
            obstacle = obstacle_to(found, serving.order, offer, self._tools.key.address)
            attendance.assignment, attendance.trouble = (None if obstacle else found), ""
            return obstacle or found
        if isinstance(found, Obstacle):
            return found
        api, order, folder = self._tools.api, serving.order, attendance.folder
        attendance.fetching.begin(lambda: fetch_assignment(api, order, folder), head.number)
        if self._is_too_late(serving, attendance, lease, head):
            return Obstacle(ObstacleReason.SPEC_NOT_DELIVERED, attendance.trouble or "the gateway takes too long")
        return None

    def _laid_out(
        self, serving: Serving, attendance: Attendance, task: Assignment, lease: Lease, head: BlockRef
    ) -> Path | Obstacle | None:
        try:
            found = attendance.laying_out.take(head.number)
        except (GatewayUnavailable, GatewayProblem) as exc:
            attendance.trouble, found = str(exc), None
        if isinstance(found, Path):
            attendance.run, attendance.trouble = found, ""
        if found is not None:
            return found
        api, folder = self._tools.api, attendance.folder
        attendance.laying_out.begin(lambda: lay_out(api, task, folder), head.number)
        # A large input that is still arriving is no reason to give up; one that has failed to arrive is.
        if attendance.trouble and self._is_too_late(serving, attendance, lease, head):
            return Obstacle(ObstacleReason.INPUT_NOT_DELIVERED, attendance.trouble)
        return None

    def _is_too_late(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> bool:
        """Whether what is not there by now is given up: in time to decline, or, past that, when our patience ends."""
        policy = self._tools.policy
        decide_by = metering.decline_window(lease, self._tools.terms, policy).decide_by
        if attendance.since < decide_by:
            return head.timestamp >= decide_by
        return head.timestamp >= attendance.since + policy.fetch_patience_seconds

    def _request(
        self, attendance: Attendance, task: Assignment, run: Path, gpus: tuple[int, ...], left: Seconds
    ) -> ExecutionRequest:
        needs, policy = task.spec.resources, self._tools.policy
        limits = Limits(
            cpus=needs.cpus, memory_mib=needs.memory_mib, disk_mib=needs.disk_mib,
            processes=processes_for(needs.cpus, needs.memory_mib), wall_seconds=left + policy.wall_slack_seconds,
            log_bytes=policy.log_bytes, open_files=open_files_for(needs.cpus, needs.memory_mib),
            grace_seconds=policy.grace_seconds, unattended_seconds=policy.unattended_seconds,
        )  # fmt: skip
        return ExecutionRequest(attendance.folder.name, task.work.command, task.environment, run, limits, gpus)

    # Running

    def _started(
        self, serving: Serving, attendance: Attendance, request: ExecutionRequest, lease: Lease, head: BlockRef
    ) -> Serving:
        try:
            attendance.execution = self._tools.executor.start(request)
        except (MarketplaceError, OSError) as exc:
            obstacle = Obstacle(ObstacleReason.SANDBOX_FAILED, str(exc))
            return self._not_run(serving, attendance, obstacle, lease, head)
        serving = self._tools.journal.note(serving, pid=attendance.execution.pid)
        _log.info(
            "job.started", lease=serving.lease, executor=self._tools.executor.name, seconds=request.limits.wall_seconds
        )
        return serving

    def _running_again(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """After a restart: the same job in a fresh folder, if there is time; otherwise the end, at what is paid already."""
        prepared = self._prepared(serving, attendance, lease, head)
        if prepared is None:
            return serving
        if isinstance(prepared, Obstacle):
            return self._not_run(serving, attendance, prepared, lease, head)
        _log.info("job.restarted", lease=serving.lease, gpus=prepared.gpus)
        return self._started(serving, attendance, prepared, lease, head)

    def _keep_in_time(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> None:
        """Block time ends the job. One that will not die even so is metered as ended before our claim would be late."""
        if metering.seconds_left(serving.order, lease, head.timestamp) > 0 or attendance.execution is None:
            return
        attendance.execution.kill()
        window = metering.claim_window(serving.order, lease, self._tools.terms, self._tools.policy)
        if head.timestamp >= window.last_call_at:
            _log.error("job.will_not_die", lease=serving.lease)
            attendance.ended = Ended(ExecutionResult(KILLED, EndReason.KILLED, ()), head)

    def _metered(
        self, serving: Serving, attendance: Attendance, result: ExecutionResult, lease: Lease, ended_at: UnixTime
    ) -> Serving:
        if result.ended is EndReason.LOST:
            used = lease.paid_seconds
        else:
            used = metering.used_seconds(serving.order, lease, ended_at)
        was_handed_back = attendance.is_handed_back and result.ended is EndReason.KILLED
        ended = EndedReason.STOPPED if was_handed_back else _ENDED[result.ended]
        exit_code = result.exit_code if ended is EndedReason.EXITED else None
        _note_gap(attendance, result)
        self._capacity.release(serving.key)
        exited = self._tools.journal.advance(
            serving,
            ServingState.EXITED,
            at=ended_at,
            note=_HANDED_BACK if attendance.is_handed_back else _note_on(result),
            exit_code=exit_code,
            ended=ended,
            used_seconds=used,
        )
        _log.info(
            "serving.exited", lease=serving.lease, exit_code=exit_code, used_seconds=used, ended=result.ended,
            enforcement=list(result.enforcement),
        )  # fmt: skip
        return exited

    # What cannot be run

    def _declining(
        self, serving: Serving, attendance: Attendance, obstacle: Obstacle, lease: Lease, head: BlockRef
    ) -> Serving:
        """Give the lease back while that is free. The serving is closed when the chain shows it."""
        sent = attendance.dispatch.outcome(head.number)
        if sent and sent.mined:
            _log.info("lease.declined", lease=serving.lease, reason=obstacle.reason, detail=obstacle.detail)
            return serving
        if not attendance.dispatch.is_idle or head.number < attendance.dispatch.seen_from:
            return serving
        bond_bps = attendance.offer.bond_bps if attendance.offer else Bps(0)
        is_open = metering.can_decline(serving.order, lease, head.timestamp, bond_bps, self._tools.terms)
        if is_open and not (sent and sent.reverted):
            attendance.send(verbs.decline(self._tools.market.address, serving.order), head)
            return serving
        return self._not_run(serving, attendance, obstacle, lease, head)

    def _not_run(
        self, serving: Serving, attendance: Attendance, obstacle: Obstacle, lease: Lease, head: BlockRef
    ) -> Serving:
        """Too late to decline: it ends here, with a receipt over what was paid already, and the reason in its log."""
        self._capacity.release(serving.key)
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
