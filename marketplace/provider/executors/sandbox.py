"""Starts one sandbox, from the process that stays with it: folders handed over, group made, filter and plan in memory."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from marketplace.provider.executors import launch as launcher
from marketplace.provider.executors.arguments import CERTIFICATES, has_certificates, job_environment, sandbox_arguments
from marketplace.provider.executors.base import ExecutionRequest, Limits
from marketplace.provider.executors.cgroups import SANDBOX_PROCESSES, Cgroup
from marketplace.provider.executors.folders import hand_over
from marketplace.provider.executors.gate import gated
from marketplace.provider.executors.records import JobPlan
from marketplace.provider.executors.usage import mark, threads_of
from marketplace.provider.executors.watch import Launched

JOB_USERS: Final = 605
"""An agent that is root runs each lease as one of so many users, which belong to nobody. Two leases may meet in one; they
then share a bound on processes, and nothing else. Leases with images all have the next one, which their images' trees belong to:
the kernel lets nobody else change a copy of them."""

_NICE: Final = 5
_AGENT_THREADS: Final = 64
"""How many threads the agent's own user may start elsewhere before a job that shares its user is refused a process."""
_PROMISED: Final = {
    "disk": "watch+rlimit",
    "log": "pipe",
    "network": "none",
    "system-calls": "seccomp",
    "time": "watch",
}
"""How limits hold on every machine; memory, processes and CPU depend on it."""


def start_sandbox(plan: JobPlan) -> Launched:
    """Start it. Called in the thread that stays with the job, because the kernel ends the sandbox with that very thread."""
    request = plan.request
    user = job_user(request, plan.first_user)
    if user is not None:
        hand_over(request.folders, user)
    cgroup = plan.cgroups.make(request.lease, request.limits) if plan.cgroups else None
    try:
        return _started(plan, user, cgroup)
    except BaseException:
        if cgroup is not None:
            cgroup.end()
        raise


def image_user(first_user: int) -> int | None:
    """Whom the trees of images belong to; None: to the agent's own user, who runs all jobs."""
    return first_user + JOB_USERS if os.geteuid() == 0 else None


def job_user(request: ExecutionRequest, first_user: int) -> int | None:
    """As whom a job runs, seen from outside; None: as the agent's own user."""
    if os.geteuid() != 0 or request.image:
        return image_user(first_user)
    return first_user + int.from_bytes(hashlib.sha256(request.lease.encode()).digest()[:4], "big") % JOB_USERS


def _started(plan: JobPlan, user: int | None, cgroup: Cgroup | None) -> Launched:
    """Start the launcher, which becomes bubblewrap. Files in memory carry what must not be on a command line."""
    request = plan.request
    enforcement = _PROMISED | {"processes": "rlimit", "memory": "watch+rlimit", "cpu": "nice"}
    enforcement |= {"network": "egress"} if request.way_out else {}
    enforcement |= cgroup.enforcement if cgroup else {}
    layout = _layout(plan, user)
    environment = job_environment(request, has_libraries=plan.runtime.has_libraries)
    command = gated(request.command, environment, is_in_image=request.image is not None)
    with ExitStack() as ours:
        output, output_end = os.pipe()
        gate_end, gate = os.pipe()
        os.set_blocking(output, False)
        ours.callback(os.close, output_end)
        ours.callback(os.close, gate_end)
        status = os.memfd_create("status")  # and no pipe: writing to one whose reader has died would be fatal
        if user is not None:
            os.fchown(output_end, user, user)  # or the job could not open its own /dev/stdout
        seccomp = _in_memory(ours, plan.seccomp)
        secrets = {name: _in_memory(ours, value) for name, value in request.secrets.items()}
        words = sandbox_arguments(request, layout.places, environment, secrets)
        words += ["--seccomp", str(seccomp), "--json-status-fd", str(status)]
        arguments = _in_memory(ours, b"".join(os.fsencode(word) + b"\0" for word in words))
        steps = {
            "entrances": cgroup.entrances if cgroup else [],
            "rlimits": _rlimits(request.limits, user, enforcement, is_shared=request.image is not None),
            "nice": _NICE if enforcement["cpu"] == "nice" else 0,
            "user": user,
            "folders": layout.folders,
            "files": layout.files,
            "program": str(layout.program),
            "arguments": [mark(request.lease), "--args", str(arguments), "--", *command],
        }
        plan_file = _in_memory(ours, json.dumps(steps).encode())
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", launcher.__file__, str(plan_file)],
            env={},
            cwd="/",
            stdin=gate_end,
            stdout=output_end,
            stderr=output_end,
            pass_fds=(plan_file, arguments, seccomp, status, *secrets.values()),
            start_new_session=True,
        )
    return Launched(process, output, status, gate, cgroup, enforcement)


def _layout(plan: JobPlan, user: int | None) -> _Layout:
    """Say where bubblewrap will find what it mounts: where it is, or, for another user, where root lays it out."""
    request, runtime = plan.request, plan.runtime
    places = {"in": request.inputs, "out": request.outputs, "etc": runtime.etc}
    if request.image is None:
        places |= {"python": runtime.python, "environment": runtime.environment}
    else:
        places |= {"image": request.image.root, "changes": request.changes, "gate": plan.gate}
    places |= request.devices.places()
    places |= {"certificates": CERTIFICATES} if has_certificates(request) else {}
    places = {name: path.absolute() for name, path in places.items()}
    if user is None:
        return _Layout(places, plan.bwrap, {}, {})
    files = _files_of(plan.bwrap)
    return _Layout(
        places={name: Path(launcher.STAGE, name) for name in places},
        program=Path(launcher.STAGE, next(iter(files))),
        folders={name: str(path) for name, path in places.items()},
        files={name: str(path) for name, path in files.items()},
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """``folders`` (and libraries, as mounts too) and ``files`` are what root lays out first, by the name they get."""

    places: Mapping[str, Path]
    program: Path
    folders: Mapping[str, str]
    files: Mapping[str, str]


def _files_of(bwrap: Path) -> dict[str, Path]:
    """List bubblewrap first, and the library that a package's looks for in a folder beside its own."""
    package = bwrap.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    files = [bwrap, *(sorted(libraries.iterdir()) if libraries.is_dir() else [])]
    return {str(path.relative_to(package.parent)): path for path in files}


def _rlimits(limits: Limits, user: int | None, enforcement: Mapping[str, str], *, is_shared: bool) -> dict[str, int]:
    """What each process may use at most. The kernel's groups bound the whole job; without them, these help out."""
    # Bounds what one file can grow between two looks. It holds for files in /tmp and /dev/shm, too, so it is not less
    # than those may hold; and a little more, so that a job that wants too much meets the watch and its reason.
    file_mib = max(limits.disk_mib, limits.memory_mib // 2) + 1
    bounds = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": limits.open_files, "RLIMIT_FSIZE": file_mib << 20}
    if enforcement["memory"] == "watch+rlimit":
        # Bounds what one process can add between two looks. Not RLIMIT_AS: threads reserve far more than they use.
        bounds["RLIMIT_DATA"] = (2 * limits.memory_mib + 1024) << 20
    if enforcement["processes"] == "rlimit":
        # Users of leases have nobody beside them; that of all images has, and so has the agent's.
        others = (
            0
            if user is not None and not is_shared
            else threads_of(os.geteuid() if user is None else user) + _AGENT_THREADS
        )
        bounds["RLIMIT_NPROC"] = limits.processes + SANDBOX_PROCESSES + others
    return bounds


def _in_memory(ours: ExitStack, content: bytes) -> int:
    """Put content into a file that has no name anywhere; ready to be read from its beginning."""
    file = ours.enter_context(os.fdopen(os.memfd_create("plan"), "w+b"))
    file.write(content)
    file.seek(0)
    return file.fileno()
