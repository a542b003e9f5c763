"""The job's side of a serving: it is prepared, started, and its log streamed. Nothing here decides about money.

Every method is one part of a serving's step, called again and again with the newest block (``isolation``): it may fail without
holding up any other. It never waits: what is slow is a chore. It journals before it acts, so that an agent that dies at any
line finds, when it is back, what it was about to do.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.leases import Lease
from marketplace.domain.pricing import elapsed_of
from marketplace.domain.states import ServingState
from marketplace.provider import metering
from marketplace.provider.attendance import Attendance, TakenUp
from marketplace.provider.capacity import Capacity, disk_taken_mib, share_of
from marketplace.provider.closing import pump_log
from marketplace.provider.executors.base import EndReason, Execution, ExecutionRequest, Executor
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.home import ServingFolder, mark_run
from marketplace.provider.listing import Lister
from marketplace.provider.preflight import Obstacle, ObstacleReason
from marketplace.provider.preparing import Preparing
from marketplace.provider.ssh.desk import SshDesk
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving, ServingKey

_log = structlog.get_logger()

PUMP_SECONDS = 60.0


class Attendant:
    """Prepares, starts and watches the jobs of servings."""

    def __init__(self, tools: Toolbox, lister: Lister, capacity: Capacity, ssh: SshDesk) -> None:
        self._tools, self._ssh = tools, ssh
        self._capacity = capacity
        self._preparing = Preparing(tools, lister, capacity)

    def found(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """What is left of a job that an agent before us ran: one that may go on is taken up again, anything else is ended."""
        if not attendance.is_found:
            return serving
        executor, folder, pid = self._tools.executor, attendance.folder, serving.pid
        may_go_on = serving.state is ServingState.RUNNING
        taken = attendance.taking_up.take(head.number)
        if taken is None:
            attendance.taking_up.begin(lambda: _taken_up(executor, folder, pid, may_go_on=may_go_on), head.number)
            return serving
        attendance.is_found, attendance.execution = False, taken.execution
        if taken.execution is not None:
            self._capacity.hold(serving.key, share_of(taken.execution.request, is_sealed=taken.is_sealed))
            _log.info("job.taken_up", lease=serving.lease)
            return serving
        if not may_go_on:
            self._capacity.leave(serving.key, taken.disk_mib)
            # An agent before us may have asked for its image at once, and may even have it.
            attendance.pull_since, attendance.was_pulling = serving.opened_at, True
        away_seconds = head.timestamp - (attendance.away_since or head.timestamp)
        if may_go_on and away_seconds > self._tools.policy.away_seconds:
            # Its client has ordered elsewhere by now: what it no longer waits for is not begun again.
            detail = f"for {away_seconds} s, and the job did not survive it"
            attendance.obstacle = Obstacle(ObstacleReason.PROVIDER_WAS_AWAY, detail)
        return serving

    def ended(self, key: ServingKey, attendance: Attendance, head: BlockRef) -> None:
        """End what is left of the job of a serving that an agent before us closed: it is to be handed over."""
        executor, folder = self._tools.executor, attendance.folder
        taken = attendance.taking_up.take(head.number)
        if taken is None:
            attendance.taking_up.begin(lambda: _taken_up(executor, folder, None, may_go_on=True), head.number)
            return
        attendance.is_found, attendance.execution = False, taken.execution
        if taken.execution is not None:
            self._capacity.hold(key, share_of(taken.execution.request, is_sealed=taken.is_sealed))
        self._capacity.leave(key, taken.disk_mib)
        attendance.stop()

    def seen(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Fetch, check and start the job, or say what stands in its way."""
        if attendance.obstacle or attendance.is_found:
            return serving
        prepared = self._preparing.prepared(serving, attendance, lease, head)
        if isinstance(prepared, Obstacle):
            attendance.obstacle = prepared
            return serving
        if prepared is None or not metering.has_started(serving.order, lease, head.timestamp):
            return serving
        if prepared.session is not None:
            self._tools.workspaces.expect(serving.key)
        folder = str(attendance.folder.path)
        # What was pulled before a term lease began has cost its client nothing.
        lost = min(attendance.pull_seconds, elapsed_of(serving.order, lease, head.timestamp))
        running = self._tools.journal.advance(
            serving, ServingState.RUNNING, at=head.timestamp, folder=folder, lost_seconds=lost
        )
        _log.info("serving.running", lease=serving.lease, gpus=prepared.gpus)
        self._begin(attendance, prepared, head)
        return running

    def running(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """See that the job runs, from the beginning where an agent before us lost it, and not for longer than its seconds."""
        if attendance.execution is not None:
            self._ssh.open(serving.key, serving.lease, attendance.execution)
            if attendance.inheritance.source is not None:
                self._tools.workspaces.let_go(attendance.inheritance.source)
                attendance.inheritance.source = None
            attendance.is_followed = attendance.is_followed or self._tools.workspaces.is_wanted(serving.key)
            is_up = metering.seconds_left(serving.order, lease, head.timestamp) == 0 or attendance.is_followed
            if is_up and attendance.ended is None:
                attendance.execution.kill()
            return self._noted(serving, attendance.execution)
        if attendance.is_found or attendance.obstacle or attendance.ended or attendance.starting.is_under_way:
            return serving
        return self._again(serving, attendance, lease, head)

    def started(self, attendance: Attendance, head: BlockRef) -> None:
        """Take a job that has just been started; one that nobody wants any more is ended at once."""
        begun = attendance.starting.take(head.number)
        if isinstance(begun, Obstacle):
            attendance.obstacle = begun
        elif begun is not None:
            attendance.execution, attendance.seen_running = begun, head
            if attendance.is_stopped:
                begun.kill()

    def pump(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """Stream what is new in the log to the gateways. Its failures are the log's alone."""
        if attendance.ended is not None and not attendance.is_running:
            self._tools.workspaces.note_quiet(serving.key)
        offsets, pumping, folder = attendance.log_offsets, attendance.pumping, attendance.folder
        for answer in pumping.answers(head.number):
            if answer.found is None:
                _log.debug("log.not_streamed", lease=serving.lease, gateway=answer.line.url, reason=str(answer.problem))
                continue
            if answer.found < offsets.get(answer.line, 0):
                pumping.defer(
                    answer.line, head.number
                )  # it has forgotten some, or says so: not more than a try a block
            offsets[answer.line] = answer.found
        starts = dict(offsets)
        pumping.begin(
            lambda line: pump_log(line.api, serving.lease, folder, starts.get(line, 0)),
            head.number,
            seconds=PUMP_SECONDS,
        )
        return serving

    def _begin(self, attendance: Attendance, request: ExecutionRequest, head: BlockRef, mark: str = "") -> None:
        """``mark``: what the job's log says before anything that it prints."""
        executor, rig = self._tools.executor, self._tools.rig
        _log.info("job.starting", folder=attendance.folder.name, seconds=request.limits.wall_seconds)
        attendance.starting.begin(lambda: _started(executor, request, rig, mark), head.number)

    def _noted(self, serving: Serving, execution: Execution) -> Serving:
        if serving.pid == execution.pid:
            return serving
        noted = self._tools.journal.note(serving, pid=execution.pid)
        _log.info("job.started", lease=serving.lease, executor=self._tools.executor.name)
        return noted

    def _again(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        """The same job in a fresh folder, if there is time; all its time so far is lost, and not charged."""
        prepared = self._preparing.prepared(serving, attendance, lease, head)
        if isinstance(prepared, Obstacle):
            attendance.obstacle = prepared
        elif prepared is not None:
            lost, attendance.away_since = elapsed_of(serving.order, lease, head.timestamp), None
            serving = self._tools.journal.note(serving, lost_seconds=lost)
            _log.info("job.restarted", lease=serving.lease, gpus=prepared.gpus, lost_seconds=lost)
            self._begin(attendance, prepared, head, mark=f"begun again: {lost} s until here are not charged")
        return serving


def _started(executor: Executor, request: ExecutionRequest, rig: GpuRig, mark: str) -> Execution | Obstacle:
    try:
        if mark:
            mark_run(request.folder, mark)
        return executor.start(replace(request, devices=rig.devices(request.gpus)))
    except (MarketplaceError, OSError, RuntimeError, MemoryError, ValueError) as exc:
        return Obstacle(ObstacleReason.SANDBOX_FAILED, f"{type(exc).__name__}: {exc}"[:400])


def _taken_up(executor: Executor, folder: ServingFolder, pid: int | None, *, may_go_on: bool) -> TakenUp:
    """Raises what keeps the executor from ending what is there: then it is tried again."""
    name, is_sealed = folder.name, folder.job_key.exists()
    found = executor.adopt(name) if may_go_on else None
    result = found.poll() if found is not None else None
    if result is not None and result.ended in (EndReason.UNATTENDED, EndReason.LOST):
        found = None  # it was not finished, for want of an agent: to be begun again, if anybody still waits for it
    if found is None:
        executor.reap(name, pid)
    return TakenUp(found, is_sealed, disk_taken_mib(folder.disk_mib(), is_sealed=is_sealed))
