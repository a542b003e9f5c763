"""A job as its agent sees it: alive for as long as its supervisor is, and over with the verdict that one has left."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading

from marketplace.domain.ssh import EntryReason, EntryRefused
from marketplace.provider.executors.base import EndReason, ExecutionRequest, ExecutionResult, JobUse
from marketplace.provider.executors.entrance import Entrance
from marketplace.provider.executors.guard import ASK
from marketplace.provider.executors.records import JobRecord, read_plan
from marketplace.provider.executors.usage import kill

_KILLED = 128 + signal.SIGKILL
_COMPLAINT_BYTES = 2_000


class AttendedExecution:
    """A job that some agent has started; see ``base.Execution``."""

    def __init__(
        self, request: ExecutionRequest, record: JobRecord, lock: int, pid: int, supervisor: int | None
    ) -> None:
        """``lock`` is the record's, held until the job is over; ``supervisor`` a handle, None if it lives no more."""
        self.request = request
        self.lease = request.lease
        self.pid = pid
        self._record = record
        self._handles = [lock] if supervisor is None else [lock, supervisor]
        self._supervisor = supervisor
        self._lock = threading.Lock()
        self._result: ExecutionResult | None = None

    def poll(self) -> ExecutionResult | None:
        """Say how it ended, or None while anything of it still runs."""
        return self.wait(0)

    def wait(self, timeout_seconds: float) -> ExecutionResult | None:
        """Wait for the end at most this long; None when it still runs."""
        with self._lock:
            # A handle of its own, since another thread may close ours meanwhile.
            handle = None if self._supervisor is None or self._result else os.dup(self._supervisor)
        if handle is not None and not _has_ended(handle, timeout_seconds):
            return None
        with self._lock:
            if self._result is None:
                self._result = self._verdict()
                self._let_go()
            return self._result

    def kill(self) -> None:
        """Ask for the end of the job, with its grace; returns before it is gone."""
        with self._lock:
            if self._supervisor is not None:
                kill(self._supervisor, ASK)

    def entrance(self) -> Entrance:
        """The way in; see ``base.Execution``."""
        try:
            return Entrance(read_plan(self._record.plan.read_bytes()))
        except OSError as exc:
            raise EntryRefused(EntryReason.JOB_GONE, "it was reaped") from exc

    def used(self) -> JobUse | None:
        """See ``base.Execution``."""
        try:
            return self.entrance().used()
        except EntryRefused:
            return None

    def leave(self) -> None:
        """Attend to it no more."""
        with self._lock:
            self._let_go()

    def _verdict(self) -> ExecutionResult:
        """Read it. A supervisor that has left none was killed: the job's end is told here, once and for all agents."""
        if self._supervisor is not None:
            with contextlib.suppress(ChildProcessError):  # an earlier agent's child
                os.waitid(os.P_PIDFD, self._supervisor, os.WEXITED | os.WNOHANG)
        verdict = self._record.verdict()
        if verdict is not None:
            return verdict
        if not self._record.plan.exists():
            return ExecutionResult(_KILLED, EndReason.KILLED, (), "it was reaped")
        verdict = ExecutionResult(_KILLED, EndReason.LOST, (), f"its supervisor was killed; {self._complaint()}")
        with contextlib.suppress(OSError):  # no disk to write to: the next agent will come to the same end
            self._record.write_verdict(verdict)
        return verdict

    def _complaint(self) -> str:
        with contextlib.suppress(OSError):
            return self._record.trouble.read_text(errors="replace")[-_COMPLAINT_BYTES:].strip() or "it said nothing"
        return "it said nothing"

    def _let_go(self) -> None:
        for handle in self._handles:
            os.close(handle)
        self._handles, self._supervisor = [], None


def _has_ended(handle: int, timeout_seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    came = waiting.poll(timeout_seconds * 1000)
    os.close(handle)
    return bool(came)
