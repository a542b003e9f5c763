"""What every executor promises the agent, in terms the agent can put into a receipt.

An executor is given a lease's private folder and a command; it runs the command where it can touch nothing else, and
says afterwards how it ended and which limits really were in force. It knows nothing of chains, orders or money.

A job does not depend on the agent that started it: the next agent finds it by ``adopt``, running or over. It ends by
itself, by ``kill`` or ``reap``, when its wall time is used up, when it goes over a limit, or when no agent has attended
to it for ``Limits.unattended_seconds``. However it ends, its folders and its log stay as they are then.

The log is one file, ``folder/log``, that only ever grows, so that it can be read along by offset while the job runs.
Of a log that is larger than ``Limits.log_bytes`` it holds the head while the job runs, and once the job is over also
one line that says how much is missing, and the tail; ``ExecutionResult.log`` says where that line begins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from marketplace.domain.errors import InvalidField
from marketplace.domain.keeping import SessionTerms
from marketplace.provider.egress.rules import WayOut
from marketplace.provider.executors.devices import NO_DEVICES, GpuDevices

if TYPE_CHECKING:
    from marketplace.provider.executors.entrance import Entrance

JOB_INPUTS: Final = "in"
"""Folder of a lease that the job sees as /job/in: its working directory."""
JOB_OUTPUTS: Final = "out"
"""Folder of a lease that the job sees as /job/out."""
JOB_CHANGES: Final = "root"
"""Folder of a lease that holds what its job has changed of its image."""
CHANGES: Final = ("upper", "work")
"""What lies in it, as the kernel's overlay wants it."""
JOB_LOG: Final = "log"
"""File of a lease that holds the job's stdout and stderr as they came. The job only has a pipe, never this file."""

MOUNT_FOLDERS: Final = (
    b"proc",
    b"dev",
    b"tmp",
    b"etc",
    b"job/in",
    b"job/out",
    b"job/gate",
    b"job/secrets",
    b"opt/driver",
)
"""Folders that a sandbox mounts something on: in the tree of an image they are there, and no link of the image's."""
MOUNT_FILES: Final = (b"etc/hosts", b"etc/resolv.conf")

_LEASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. Each is a positive number; none can be left out, because "no limit" is never right."""

    cpus: int
    memory_mib: int
    disk_mib: int
    processes: int
    wall_seconds: int
    log_bytes: int
    """How much of the log is kept; a job may print more."""
    open_files: int = 4096
    """Of each process."""
    grace_seconds: int = 10
    """Between SIGTERM and SIGKILL, whoever wants the end: a job that has to go may write down where it was."""
    unattended_seconds: int = 120
    """How long it runs on without any agent: long enough for one to be started again, found healthy and to catch up."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise InvalidField(f"limits.{name}", "must be at least 1")


def processes_for(cpus: int, memory_mib: int) -> int:
    """How many processes and threads a job with so much of a machine may have."""
    return 512 + 128 * cpus + (memory_mib >> 10) * 32


def open_files_for(cpus: int, memory_mib: int) -> int:
    """How many files each process of a job with so much of a machine may hold open, where the machine allows that."""
    return 8 * processes_for(cpus, memory_mib)


@dataclass(frozen=True, slots=True)
class JobImage:
    """A container image, unpacked: what a job has in the place of this machine's programs.

    ``root`` is never written to; it holds MOUNT_FOLDERS and MOUNT_FILES as real folders and files. ``uid`` and ``gid`` are
    the job's in there only.
    """

    root: Path
    env: Mapping[str, str]
    uid: int
    gid: int
    home: str
    working_dir: str
    """Where a job without inputs begins."""


@dataclass(frozen=True, slots=True)
class ExecutionRequest:
    """One job, ready to run: its inputs are unpacked in ``folder/in`` and ``folder/out`` is there and empty.

    The folder belongs to this lease alone and to the agent's user. ``folder/log`` is made by the executor. ``gpus`` are
    the GPUs that this lease has to itself, and ``devices`` is what the sandbox is given of them, which is all that it sees. With an ``image``, what the job changes of it lies in
    ``folder/root``, which the executor makes, and counts as its disk.
    """

    lease: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    limits: Limits
    gpus: tuple[str, ...] = ()
    devices: GpuDevices = NO_DEVICES
    image: JobImage | None = None
    way_out: WayOut | None = None
    """What it may connect to, through a proxy on its own 127.0.0.1; None: nothing."""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Files in memory, by their names, that only the job reads. They are written down nowhere: what is adopted has none here."""
    session: SessionTerms | None = None
    """It has no command, and stays until it is ended."""
    ssh_keys: tuple[str, ...] = ()
    """Public keys of those who may sit beside it."""

    def __post_init__(self) -> None:
        check_lease(self.lease)
        if self.session is None and (not self.command or not self.command[0]):
            raise InvalidField("command", "must name a program")
        if any("\0" in word for word in self.command):
            raise InvalidField("command", "must not hold NUL")
        for name, value in self.env.items():
            if not _ENV_NAME.fullmatch(name):
                raise InvalidField(f"env.{name!r}", "must be a name of letters, digits and _")
            if "\0" in value:
                raise InvalidField(f"env.{name}", "must not hold NUL")

    @property
    def inputs(self) -> Path:
        """Where the agent unpacks the inputs."""
        return self.folder / JOB_INPUTS

    @property
    def outputs(self) -> Path:
        """Where the agent finds the outputs."""
        return self.folder / JOB_OUTPUTS

    @property
    def changes(self) -> Path:
        """Where lies what the job changes of its image."""
        return self.folder / JOB_CHANGES

    @property
    def folders(self) -> tuple[Path, ...]:
        """All that the job writes on the disk."""
        return (self.inputs, self.outputs, *([self.changes] if self.image else []))

    @property
    def log(self) -> Path:
        """Where the agent reads the log, while the job runs and afterwards."""
        return self.folder / JOB_LOG


class EndReason(StrEnum):
    """Why an execution is over. Everything but EXITED means that the executor ended it.

    It is told beside the exit code, never in it: a job that exits with 125 or 137 by itself has EXITED.
    """

    EXITED = "exited"
    """The job ended by itself, with whatever exit code (a signal it sent itself counts)."""
    KILLED = "killed"
    """The agent asked for it."""
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    DISK_LIMIT = "disk_limit"
    """Its inputs and what it wrote take more than ``disk_mib``."""
    FILES_LIMIT = "files_limit"
    """Too many files, in its folders or open; too deeply nested ones; or a folder that nobody can look into."""
    UNATTENDED = "unattended"
    """No agent has attended to it for too long: not the job's doing."""
    LOST = "lost"
    """The sandbox could not be started, or ended without telling how: not the job's doing; the evidence says more."""


@dataclass(frozen=True, slots=True)
class KeptLog:
    """What is in the log of a job that is over. Without a gap ``missing_from`` is the log's end, ``missing_bytes`` 0."""

    bytes: int
    """The size of ``folder/log``, with the line that tells of a gap."""
    missing_from: int
    """Where that line begins: the head of what the job printed ends there."""
    missing_bytes: int
    """How much of what the job printed is not there."""


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How a job ended.

    ``exit_code`` is the job's own, or 128 + the signal that killed it; 0 goes with EXITED, or, when the job answered
    SIGTERM in time and well, with TIME_LIMIT, KILLED and UNATTENDED. ``enforcement`` lists, sorted, which limits were
    in force and by what means (say ``memory:cgroup-v1``), so that the record never claims more than was done.
    ``evidence`` is what was seen of the end that ``ended`` names, in words for people. ``cpu_seconds`` are the job's own,
    as far as the machine counts them; ``started_at`` and ``ended_at`` are the machine's clock, in seconds since 1970,
    and 0 where the job never began.
    """

    exit_code: int
    ended: EndReason
    enforcement: tuple[str, ...]
    evidence: str = ""
    log: KeptLog | None = None
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    started_at: int = 0
    ended_at: int = 0
    egress_bytes: int = 0
    """What it has sent and received through its way out."""


@dataclass(frozen=True, slots=True)
class JobUse:
    """What a job has used, as of when somebody looked."""

    cpu_milliseconds: int
    """Of all its processes together; those of an entered process count as long as it runs."""
    memory_mib: int
    """In use now, without files that the kernel keeps only because there is room."""


class Execution(Protocol):
    """A job that was started. Its methods may be called from any thread, in any order, any number of times."""

    @property
    def lease(self) -> str:
        """The lease it runs for."""

    @property
    def request(self) -> ExecutionRequest:
        """What was started: its limits, and the GPUs that it holds until it is over."""

    @property
    def pid(self) -> int:
        """The process that stays with the job, for the agent's record. End a job by ``kill`` or ``reap``, not by pid."""

    def poll(self) -> ExecutionResult | None:
        """Say how it ended, or None while anything of it still runs."""

    def wait(self, timeout_seconds: float) -> ExecutionResult | None:
        """Wait for the end at most this long; None when it still runs."""

    def kill(self) -> None:
        """Ask for its end: SIGTERM now, and SIGKILL for all that is left after the limits' grace. Returns at once."""

    def used(self) -> JobUse | None:
        """What it has used so far; None where it does not run, or not yet. Looks at every process of the machine: not in a hurry."""

    def entrance(self) -> Entrance:
        """The way in: programs in the sandbox beside the job, and sockets of its network. Raises EntryRefused, now or later."""

    def leave(self) -> None:
        """Attend to it no more, as if the agent had died: another agent may adopt it from now on."""


class Executor(Protocol):
    """Something that can run jobs on this machine."""

    @property
    def name(self) -> str:
        """A short word for the record: ``bubblewrap``."""

    def preflight(self) -> None:
        """Run a trivial job; raise ToolMissing, saying what to install or switch on, if that does not work."""

    def start(self, request: ExecutionRequest) -> Execution:
        """Start the job and return at once. It outlives the agent's process; what prevents it is told as LOST."""

    def adopt(self, lease: str) -> Execution | None:
        """Attend to a job that an earlier agent, or this one, has started: still running, or over with its result.

        None where no job of that name was ever started here, or all of it was reaped. Of several starts of one name
        the last one counts.
        """

    def reap(self, lease: str, pid: int | None = None) -> None:
        """End whatever is left of a lease at once, wait until it is gone, and forget it. Harmless when nothing is left.

        ``pid`` is a hint: nothing is killed because of its number alone, so a reused pid is safe.
        """


def check_lease(lease: str) -> None:
    """Refuse names that could not stand in a path or a command line as they are."""
    if not _LEASE.fullmatch(lease):
        raise InvalidField("lease", "must be 1 to 128 letters, digits, '_', '.', '-', the first a letter or digit")
