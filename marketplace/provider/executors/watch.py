"""One running job: its log, its limits, its end.

The supervisor's main thread starts the sandbox and stays with it. The sandbox is bound to that thread: when it ends,
because somebody killed the supervisor, the kernel kills the sandbox. The thread sleeps in one ``poll`` for the job's
output, its end, and the time of the next look at what the kernel does not limit by itself; no read of it can block, since
a job can take what a poll has announced out of its own pipe. Time and wishes are the ``guard``'s.

bubblewrap binds its processes to each other one after the other while it starts, and a supervisor that is killed just
then would leave a job that nobody watches. So the job waits at a gate until all is bound; see ``_open_gate``.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import Popen
from typing import Final

from marketplace.provider.executors.base import EndReason, ExecutionRequest, ExecutionResult
from marketplace.provider.executors.cgroups import Cgroup
from marketplace.provider.executors.folders import Occupied, measure, take_back, unlinked
from marketplace.provider.executors.guard import Guard, GuardWishes
from marketplace.provider.executors.joblog import JobLog
from marketplace.provider.executors.usage import (
    await_end,
    is_bound,
    kill,
    memory_bytes,
    numbered_in,
    processes_in,
    sandbox_of,
    sandboxes_of,
)

LOOK_SECONDS: Final = 0.25
_START_SECONDS: Final = 0.002
_WALK_SHARE: Final = 20
"""Walking the outputs may take one part in this many of the time: large trees are looked at less often."""
_CLOSED_LOOKS: Final = 3
"""A folder that cannot be opened may be between two steps of the job; one that can not so many times is hidden."""
_END_SECONDS: Final = 20.0
"""How long the kernel may take to end what was killed before the execution is given up as LOST."""
_CHUNK: Final = 1 << 16
_CHUNKS_A_LOOK: Final = 128
"""32 MiB of log in a second: a job that prints more waits, and its supervisor keeps the machine's CPUs free for others."""
_OF_A_SESSION: Final = 2
"""Processes of a session that are nobody's: the sandbox's first one, and the gate."""
_SIGNALLED: Final = 128
_KILLED: Final = _SIGNALLED + signal.SIGKILL
_ANSWERED: Final = (EndReason.EXITED, EndReason.TIME_LIMIT, EndReason.KILLED, EndReason.UNATTENDED)
"""Where an exit code of 0 may be the job's answer to SIGTERM."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A sandbox that was started: its outermost process, where its output and status arrive, its gate, group and limits.

    The job begins when something is written to the gate, and never if the gate is closed before, by whatever end of ours.
    No read of ``output`` blocks.
    """

    process: Popen[bytes]
    output: int
    status: int
    gate: int
    cgroup: Cgroup | None
    enforcement: dict[str, str]


class Watch:
    """What the thread that stays with a job knows."""

    def __init__(
        self,
        request: ExecutionRequest,
        wishes: GuardWishes,
        launch: Callable[[], Launched],
        is_attended: Callable[[], bool],
        furnish: Callable[[], None],
    ) -> None:
        """``launch`` starts the sandbox; ``is_attended`` says whether there is an agent; ``furnish`` is done when the sandbox can be entered,
        before its job begins.
        """
        self._request, self._limits, self._is_attended = request, request.limits, is_attended
        self._furnish = furnish
        self._at_start = measure(*request.folders)
        self._log = JobLog(request.log, request.limits.log_bytes)
        self._launched = launch()
        self._outermost = os.pidfd_open(self._launched.process.pid)
        self._guard = Guard(request.limits, self._outermost, wishes)
        self._first: int | None = None  # the sandbox's first process, once bubblewrap has told us
        self._first_handle: int | None = None
        self._is_gate_open = False
        self._started_at, self._began = 0, 0.0
        self._attended_at = self._next_look = self._next_walk = time.monotonic()
        self._used_at, self._is_left = 0.0, False
        self._closed_looks = self._chunks = 0
        self._is_reading = True
        self._poll = select.poll()
        for handle in (self._launched.output, self._outermost):
            self._poll.register(handle, select.POLLIN)

    def until_over(self) -> ExecutionResult:
        """Stay with the job until nothing of it is left, then say how it ended."""
        self._guard.start()
        try:
            while not self._turn() and time.monotonic() < self._guard.killed_at + _END_SECONDS:
                self._look()
            ended = self._over()
        except OSError as exc:
            # Ours, not the job's: its folders are gone, the machine has no handle or memory left.
            self._guard.end(EndReason.LOST, f"it could not be watched any more: {exc}", at_once=True)
            ended = (_KILLED, EndReason.LOST, self._guard.evidence)
        finally:
            self._guard.is_over()
            self._clean_up()
        return self._result(*ended)

    def _turn(self) -> bool:
        """Sleep until something comes or it is time to look; True when the outermost process has ended."""
        wait_seconds = max(0.0, self._next_look - time.monotonic())
        arrived = {handle for handle, _ in self._poll.poll(wait_seconds * 1000)}
        if self._launched.output in arrived:
            self._take_output()
        return self._outermost in arrived

    def _take_output(self) -> None:
        try:
            chunk = os.read(self._launched.output, _CHUNK)
        except BlockingIOError:
            return  # the job has taken it back
        self._log.add(chunk)
        self._chunks += 1
        self._is_reading = bool(chunk)
        if not chunk or self._chunks >= _CHUNKS_A_LOOK:
            self._poll.unregister(self._launched.output)

    def _look(self) -> None:
        """Look, if it is time, at what only looking limits."""
        now = time.monotonic()
        if now < self._next_look:
            return
        if not self._is_gate_open:
            self._next_look = now + _START_SECONDS
            self._open_gate()
            return
        self._next_look = now + LOOK_SECONDS
        self._read_on()
        self._look_for_an_agent(now)
        self._look_for_somebody(now)
        if excess := self._excess_memory():
            self._guard.end(EndReason.MEMORY_LIMIT, excess, at_once=True)
        if now >= self._next_walk:
            self._look_at_disk()
            self._next_walk = now + max(LOOK_SECONDS, _WALK_SHARE * (time.monotonic() - now))

    def _read_on(self) -> None:
        """Read the job's output again, if it had printed as much as is read between two looks."""
        if self._is_reading and self._chunks >= _CHUNKS_A_LOOK:
            self._poll.register(self._launched.output, select.POLLIN)
        self._chunks = 0

    def _open_gate(self) -> None:
        """Let the job begin if the sandbox cannot outlive us any more: it tells its first process early, which binds late."""
        if self._first is None:
            line, end, _ = os.pread(self._launched.status, _CHUNK, 0).partition(b"\n")
            if not end:
                return
            self._first = int(json.loads(line)["child-pid"])
            self._first_handle = sandbox_of(self._first, self._request.lease)
            self._guard.follow(self._first, self._first_handle)
        if self._guard.reason is None and is_bound(self._first):
            self._furnish()
            self._is_gate_open = True
            self._started_at, self._began = _clock(), time.monotonic()
            self._used_at = self._began
            os.write(self._launched.gate, b"\n")

    def _look_for_an_agent(self, now: float) -> None:
        if self._is_attended():
            self._attended_at = now
        elif now - self._attended_at > self._limits.unattended_seconds:
            self._guard.end(EndReason.UNATTENDED, f"no agent for {self._limits.unattended_seconds} s")

    def _look_for_somebody(self, now: float) -> None:
        """Close the gate of a session in which nobody's process has run for as long as it wants to stay: then it ends by itself."""
        session = self._request.session
        if session is None or not session.idle_stop_seconds or self._first is None or self._is_left:
            return
        if numbered_in(self._first) > _OF_A_SESSION:
            self._used_at = now
        elif now - self._used_at > session.idle_stop_seconds:
            self._is_left = True
            os.close(self._launched.gate)

    def _excess_memory(self) -> str:
        cgroup, most = self._launched.cgroup, self._limits.memory_mib
        if cgroup is not None and "memory" in cgroup.folders:
            return _kernel_killed(cgroup, most)
        used = 0 if self._first is None else memory_bytes(self._first)
        return f"{used >> 20} MiB used of {most} MiB" if used > most << 20 else ""

    def _look_at_disk(self) -> None:
        occupied = measure(*self._request.folders)
        if self._first is not None:
            occupied = occupied.plus(unlinked(processes_in(self._first), self._devices(self._first)))
        self._closed_looks = self._closed_looks + 1 if occupied.is_closed else 0
        reason, excess = self._excess_on_disk(occupied)
        if excess:
            is_far = occupied.is_beyond(self._at_start, self._limits.disk_mib)
            self._guard.end(reason, excess, at_once=is_far)

    def _devices(self, first: int) -> set[int]:
        """On which its files are: of its folders, and, with an image, of its root."""
        found = {self._request.outputs.stat().st_dev}
        with contextlib.suppress(OSError):  # it has ended
            found |= {os.stat(f"/proc/{first}/root").st_dev} if self._request.image else set()
        return found

    def _excess_on_disk(self, occupied: Occupied) -> tuple[EndReason, str]:
        if self._closed_looks >= _CLOSED_LOOKS:
            return EndReason.FILES_LIMIT, "a folder that nobody can look into"
        if excess := occupied.excess_files(self._at_start):
            return EndReason.FILES_LIMIT, excess
        return EndReason.DISK_LIMIT, occupied.excess_bytes(self._at_start, self._limits.disk_mib)

    def _over(self) -> tuple[int, EndReason, str]:
        self._await_first()
        code = self._launched.process.poll()
        if code is None:
            return _KILLED, EndReason.LOST, "it was killed and did not end"
        code = code if code >= 0 else _SIGNALLED - code
        reason, evidence = self._guard.reason, self._guard.evidence
        if reason is None:
            reason, evidence = self._judged()
        if code == 0 and reason not in _ANSWERED:
            code = _KILLED  # it was quicker than its end, or only a part of it was killed; success it was not
        return code, reason, evidence

    def _await_first(self) -> None:
        """Wait until nothing of the sandbox is left: its first process ends last. Take the rest of the output.

        That process may outlive the outermost one, because of daemons below it, until it is killed here.
        """
        self._poll.unregister(self._outermost)
        handles = [] if self._is_gate_open else sandboxes_of(self._request.lease)  # one it had not told us of yet
        if self._first_handle is not None:
            handles.append(os.dup(self._first_handle))
        for handle in handles:
            kill(handle)
        await_end(handles, _END_SECONDS)
        self._read_on()
        give_up_at = time.monotonic() + _END_SECONDS
        while self._is_reading and time.monotonic() < give_up_at:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._turn()
            if self._chunks >= _CHUNKS_A_LOOK:
                self._read_on()

    def _judged(self) -> tuple[EndReason, str]:
        """Find the reason when the job ended between two looks."""
        if not self._is_gate_open:
            return EndReason.LOST, "the sandbox did not start; its log says what it said"
        cgroup = self._launched.cgroup
        if cgroup is not None and (excess := _kernel_killed(cgroup, self._limits.memory_mib)):
            return EndReason.MEMORY_LIMIT, excess
        reason, excess = self._excess_on_disk(measure(*self._request.folders))
        return (reason, excess) if excess else (EndReason.EXITED, "")

    def _result(self, exit_code: int, ended: EndReason, evidence: str) -> ExecutionResult:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ExecutionResult(
            exit_code, ended, tuple(sorted(f"{what}:{how}" for what, how in self._launched.enforcement.items())), evidence,
            log=self._log.close(), cpu_seconds=round(used.ru_utime + used.ru_stime, 3),
            wall_seconds=round(time.monotonic() - self._began, 3) if self._began else 0.0,
            started_at=self._started_at, ended_at=_clock() if self._began else 0,
        )  # fmt: skip

    def _clean_up(self) -> None:
        if self._launched.process.poll() is None:
            kill(self._outermost)
        if self._launched.cgroup is not None:
            self._launched.cgroup.end()
        take_back((self._request.inputs, self._request.outputs))


def _kernel_killed(cgroup: Cgroup, memory_mib: int) -> str:
    kills = cgroup.memory_kills()
    return f"the kernel ended {kills} of its processes at {memory_mib} MiB" if kills else ""


def _clock() -> int:
    return int(time.time())  # noqa: TID251  for people who read the record; nothing is decided by it
