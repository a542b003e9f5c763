"""The way into a running sandbox, as the agent has it: programs in it, and sockets of its network.

Each goes through ``enter``, a process of its own that joins the sandbox and gives up every right that the job does not
have before anything is run. What comes out of there is the job's word: it is bounded and checked here. A session ends
with the job, since the kernel ends all processes of a sandbox with its first one; and with the agent, whose end of the
line to the session's keeper closes with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from marketplace.domain.spec import JOB_IN
from marketplace.domain.ssh import EntryReason, EntryRefused
from marketplace.provider.executors import enter
from marketplace.provider.executors.arguments import job_environment, user_inside
from marketplace.provider.executors.base import JobUse
from marketplace.provider.executors.records import JobPlan
from marketplace.provider.executors.sandbox import job_user
from marketplace.provider.executors.usage import cpu_milliseconds, is_bound, memory_bytes, numbers_of, sandboxes_of

ENTRY_SECONDS: Final = 20.0
"""How long a process may take to be in the sandbox: on a loaded machine an interpreter starts slowly."""
_KILLED: Final = 137
_PIPE_BYTES: Final = 1 << 18
_CODES: Final = range(256)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal as somebody has it in front of them."""

    kind: str = "xterm"
    rows: int = 24
    columns: int = 80


@dataclass(frozen=True, slots=True)
class Program:
    """What is run in there: these words; or a line for a shell; or, without either, a shell.

    ``variables`` come on top of the job's own environment. With a ``terminal`` it has one, else three pipes.
    """

    words: tuple[str, ...] = ()
    line: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    terminal: Terminal | None = None


class JobSession:
    """A program in a running sandbox, and all that it starts in its session. Whoever has it closes it.

    ``terminal`` is the near end of its terminal, or None where it has ``pipes``: stdin, stdout and stderr. All are ours
    to read, write and close; closing stdin tells the program so.
    """

    def __init__(self, control: socket.socket, terminal: int | None, pipes: tuple[int, ...]) -> None:
        self.terminal, self.pipes = terminal, pipes
        self._control = control
        self._code: int | None = None

    def fileno(self) -> int:
        """Readable as soon as ``poll`` has an answer."""
        return self._control.fileno()

    def poll(self) -> int | None:
        """Its exit code, 128 and the signal, or 137 where the job or the keeper was killed; None while it runs."""
        return self.wait(0)

    def wait(self, timeout_seconds: float) -> int | None:
        """As ``poll``, once it has ended, or after so long."""
        if self._code is None and is_readable(self._control.fileno(), timeout_seconds):
            self._code = _code_in(_packet(self._control)[0])
        return self._code

    def signal(self, number: int) -> None:
        """Signal what runs in the foreground of the session's first process, as its terminal would."""
        self._say(f"signal {number}")

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal, which tells the programs (SIGWINCH)."""
        if self.terminal is not None:
            with contextlib.suppress(OSError, struct.error):
                fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> None:
        """Kill every process of the session; ``wait`` tells when that is done."""
        self._say("end")

    def close(self) -> None:
        """Hang up, and let go of it: what ignores SIGHUP stays with the job, all else in the session ends."""
        self._say("hang-up")
        self._control.close()

    def discard(self) -> None:
        """Close it, and its terminal or pipes, which nobody has taken."""
        self.close()
        _close([*self.pipes, *([] if self.terminal is None else [self.terminal])])

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._control.send(text.encode(), socket.MSG_DONTWAIT)


class JobNetwork:
    """Sockets of a job's own network, in which there is nothing but its 127.0.0.1. Safe to use from several threads.

    The process that lends them is started with the first one, and ends with the job, the agent, or ``close``. A socket
    stays in the network in which it was made, whoever connects it.
    """

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self._lock = threading.Lock()
        self._control: socket.socket | None = None

    def dial(self, port: int, timeout_seconds: float = 10.0) -> socket.socket:
        """A connection to whatever listens on that port of the job's localhost. Raises EntryRefused: JOB_GONE, PORT_CLOSED."""
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            lent = self.unconnected(family)
            lent.settimeout(timeout_seconds)
            try:
                lent.connect((host, port))
            except OSError:
                lent.close()
            else:
                lent.settimeout(None)
                return lent
        raise EntryRefused(EntryReason.PORT_CLOSED, f"nothing in the job listens on port {port}")

    def listen(self, port: int, backlog: int = 64) -> socket.socket:
        """Listen on that port of the job's localhost: what connects in there is accepted out here. Raises EntryRefused: JOB_GONE, PORT_TAKEN."""
        lent = self.unconnected(socket.AF_INET)
        try:
            lent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            lent.bind(("127.0.0.1", port))
            lent.listen(backlog)
        except OSError as exc:
            lent.close()
            raise EntryRefused(EntryReason.PORT_TAKEN, f"port {port} of the job: {exc.strerror}") from exc
        return lent

    def unconnected(self, family: socket.AddressFamily) -> socket.socket:
        """A TCP socket of that network. Raises EntryRefused: JOB_GONE, ENTRY_FAILED."""
        with self._lock:
            if self._control is None:
                self._control = self._entrance.lender()
            try:
                self._control.send(b"6" if family == socket.AF_INET6 else b"4")
                if not is_readable(self._control.fileno(), ENTRY_SECONDS):
                    raise TimeoutError("no answer")
                said, handles = _packet(self._control)
            except OSError as exc:
                self._forget()
                raise self._entrance.refusal(str(exc)) from exc
            if not handles:
                if not said:
                    self._forget()
                raise self._entrance.refusal(said)
        return socket.socket(fileno=handles[0])

    def close(self) -> None:
        """Lend no more; sockets that were lent stay."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


class Entrance:
    """The way into one job, from when its sandbox is ready until it is over."""

    def __init__(self, plan: JobPlan) -> None:
        self._plan = plan
        self.lease = plan.request.lease
        self.network = JobNetwork(self)

    def run(self, program: Program) -> JobSession:
        """Start a program in there. Raises EntryRefused."""
        return self._session(program, ["-I", "-S", enter.__file__])

    def run_module(self, name: str) -> JobSession:
        """Start a module of ours in there, which imports what it needs and then calls ``enter.main``. Raises EntryRefused."""
        return self._session(Program(), ["-I", "-m", name])

    def end_handle(self) -> int:
        """A handle that is readable when the job is over; the caller's to close. Raises EntryRefused."""
        with self._first() as first:
            return os.dup(first.handle)

    def lender(self) -> socket.socket:
        """Start a process that lends sockets of the job's network, and return the line to it. Raises EntryRefused."""
        with self._first() as first:
            control, _ = self._started(
                [sys.executable, "-I", "-S", enter.__file__], self._steps(first), first, (-1,) * 3
            )
        return control

    def refusal(self, said: str) -> EntryRefused:
        """Why a process in there could not be had."""
        try:
            with self._first():
                return EntryRefused(EntryReason.ENTRY_FAILED, said or "it broke off")
        except EntryRefused as refused:
            return refused

    def _session(self, program: Program, script: list[str]) -> JobSession:
        variables = job_environment(self._plan.request, has_libraries=self._plan.runtime.has_libraries)
        variables |= {"TERM": program.terminal.kind} if program.terminal else {}
        steps: dict[str, Any] = {
            "words": list(program.words), "line": program.line, "variables": variables | dict(program.variables),
            "terminal": [program.terminal.rows, program.terminal.columns] if program.terminal else None,
        }  # fmt: skip
        with self._first() as first, contextlib.ExitStack() as theirs:
            near, far = ([], [-1] * 3) if program.terminal else self._pipes(theirs)
            try:
                words = [sys.executable, *script]
                control, handles = self._started(words, self._steps(first) | steps, first, tuple(far))
            except BaseException:
                _close(near)
                raise
        if program.terminal is None:
            _close(handles)
            return JobSession(control, None, tuple(near))
        if len(handles) != 1 or not os.isatty(handles[0]):
            _close(handles)
            control.close()
            raise EntryRefused(EntryReason.ENTRY_FAILED, "it came without a terminal")
        return JobSession(control, handles[0], ())

    def used(self) -> JobUse:
        """What the job has used so far. Its memory is the kernel's count where it has a group, else a sum over its processes. Raises EntryRefused."""
        with self._first() as first:
            group = self._plan.cgroups.of(self.lease) if self._plan.cgroups else None
            counted = group.memory_bytes() if group else None
            return JobUse(cpu_milliseconds(first.pid), (memory_bytes(first.pid) if counted is None else counted) >> 20)

    def _first(self) -> _First:
        """The sandbox's first process, ready to be joined. Raises EntryRefused.

        Its mark alone could be worn by a process of any job; that it is the first one of a namespace below ours, no job
        can bring about. Its filter is put on when all else in there is done.
        """
        marked = [_First(handle) for handle in sandboxes_of(self.lease)]
        found = next((one for one in marked if one.is_first), None)
        for one in marked:
            if one is not found:
                one.close()
        if found is None:
            raise EntryRefused(EntryReason.JOB_GONE, "the job does not run any more")
        if not found.is_ready:
            found.close()
            raise EntryRefused(EntryReason.JOB_NOT_READY, "its sandbox is still being made")
        return found

    def _steps(self, first: _First) -> dict[str, Any]:
        groups = self._plan.cgroups
        return {
            "pid": first.pid, "first": first.handle, "entrances": groups.of(self.lease).entrances if groups else [],
            "user": job_user(self._plan.request, self._plan.first_user), "filter": self._plan.seccomp.hex(), "folder": JOB_IN,
            "inside": user_inside(self._plan.request),
        }  # fmt: skip

    def _pipes(self, theirs: contextlib.ExitStack) -> tuple[list[int], list[int]]:
        """Our ends and theirs of stdin, stdout and stderr; the job's user may open its own anew (/dev/stdout)."""
        user = job_user(self._plan.request, self._plan.first_user)
        near, far = [], []
        for number in range(3):
            reading, writing = os.pipe()
            ours, other = (writing, reading) if number == 0 else (reading, writing)
            with contextlib.suppress(OSError):  # as long as it was, where the user's pipes hold enough already
                fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            if user is not None:
                os.fchown(other, user, user)
            theirs.callback(os.close, other)
            near.append(ours)
            far.append(other)
        return near, far

    def _started(
        self, words: list[str], steps: dict[str, Any], first: _First, files: tuple[int, ...]
    ) -> tuple[socket.socket, list[int]]:
        """Start ``enter``, and wait until it is inside; the line to it, and what it handed over. Raises EntryRefused."""
        steps = {"is_network_only": "words" not in steps} | steps
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stdin, stdout, stderr = (subprocess.DEVNULL if file < 0 else file for file in files)
        with os.fdopen(os.memfd_create("plan"), "w+b") as plan, theirs:
            plan.write(json.dumps(steps).encode())
            plan.seek(0)
            helper = subprocess.Popen(
                [*words, str(plan.fileno()), str(theirs.fileno())], env={}, cwd="/", start_new_session=True,
                stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=(plan.fileno(), theirs.fileno(), first.handle),
            )  # fmt: skip
        _reap_later(helper)
        is_in_time = is_readable(ours.fileno(), ENTRY_SECONDS)
        said, handles = _packet(ours) if is_in_time else ("it took too long", [])
        if said == "entered":
            return ours, handles
        if not is_in_time:
            helper.kill()
        _close(handles)
        ours.close()
        raise self.refusal(said.removeprefix("failed "))


class _First:
    """A handle of what may be a sandbox's first process."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.pid = _number_of(handle)

    def __enter__(self) -> _First:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_first(self) -> bool:
        """Whether it is number 1 of a namespace right below ours."""
        numbers = numbers_of(str(self.pid))
        return len(numbers) == len(numbers_of("self")) + 1 and numbers[-1] == "1"

    @property
    def is_ready(self) -> bool:
        return is_bound(self.pid)

    def close(self) -> None:
        os.close(self.handle)


def _number_of(handle: int) -> int:
    """The number of a handle's process; -1 when that has ended."""
    lines = Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


def _packet(control: socket.socket) -> tuple[str, list[int]]:
    """One packet of a keeper's, with what it hands over; empty when it is gone."""
    try:
        said, handles, _, _ = socket.recv_fds(control, enter.PACKET_BYTES, 1, socket.MSG_DONTWAIT)
    except OSError:
        return "", []
    for handle in handles:
        os.set_inheritable(handle, False)
    return said.decode(errors="replace"), list(handles)


def _code_in(said: str) -> int:
    words = said.split()
    is_code = len(words) == 2 and words[0] == "ended" and words[1].isascii() and words[1].isdecimal()
    return int(words[1]) if is_code and int(words[1]) in _CODES else _KILLED


def is_readable(handle: int, timeout_seconds: float = 0.0) -> bool:
    """Whether there is something to read, or an end, within so long."""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    return bool(waiting.poll(timeout_seconds * 1000))


def _reap_later(helper: subprocess.Popen[bytes]) -> None:
    """It ends as soon as its child is inside, or when it is killed; one that lends sockets ends later, with the job."""
    threading.Thread(target=helper.wait, name="enter", daemon=True).start()


def _close(handles: list[int]) -> None:
    for handle in handles:
        os.close(handle)
