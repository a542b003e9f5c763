"""What bubblewrap is told: which namespaces, which mounts, which environment. Nothing here runs anything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from marketplace.provider.executors.base import ExecutionRequest, Limits
from marketplace.provider.executors.devices import DRIVER_AT, device_arguments
from marketplace.provider.runtime import ENVIRONMENT_AT, PYTHON_AT

NEEDED_OPTIONS: Final = (
    "--args",
    "--disable-userns",
    "--json-status-fd",
    "--perms",
    "--size",
    "--seccomp",
    "--remount-ro",
)
"""What a bubblewrap must know to be of use here (0.8 and later do)."""

_GATE: Final = 'read -r _ && exec "$@" </dev/null'
"""What the sandbox runs first: it waits for a line from the agent, and becomes the job; or ends, if the agent is gone."""
_NOBODY: Final = "65534"
"""The user inside: owner of nothing but the job's own files."""
_MULTIARCH: Final = Path("/usr/lib/x86_64-linux-gnu")
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
    "PYTHON_CPU_COUNT",
)  # fmt: skip


def sandbox_arguments(
    request: ExecutionRequest, places: Mapping[str, Path], environment: Mapping[str, str]
) -> list[str]:
    """List the options for one job. ``places`` says where bubblewrap finds in, out, python, environment and etc."""
    words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup"]
    words += ["--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "job"]
    # A new session, so that the job cannot type into the terminal the agent was started from.
    words += ["--cap-drop", "ALL", "--disable-userns", "--new-session", "--die-with-parent", "--clearenv"]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += _system()
    words += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        *device_arguments(request.devices, places),
        *_temporary(request.limits),
    ]
    # Process 1 runs as the same user as the job, which could rewrite its memory: take away its promise to die with the
    # agent, and the mark by which it is found. Its other doors (ptrace and the like) are closed by the filter.
    # Nothing in /proc is for writing: where the agent is not root the job could, say, lower its own oom_score_adj.
    words += ["--tmpfs", "/proc/1", "--remount-ro", "/proc/1", "--remount-ro", "/proc"]
    words += ["--ro-bind", str(places["etc"]), "/etc"]
    # Debian's links such as awk lead through here.
    words += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    words += ["--ro-bind", str(places["python"]), PYTHON_AT, "--ro-bind", str(places["environment"]), ENVIRONMENT_AT]
    words += ["--bind", str(places["in"]), "/job/in", "--bind", str(places["out"]), "/job/out"]
    # The root folder and /dev are memory, too, and without limit: nothing can be put there.
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/job/in"]
    return words


def gated(command: tuple[str, ...]) -> list[str]:
    """The job's command behind a gate, which the agent opens when nothing can part the sandbox from it any more.

    A program that is not there makes this shell say so, and end with 127.
    """
    return ["/bin/sh", "-c", _GATE, "job", *command]


def job_environment(request: ExecutionRequest, *, has_libraries: bool) -> dict[str, str]:
    """What the job finds in its environment: this, and the spec's own, which wins; nothing of the agent's.

    ``has_libraries`` says that the runtime's interpreter needs libraries from beside it.
    """
    given = {
        "PATH": f"{ENVIRONMENT_AT}/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # the log is streamed: a line should be there when it was printed
        "CUDA_VISIBLE_DEVICES": "",  # a job without GPUs looks for none
    }
    given |= request.devices.environment
    # Otherwise libraries start a thread for each CPU of the machine, and a job for two CPUs fights itself.
    given |= dict.fromkeys(_THREAD_VARIABLES, str(request.limits.cpus))
    given |= request.env
    ours = [f"{PYTHON_AT}/lib"] * has_libraries + [DRIVER_AT] * bool(request.devices.libraries)
    if ours:
        wished = [given["LD_LIBRARY_PATH"]] if given.get("LD_LIBRARY_PATH") else []
        given["LD_LIBRARY_PATH"] = ":".join([*wished, *ours])
    return given


def _system() -> Iterator[str]:
    """Mount programs and C libraries, and no more: where libraries have a folder of their own, /usr/lib stays out."""
    libraries = [_MULTIARCH] if _MULTIARCH.is_dir() else [Path("/usr/lib")]
    for path in (
        Path("/usr/bin"),
        *libraries,
        Path("/usr/lib64"),
        Path("/usr/lib/locale"),
        Path("/usr/share/zoneinfo"),
    ):
        yield from ("--ro-bind-try", str(path), str(path))
    if not _MULTIARCH.is_dir():
        for path in [*Path("/usr/lib").glob("python*"), *Path("/usr/lib64").glob("python*")]:
            yield from ("--tmpfs", str(path), "--remount-ro", str(path))
    for name in ("bin", "lib", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))
        else:
            yield from ("--ro-bind-try", str(path), str(path))


def _temporary(limits: Limits) -> Iterator[str]:
    """Both are memory. With a memory cgroup they count as the job's; without, half its memory each bounds them."""
    half = str((limits.memory_mib << 20) // 2)
    for place in ("/tmp", "/dev/shm"):
        yield from ("--perms", "1777", "--size", half, "--tmpfs", place)
