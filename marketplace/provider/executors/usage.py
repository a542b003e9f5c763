"""What a sandbox is and uses, read from /proc: for limits the kernel does not keep, and to find what is left."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path
from typing import Final

import psutil

_MARK: Final = "bourse-job:"
_SUPERVISOR_MARK: Final = "bourse-supervisor:"
_SUPERVISOR: Final = ("-I", "-m", "marketplace.provider.executors.supervisor")
_TEMPORARY: Final = ("tmp", "dev/shm")


def mark(lease: str) -> str:
    """Name under which a lease's sandbox runs (its argv[0]), so that another agent's life can recognise it."""
    return _MARK + lease


def sandbox_of(pid: int, lease: str) -> int | None:
    """Open a handle of the process if it is this lease's sandbox; None if it is gone, or somebody else by now.

    The order makes it safe against reused pids: the handle is of one process for ever, and is opened before the look.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == mark(lease).encode():
            return handle
    os.close(handle)
    return None


def sandboxes_of(lease: str) -> list[int]:
    """Open handles of all processes on this machine that are this lease's sandbox."""
    numbers = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return [handle for handle in (sandbox_of(pid, lease) for pid in numbers) if handle is not None]


def supervisor_mark(lease: str) -> str:
    """The last word on the command line of a lease's supervisor."""
    return _SUPERVISOR_MARK + lease


def supervisor_words(folder: Path, lease: str) -> list[str]:
    """The command line of a lease's supervisor."""
    return [sys.executable, *_SUPERVISOR, str(folder), supervisor_mark(lease)]


def supervisors_of(lease: str) -> dict[int, int]:
    """Open handles of all living processes on this machine that are this lease's supervisor, by their numbers.

    A job may put any mark on its command line, and with it behind bubblewrap's own first words; but its processes are in
    a namespace below ours, and have a number there, too.
    """
    found: dict[int, int] = {}
    depth, wanted = len(numbers_of("self")), supervisor_mark(lease).encode()
    shape = [word.encode() for word in _SUPERVISOR]
    for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[1:4] == shape and words[5:] == [wanted, b""] and len(numbers_of(str(pid))) == depth:
                found[pid] = handle
            else:
                os.close(handle)
    return found


def await_end(handles: list[int], timeout_seconds: float) -> None:
    """Wait until the processes have ended, at most this long for each, and close the handles; no child of ours stays a zombie."""
    for handle in handles:
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        ended.poll(timeout_seconds * 1000)
        with contextlib.suppress(ChildProcessError):  # most are no children of ours
            os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOHANG)
        os.close(handle)


def is_bound(first: int) -> bool:
    """Say whether a sandbox's first process has asked the kernel to die with the outermost one.

    That cannot be seen; but bubblewrap puts the filter on right after asking, and that can.
    """
    try:
        return "\nSeccomp:\t2\n" in Path(f"/proc/{first}/status").read_text()
    except OSError:
        return False


def kill(handle: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal the process, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, number)


def processes_in(first: int) -> list[int]:
    """List the processes of the sandbox whose first process this is (as seen from outside), those that have entered it, too.

    They are nobody's children in there, but of its namespace, of which no job can make another.
    """
    inside = _namespace_of(first)
    if inside in ("", _namespace_of(os.getpid())):
        return []  # it is gone, and its number may be somebody else's by now
    return [pid for pid in psutil.pids() if _namespace_of(pid) == inside]


def _namespace_of(pid: int) -> str:
    """The namespace of numbers that the process is in; empty when it is gone, or none of ours."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def numbered_in(first: int) -> int:
    """How many processes the sandbox's own /proc numbers, those that have entered it too, who are nobody's children in there.

    As many as there can be where it cannot be looked at.
    """
    try:
        return sum(name.isdecimal() for name in os.listdir(f"/proc/{first}/root/proc"))
    except OSError:
        return sys.maxsize


def terminate_command(first: int) -> bool:
    """Send SIGTERM to the job's own main process; False if there is none. Inside the sandbox it is number 2."""
    for pid in processes_in(first):
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            is_command = numbers_of(str(pid))[-1:] == ["2"]
            if is_command:
                kill(handle, signal.SIGTERM)
            os.close(handle)
            if is_command:
                return True
    return False


def numbers_of(process: str) -> list[str]:
    """A process's numbers, from our own namespace to its own; empty when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return []
    return next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])


def cpu_milliseconds(first: int) -> int:
    """Add up the time of all processes of a sandbox, and of those that they have waited for: whatever ends in there is waited for."""
    ticks = 0
    for pid in processes_in(first):
        with contextlib.suppress(OSError, ValueError):  # it has ended
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks * 1000 // os.sysconf("SC_CLK_TCK")


def memory_bytes(first: int) -> int:
    """Add up the memory of all processes of a sandbox, shared pages once, and what it keeps in its temporary folders.

    Shared pages may be files in those folders, so of the two sums only the larger counts: a job is not ended for what
    it has once. One that has both may use up to the folders' size more than its limit; a memory cgroup counts exactly.
    """
    private = shared = 0
    for pid in processes_in(first):
        anonymous, shmem = _proportional(pid)
        private, shared = private + anonymous, shared + shmem
    return private + max(shared, _in_temporary_folders(first))


def _proportional(pid: int) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0  # it has ended
    found = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines[1:]}
    return found.get("Pss_Anon", 0), found.get("Pss_Shmem", 0)


def _in_temporary_folders(first: int) -> int:
    total = 0
    for name in _TEMPORARY:
        with contextlib.suppress(OSError):
            status = os.statvfs(f"/proc/{first}/root/{name}")
            total += (status.f_blocks - status.f_bfree) * status.f_frsize
    return total


def threads_of(user: int) -> int:
    """Count the threads that run as this user on the whole machine: what RLIMIT_NPROC counts."""
    total = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().real == user:
                total += process.num_threads()
    return total
