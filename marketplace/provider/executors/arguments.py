"""What bubblewrap is told: which namespaces, which mounts, which environment. Nothing here runs anything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from marketplace.domain.job_secrets import SECRETS_AT
from marketplace.provider.executors.base import CHANGES, ExecutionRequest, Limits
from marketplace.provider.executors.devices import DRIVER_AT, device_arguments
from marketplace.provider.executors.gate import GATE_AT, is_held_back
from marketplace.provider.runtime import ENVIRONMENT_AT, PYTHON_AT

NEEDED_OPTIONS: Final = (
    "--args",
    "--disable-userns",
    "--json-status-fd",
    "--perms",
    "--size",
    "--seccomp",
    "--remount-ro",
    "--overlay",
)
"""What a bubblewrap must know to be of use here (0.11 and later do)."""

_NOBODY: Final = 65534
"""The user inside: owner of nothing but the job's own files."""
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
"""Of the authorities that this machine trusts."""
_CERTIFICATES_AT: Final = "/job/certificates.crt"
_SECRETS_BYTES: Final = 1 << 20
"""Whole pages are taken for each."""
_IMAGE_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MULTIARCH: Final = Path("/usr/lib/x86_64-linux-gnu")
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
    "PYTHON_CPU_COUNT",
)  # fmt: skip


def sandbox_arguments(
    request: ExecutionRequest,
    places: Mapping[str, Path],
    environment: Mapping[str, str],
    secrets: Mapping[str, int] = MappingProxyType({}),
) -> list[str]:
    """List the options for one job. ``places`` says where bubblewrap finds in, out and etc; python and environment, or image, changes and gate;
    ``secrets``, by their names, the handles that it reads them from.
    """
    uid, gid = user_inside(request)
    words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup"]
    words += ["--uid", str(uid), "--gid", str(gid), "--hostname", "job"]
    # A new session, so that the job cannot type into the terminal the agent was started from.
    words += ["--cap-drop", "ALL", "--disable-userns", "--new-session", "--die-with-parent", "--clearenv"]
    for name, value in environment.items():
        words += [] if is_held_back(name) else ["--setenv", name, value]
    words += _image_root(places) if request.image else _system()
    words += ["--proc", "/proc", "--dev", "/dev", *_devices(request, places), *_temporary(request.limits)]
    # Process 1 runs as the same user as the job, which could rewrite its memory: take away its promise to die with the
    # agent, and the mark by which it is found. Its other doors (ptrace and the like) are closed by the filter.
    # Nothing in /proc is for writing: where the agent is not root the job could, say, lower its own oom_score_adj.
    words += ["--tmpfs", "/proc/1", "--remount-ro", "/proc/1", "--remount-ro", "/proc"]
    words += _image_mounts(places) if request.image else _runtime(places)
    words += ["--bind", str(places["in"]), "/job/in", "--bind", str(places["out"]), "/job/out", "--remount-ro", "/dev"]
    words += _secrets(secrets)
    words += ["--ro-bind", str(places["certificates"]), _CERTIFICATES_AT] if "certificates" in places else []
    # Without an image the root folder is memory, and without limit, as /dev is: nothing can be put there.
    return [*words, *([] if request.image else ["--remount-ro", "/"]), "--chdir", _first_folder(request)]


def user_inside(request: ExecutionRequest) -> tuple[int, int]:
    """The job's user and group, as its sandbox numbers them."""
    return (request.image.uid, request.image.gid) if request.image else (_NOBODY, _NOBODY)


def _first_folder(request: ExecutionRequest) -> str:
    """Where the job begins: with its inputs; where it has none, where its image wants it to."""
    has_inputs = any(request.inputs.iterdir())
    return request.image.working_dir if request.image and not has_inputs else "/job/in"


def _devices(request: ExecutionRequest, places: Mapping[str, Path]) -> list[str]:
    """The job's GPUs. In an image their driver's libraries stand in memory: no link of the image's is in their way."""
    words = list(device_arguments(request.devices, places))
    if not request.image or not request.devices.libraries:
        return words
    return ["--tmpfs", DRIVER_AT, *words, "--remount-ro", DRIVER_AT]


def has_certificates(request: ExecutionRequest) -> bool:
    """Whether the job gets this machine's certificates: what connects out has to know whom it speaks to. An image has its own."""
    return request.way_out is not None and request.image is None and CERTIFICATES.is_file()


def _secrets(handles: Mapping[str, int]) -> list[str]:
    """A file in memory for each, for the job's user alone; nothing can be added to them, or put in their place."""
    if not handles:
        return []
    words = ["--perms", "0500", "--size", str(_SECRETS_BYTES), "--tmpfs", SECRETS_AT]
    for name, handle in handles.items():
        words += ["--perms", "0400", "--file", str(handle), f"{SECRETS_AT}/{name}"]
    return [*words, "--remount-ro", SECRETS_AT]


def _image_root(places: Mapping[str, Path]) -> list[str]:
    """The image as it is, below what the job changes of it, which lies in the lease's folder and counts as its disk."""
    upper, work = (str(places["changes"] / name) for name in CHANGES)
    return ["--overlay-src", str(places["image"]), "--overlay", upper, work, "/"]


def _image_mounts(places: Mapping[str, Path]) -> list[str]:
    """The gate, and the job's own name; all else of /etc is the image's. These places are real ones in every image's tree."""
    return ["--ro-bind", str(places["gate"]), GATE_AT, "--ro-bind", str(places["etc"] / "hosts"), "/etc/hosts"]


def _runtime(places: Mapping[str, Path]) -> list[str]:
    """The job runtime of this machine."""
    words = ["--ro-bind", str(places["etc"]), "/etc"]
    # Debian's links such as awk lead through here.
    words += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    return [
        *words,
        "--ro-bind",
        str(places["python"]),
        PYTHON_AT,
        "--ro-bind",
        str(places["environment"]),
        ENVIRONMENT_AT,
    ]


def job_environment(request: ExecutionRequest, *, has_libraries: bool) -> dict[str, str]:
    """What the job finds in its environment: its image's, this, and the spec's own, which wins; nothing of the agent's.

    ``has_libraries`` says that the runtime's interpreter needs libraries from beside it.
    """
    image = request.image
    if image is None:
        given = {"PATH": f"{ENVIRONMENT_AT}/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
    else:
        given = {"PATH": _IMAGE_PATH, "HOME": image.home, "LANG": "C.UTF-8", **image.env}
    given |= request.way_out.variables() if request.way_out else {}
    given |= {"SSL_CERT_FILE": _CERTIFICATES_AT} if has_certificates(request) else {}
    given["PYTHONUNBUFFERED"] = "1"  # the log is streamed: a line should be there when it was printed
    given["CUDA_VISIBLE_DEVICES"] = ""  # a job without GPUs looks for none
    given |= request.devices.environment
    # Otherwise libraries start a thread for each CPU of the machine, and a job for two CPUs fights itself.
    given |= dict.fromkeys(_THREAD_VARIABLES, str(request.limits.cpus))
    given |= request.env
    ours = [f"{PYTHON_AT}/lib"] * (has_libraries and image is None) + [DRIVER_AT] * bool(request.devices.libraries)
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
