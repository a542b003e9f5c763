"""The list of escapes: each way out of the sandbox that is tried, by what it is called in ``attempts`` or ``bombs``.

One job makes all attempts; each bomb is a job of its own. What a job would find if it got out is put there first, as
canaries: a file, an environment, a process, listeners, a segment of shared memory, a name.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import CgroupParent
from marketplace.provider.executors.seccomp import DENIED
from tests.integration.bubblewrap_bombs import BOMBS, survived
from tests.integration.bubblewrap_jobs import ROOT, prepared, run

ATTEMPTS: Final = Path(__file__).with_name("bubblewrap_attempts.py")
_SHARED_MEMORY: Final = ctypes.CDLL(None)

ESCAPES: Final[Mapping[str, tuple[str, ...]]] = {
    "E1 a file of the host": (
        "read a secret file of the agent's user",
        "see the home folder, the repository or the agent's working folder",
        "read account, host and key files",
        "climb above the working folder or through a link of /proc",
        "import a package of the agent or of the host's Python",
        "write outside the job's own folders",
        "use a handle that was left open",
    ),
    "E2 environments": ("read another process's environment", "read anything in the environment of process 1"),
    "E3 the kernel's memory": ("read or write the kernel's own files",),
    "E4 the kernel's switches": ("write to any of its own files in /proc, which set what it is to the kernel",),
    "E5 control groups and /sys": ("reach a control group, its limits or its release agent",),
    "E6 devices": ("make or open a device of the host",),
    "E7 mounts": ("mount a file system", "make a read-only mount writable"),
    "E8 new namespaces": ("make a namespace by unshare, clone or clone3",),
    "E9 others' namespaces": ("enter a namespace of another process",),
    "E10 tracing": ("trace or read the memory of process 1",),
    "E11 killing": (
        "signal a process of the host",
        "see a process of the host, or its paths on a command line",
    ),
    "E12 keys": ("find a key of the host's in the kernel",),
    "E13 unix sockets": (
        "connect to a unix socket of the host by its path",
        "connect to an abstract unix socket of the host",
    ),
    "E14 the host's ports": ("connect to a listener on the host's 127.0.0.1",),
    "E15 the metadata service, other networks, IPv6": (
        "connect to the metadata service, the local network or the world",
        "send a datagram anywhere",
        "have a network interface besides loopback, or a route",
    ),
    "E16 DNS": ("resolve a name",),
    "E17 other protocols": ("open a socket of a family that has no namespace, or a raw one",),
    "E18 the terminal": ("type into the terminal the agent was started from",),
    "E19 links in the outputs": ("hard link a file from outside into the outputs",),
    "E20 rights": (
        "raise its own limits, priority or user",
        "hold or regain a capability",
        "gain rights from a setuid program",
        "lower its own oom_score_adj, so that the kernel takes the agent first",
    ),
    "E21 shared memory and names": (
        "find a System V segment or a message queue of the host",
        "learn the host's name",
    ),
    "E22 denied system calls": ("make any of the system calls that are denied",),
    "E23 another system call table": ("make a denied call by its number of another architecture",),
    "E24 a fork bomb": ("time, forking without end",),
    "E25 memory": ("memory of one process", "memory of several processes", "memory through /dev/shm"),
    "E26 disk": (
        "disk by many files",
        "disk by files without a name",
        "disk by files in closed folders",
        "disk by sparse files",
        "disk by hard links",
    ),
    "E27 a log without end": ("time, printing without end",),
    "E28 ignoring SIGTERM": ("time, ignoring SIGTERM", "time, stopped"),
    "E29 a grandchild that stays": ("a grandchild that wants to stay",),
    "E30 stealing from its own log": ("time, stealing from its own log", "time, taking back all that it prints"),
    "E31 a tree that cannot be removed": ("two thousand nested folders",),
    "E32 options for the sandbox": ("words that look like options, and variables that load libraries",),
}
OPTIONS: Final = ("--bind", "/", "/job/out", "--share-net", "--setenv", "LD_PRELOAD", "x", "sh")
LOADS: Final = {"LD_PRELOAD": "/job/in/x.so", "BASH_ENV": "/job/in/x", "PYTHONSTARTUP": "/job/in/x", "PATH": "/job/in"}


@contextmanager
def canaries(place: Path) -> Iterator[dict[str, object]]:
    """Put them there; yield what a job must know to look for them."""
    canary, abstract = f"canary-{uuid4().hex}", f"\0bourse-{uuid4().hex}"
    (place / "secret").write_text(canary)
    with (
        socket.create_server(("127.0.0.1", 0)) as v4,
        socket.socket(socket.AF_UNIX) as path_listener,
        socket.socket(socket.AF_UNIX) as abstract_listener,
        subprocess.Popen(["sleep", "600"], env={"SECRET": canary}) as victim,
    ):
        segment = _SHARED_MEMORY.shmget(0, 4096, 0o1600)  # IPC_PRIVATE, IPC_CREAT for the owner
        path_listener.bind(str(place / "listener"))
        path_listener.listen()
        abstract_listener.bind(abstract)
        abstract_listener.listen()
        try:
            yield {
                "canary": canary,
                "secret": str(place / "secret"),
                "repository": str(ROOT),
                "home": str(Path.home()),
                "cwd": os.getcwd(),
                "port": v4.getsockname()[1],
                "socket": str(place / "listener"),
                "abstract": abstract[1:],
                "pid": victim.pid,
                "library": os.__file__,
                "denied": list(DENIED),
            }
        finally:
            _SHARED_MEMORY.shmctl(segment, 0, None)  # IPC_RMID
            victim.kill()


def attempted(executor: BubblewrapExecutor, facts: Mapping[str, object], place: Path) -> dict[str, str | None]:
    """Make all attempts in one job; say how each got through, None if it did not."""
    files = {"attempts.py": ATTEMPTS.read_text(), "facts.json": json.dumps(facts)}
    ran = run(executor, prepared(place, "python", "attempts.py", files=files))

    assert ran.result.exit_code == 0, ran.log
    found: dict[str, str | None] = json.loads((ran.request.inputs / "report.json").read_text())
    return found


def by_options(executor: BubblewrapExecutor, place: Path) -> str | None:
    """Give words and variables that would mean something outside of the sandbox; say what they did there, None if nothing."""
    request = prepared(place, *OPTIONS, env=LOADS)
    execution = executor.start(request)
    try:
        environment = Path(f"/proc/{execution.pid}/environ").read_bytes()
    except OSError:
        environment = b""  # it is over already, or just ending
    result = execution.wait(60)
    if b"LD_PRELOAD" in environment:
        return "its environment reached the supervisor"
    if result is None or result.exit_code not in (2, 127):
        return f"the sandbox took its words: {result}"
    return None if list(request.outputs.iterdir()) == [] else "something was mounted"


def names(*, harmless_only: bool = False) -> list[str]:
    """The attempts by name, without making any."""
    argument = "list-harmless" if harmless_only else "list"
    listed = subprocess.run([sys.executable, ATTEMPTS, argument], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def all_tried(executor: BubblewrapExecutor, cgroups: CgroupParent | None, place: Path) -> dict[str, str | None]:
    """Try every way on the list; say how each got through, None if it did not."""
    with canaries(place) as facts:
        found = attempted(executor, facts, place)
    for name, bomb in BOMBS.items():
        found[name] = survived(bomb, executor, cgroups, place)
    (options,) = ESCAPES["E32 options for the sandbox"]
    found[options] = by_options(executor, place)
    return found
