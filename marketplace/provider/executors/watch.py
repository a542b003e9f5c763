"""One running job: its log, its limits, its end.

Each execution has a thread that starts the sandbox and stays with it. The sandbox is bound to that thread: when it ends
because the agent was killed, the kernel kills the sandbox. The thread sleeps in one ``poll`` for the job's output, its
end, the agent's word, and the time of the next look at what the kernel does not limit by itself.

bubblewrap binds its processes to each other one after the other while it starts, and an agent that is killed just then
would leave a job that nobody watches. So the job waits at a gate until all is bound; see ``_open_gate``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import Popen
from typing import Final

from marketplace.provider.executors.base import EndReason, ExecutionRequest, ExecutionResult
from marketplace.provider.executors.cgroups import Cgroup
from marketplace.provider.executors.folders import measure, take_back, unlinked_bytes
from marketplace.provider.executors.usage import (
    await_end,
    is_bound,
    kill,
    memory_bytes,
    processes_in,
    sandbox_of,
    sandboxes_of,
    terminate_command,
)

_LOOK_SECONDS: Final = 0.25
_START_SECONDS: Final = 0.002
_WALK_SHARE: Final = 20
"""Walking the outputs may take one part in this many of the time: large trees are looked at less often."""
_GRACE_SECONDS: Final = 2.0
"""Between SIGTERM, when the time is up, and SIGKILL."""
_END_SECONDS: Final = 20.0
"""How long the kernel may take to end what was killed before the execution is given up as LOST."""
_CHUNK: Final = 1 << 16
_SIGNALLED: Final = 128
_KILLED: Final = _SIGNALLED + signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Launched:
    """A sandbox that was started: its outermost process, where its output and status arrive, its gate, group and limits.

    The job begins when something is written to the gate, and never if the gate is closed before, by whatever end of ours.
    """

    process: Popen[bytes]
    output: int
    status: int
    gate: int
    cgroup: Cgroup | None
    enforcement: dict[str, str]


class BubblewrapExecution:
    """A job in a sandbox; see ``base.Execution``."""

    def __init__(self, request: ExecutionRequest, launch: Callable[[], Launched]) -> None:
        self.lease = request.lease
        self.pid = 0
        self._request = request
        self._launch = launch
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._result: ExecutionResult | None = None

    def start(self) -> None:
        """Start the job and wait until its outermost process is there; raise what prevented it."""
        # A daemon, so that a job does not keep an agent alive that wants to end; the job ends with it.
        threading.Thread(target=self._run, name=f"job {self.lease}", daemon=True).start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    def poll(self) -> ExecutionResult | None:
        """Say how it ended, or None while anything of it still runs."""
        return self._result

    def wait(self, timeout_seconds: float) -> ExecutionResult | None:
        """Wait for the end at most this long; None when it still runs."""
        self._over.wait(timeout_seconds)
        return self._result

    def kill(self) -> None:
        """Ask for the end of all its processes; returns before they are gone."""
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        try:
            watch = self._watch()
            if watch is not None:
                self._result = watch.until_over()
        finally:
            with self._lock:
                os.close(self._wake)
                self._wake = -1
            self._over.set()

    def _watch(self) -> _Watch | None:
        try:
            watch = _Watch(self._request, self._launch, self._wake)
        except Exception as exc:  # noqa: BLE001  not swallowed: start() raises it where the caller is
            self._failure = exc
            return None
        else:
            self.pid = watch.pid
            return watch
        finally:
            self._started.set()


class _Watch:
    """What the thread knows. Nothing here is shared with other threads."""

    def __init__(self, request: ExecutionRequest, launch: Callable[[], Launched], wake: int) -> None:
        self._request, self._limits, self._wake = request, request.limits, wake
        self._at_start = measure(request.inputs, request.outputs)
        self._log = os.open(request.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._launched = launch()
        except BaseException:
            os.close(self._log)
            raise
        self.pid = self._launched.process.pid
        self._outermost = os.pidfd_open(self.pid)
        self._first: int | None = None  # the sandbox's first process, once bubblewrap has told us
        self._first_handle: int | None = None
        self._ended: EndReason | None = None
        self._log_left = request.limits.log_bytes
        self._is_gate_open = False
        now = time.monotonic()
        self._deadline = now + request.limits.wall_seconds
        self._kill_at = self._give_up_at = float("inf")
        self._next_look = self._next_walk = now
        self._open = {self._launched.output: self._take_output, wake: self._take_wish}
        self._poll = select.poll()
        for handle in (*self._open, self._outermost):
            self._poll.register(handle, select.POLLIN)

    def until_over(self) -> ExecutionResult:
        """Stay with the job until nothing of it is left, then say how it ended."""
        try:
            while not self._turn() and time.monotonic() < self._give_up_at:
                self._look()
            return self._over()
        except OSError as exc:
            # Ours, not the job's: the log cannot be written, the machine has no handle or memory left.
            self._end(EndReason.LOST)
            self._note(f"the agent could not go on watching: {exc}")
            return ExecutionResult(_KILLED, EndReason.LOST, self._enforcement())
        finally:
            self._clean_up()

    def _turn(self) -> bool:
        """Sleep until something comes or it is time to look; True when the outermost process has ended."""
        wait_seconds = max(0.0, self._next_look - time.monotonic())
        arrived = {handle for handle, _ in self._poll.poll(wait_seconds * 1000)}
        for handle in arrived & self._open.keys():
            self._open[handle]()
        return self._outermost in arrived

    def _take_output(self) -> None:
        chunk = os.read(self._launched.output, _CHUNK)
        if not chunk:
            self._forget(self._launched.output)
        _write_all(self._log, chunk[: self._log_left])
        if len(chunk) > self._log_left:
            self._end(EndReason.LOG_LIMIT)  # and go on reading, so that nothing blocks on its way to the end
        self._log_left -= min(len(chunk), self._log_left)

    def _take_wish(self) -> None:
        os.eventfd_read(self._wake)
        self._end(EndReason.KILLED)

    def _forget(self, handle: int) -> None:
        self._poll.unregister(handle)
        del self._open[handle]

    def _look(self) -> None:
        """Look, if it is time, at the clock and at what only looking limits."""
        now = time.monotonic()
        if now >= self._kill_at:
            self._kill()
        if now >= self._deadline:
            self._time_is_up(now)
        if now < self._next_look:
            return
        if not self._is_gate_open:
            self._next_look = now + _START_SECONDS
            self._open_gate()
            return
        self._next_look = now + _LOOK_SECONDS
        if self._used_up_memory():
            self._end(EndReason.MEMORY_LIMIT)
        if now >= self._next_walk:
            if self._used_up_disk():
                self._end(EndReason.OUTPUT_LIMIT)
            self._next_walk = now + max(_LOOK_SECONDS, _WALK_SHARE * (time.monotonic() - now))

    def _open_gate(self) -> None:
        """Let the job begin if the sandbox cannot outlive us any more: it tells its first process early, which binds late."""
        if self._first is None:
            line, end, _ = os.pread(self._launched.status, _CHUNK, 0).partition(b"\n")
            if not end:
                return
            self._first = int(json.loads(line)["child-pid"])
            self._first_handle = sandbox_of(self._first, self._request.lease)
        if self._ended is None and is_bound(self._first):
            self._is_gate_open = True
            os.write(self._launched.gate, b"\n")

    def _time_is_up(self, now: float) -> None:
        """Tell the job by SIGTERM, once; it has a moment to write down where it was."""
        if self._ended is None:
            self._ended, self._kill_at = EndReason.TIME_LIMIT, now + _GRACE_SECONDS
            if self._first is None or not terminate_command(self._first):
                self._kill()

    def _used_up_memory(self) -> bool:
        cgroup = self._launched.cgroup
        if cgroup is not None and "memory" in cgroup.folders:
            return cgroup.memory_kills() > 0
        return self._first is not None and memory_bytes(self._first) > self._limits.memory_mib << 20

    def _used_up_disk(self) -> bool:
        occupied = measure(self._request.inputs, self._request.outputs)
        if self._first is not None:
            occupied = occupied.plus(unlinked_bytes(processes_in(self._first), self._request.outputs.stat().st_dev))
        return occupied.exceeds(self._at_start, self._limits.disk_mib)

    def _end(self, reason: EndReason) -> None:
        """End the job; the first reason is the one that counts."""
        if self._ended is None:
            self._ended = reason
        self._kill_at = min(self._kill_at, time.monotonic())
        self._kill()

    def _kill(self) -> None:
        """Kill the first process of the sandbox: the kernel then kills all others in it, and none can come after."""
        self._give_up_at = min(self._give_up_at, time.monotonic() + _END_SECONDS)
        kill(self._outermost if self._first_handle is None else self._first_handle)

    def _over(self) -> ExecutionResult:
        self._await_first()
        code = self._launched.process.poll()
        if code is None:
            self._note("it was killed and did not end")
            return ExecutionResult(_KILLED, EndReason.LOST, self._enforcement())
        code = code if code >= 0 else _SIGNALLED - code
        ended = self._ended or self._judged()
        if code == 0 and ended not in (EndReason.EXITED, EndReason.TIME_LIMIT):
            code = _KILLED  # it was quicker than its end, or only a part of it was killed; success it was not
        return ExecutionResult(code, ended, self._enforcement())

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
        give_up_at = time.monotonic() + _END_SECONDS
        while self._launched.output in self._open and time.monotonic() < give_up_at:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._turn()

    def _judged(self) -> EndReason:
        """Find the reason when the job ended between two looks."""
        if not self._is_gate_open:
            return EndReason.LOST
        cgroup = self._launched.cgroup
        if cgroup is not None and cgroup.memory_kills():
            return EndReason.MEMORY_LIMIT
        occupied = measure(self._request.inputs, self._request.outputs)
        return EndReason.OUTPUT_LIMIT if occupied.exceeds(self._at_start, self._limits.disk_mib) else EndReason.EXITED

    def _enforcement(self) -> tuple[str, ...]:
        return tuple(sorted(f"{what}:{how}" for what, how in self._launched.enforcement.items()))

    def _note(self, sentence: str) -> None:
        """Leave a line in the log; a log that cannot be written is no reason not to end the job."""
        try:
            _write_all(self._log, f"\n[sandbox] {sentence}\n".encode())
        except OSError:
            return

    def _clean_up(self) -> None:
        if self._launched.process.poll() is None:
            kill(self._outermost)
        if self._launched.cgroup is not None:
            self._launched.cgroup.end()
        take_back((self._request.inputs, self._request.outputs))
        first = () if self._first_handle is None else (self._first_handle,)
        ends = (self._launched.output, self._launched.status, self._launched.gate)
        for handle in (self._log, self._outermost, *ends, *first):
            os.close(handle)


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]
