"""Turns itself into bubblewrap, from the inside of the limits it is to have.

Run as a program of its own (``python -I -S launch.py FD``), because what it sets (groups, limits, user, mounts)
it sets for itself: the agent must not have it, and a forked copy of a program with threads must not do so much. Nothing
of the package is imported; it has the standard library, a plan in JSON on FD, and an empty environment.

As root it first makes the lease's folders, the runtime and bubblewrap itself reachable for the job's user: in a mount
namespace of its own it lays them out below /tmp, whatever the permissions of the folders above them, and then becomes
that user for good. Otherwise it stays who it is, and paths are used as they are.
"""

import ctypes
import json
import os
import resource
import stat
import sys
from typing import Any

STAGE = "/tmp"  # covered by an empty file system of our own before anything is put there

_NEW_MOUNTS = 0x00020000
_PRIVATE = 1 << 18 | 1 << 14
_BIND = 1 << 12 | 1 << 14
_NO_DEVICES_NO_SETUID = 4 | 2

_libc = ctypes.CDLL(None, use_errno=True)


def main(plan: dict[str, Any]) -> None:
    """Follow the plan; returns never, or with an exception that ends up in the job's log.

    Nothing here asks to be killed when the agent is: bubblewrap, killed between two steps of its own, would leave a
    process that waits for ever. It starts to the end, finds the gate closed, and is gone.
    """
    for entrance in plan["entrances"]:
        with open(entrance, "w") as file:
            file.write("0\n")
    for name, value in plan["rlimits"].items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (bound, bound))
    os.nice(plan["nice"])
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000\n")  # if the machine runs out of memory, let it be a job that goes, not the agent
    if plan["user"] is not None:
        os.umask(0o022)
        stage(plan["folders"], plan["files"])
        os.setgroups([])
        os.setresgid(plan["user"], plan["user"], plan["user"])
        os.setresuid(plan["user"], plan["user"], plan["user"])
    os.umask(0o022)
    os.chdir("/")
    os.execve(plan["program"], plan["arguments"], {})


def stage(folders: dict[str, str], files: dict[str, str]) -> None:
    """Lay out folders and libraries (as mounts) and files (as copies) below STAGE, seen by nobody but us and our children."""
    called("unshare", _NEW_MOUNTS)
    called("mount", None, b"/", None, _PRIVATE, None)
    # Opened and read before STAGE is covered, because any of them may lie below it.
    handles = {name: os.open(source, os.O_PATH) for name, source in folders.items()}
    contents = {name: read(source) for name, source in files.items()}
    called("mount", b"tmpfs", STAGE.encode(), b"tmpfs", _NO_DEVICES_NO_SETUID, b"mode=0755,size=16m")
    for name, handle in handles.items():
        place = f"{STAGE}/{name}"
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            os.mkdir(place, 0o755)
        else:
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT, 0o644))
        called("mount", f"/proc/self/fd/{handle}".encode(), place.encode(), None, _BIND, None)
        os.close(handle)
    for name, content in contents.items():
        place = f"{STAGE}/{name}"
        os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
        with open(os.open(place, os.O_WRONLY | os.O_CREAT, 0o755), "wb") as file:
            file.write(content)


def read(path: str) -> bytes:
    """Read a whole file."""
    with open(path, "rb") as file:
        return file.read()


def called(name: str, *arguments: Any) -> None:
    """Call the C library; raise what went wrong."""
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    with open(int(sys.argv[1]), "rb") as opened:
        loaded = json.load(opened)
    main(loaded)
