"""What every executor promises the agent, in terms the agent can put into a receipt.

An executor is given a lease's private folder and a command; it runs the command where it can touch nothing else, and
says afterwards how it ended and which limits really were in force. It knows nothing of chains, orders or money.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from marketplace.domain.errors import InvalidField

JOB_INPUTS: Final = "in"
"""Folder of a lease that the job sees as /job/in: its working directory."""
JOB_OUTPUTS: Final = "out"
"""Folder of a lease that the job sees as /job/out."""
JOB_LOG: Final = "log"
"""File of a lease that holds the job's stdout and stderr as they came. The job only has a pipe, never this file."""

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

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise InvalidField(f"limits.{name}", "must be at least 1")


@dataclass(frozen=True, slots=True)
class ExecutionRequest:
    """One job, ready to run: its inputs are unpacked in ``folder/in`` and ``folder/out`` is there and empty.

    The folder belongs to this lease alone and to the agent's user. ``folder/log`` is made by the executor. ``gpus`` are
    the machine's own numbers of the GPUs this lease has to itself.
    """

    lease: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    limits: Limits
    gpus: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_lease(self.lease)
        if not self.command or not self.command[0]:
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
    def log(self) -> Path:
        """Where the agent reads the log, while the job runs and afterwards."""
        return self.folder / JOB_LOG


class EndReason(StrEnum):
    """Why an execution is over. Everything but EXITED means that the executor ended it."""

    EXITED = "exited"
    """The job ended by itself, with whatever exit code (a signal it sent itself counts)."""
    KILLED = "killed"
    """The agent asked for it."""
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    """Its inputs and outputs grew by more than ``disk_mib``, or hold too many or too deeply nested files."""
    LOG_LIMIT = "log_limit"
    LOST = "lost"
    """The sandbox could not be started, or ended without telling how: not the job's doing; the log says more."""


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How a job ended.

    ``exit_code`` is the job's own, or 128 + the signal that killed it; 0 goes with EXITED, or with TIME_LIMIT when the
    job answered SIGTERM in time and well. ``enforcement`` lists, sorted, which limits were in force and by what means
    (say ``memory:cgroup-v1``), so that the record never claims more than was done.
    """

    exit_code: int
    ended: EndReason
    enforcement: tuple[str, ...]


class Execution(Protocol):
    """A job that was started. Its methods may be called from any thread, in any order, any number of times."""

    @property
    def lease(self) -> str:
        """The lease it runs for."""

    @property
    def pid(self) -> int:
        """The sandbox's outermost process, for the agent's record. End a job by ``kill`` or ``reap``, not by pid."""

    def poll(self) -> ExecutionResult | None:
        """Say how it ended, or None while anything of it still runs."""

    def wait(self, timeout_seconds: float) -> ExecutionResult | None:
        """Wait for the end at most this long; None when it still runs."""

    def kill(self) -> None:
        """Ask for the end of every one of its processes, at once; returns before they are gone (``wait`` for that)."""


class Executor(Protocol):
    """Something that can run jobs on this machine."""

    @property
    def name(self) -> str:
        """A short word for the record: ``bubblewrap``."""

    def preflight(self) -> None:
        """Run a trivial job; raise ToolMissing, saying what to install or switch on, if that does not work."""

    def start(self, request: ExecutionRequest) -> Execution:
        """Start the job and return at once. The job ends with the agent's process, however that ends."""

    def reap(self, lease: str, pid: int | None = None) -> None:
        """End whatever an agent that crashed left of a lease, and wait until it is gone. Harmless when nothing is left.

        ``pid`` is a hint: nothing is killed because of its number alone, so a reused pid is safe.
        """


def check_lease(lease: str) -> None:
    """Refuse names that could not stand in a path or a command line as they are."""
    if not _LEASE.fullmatch(lease):
        raise InvalidField("lease", "must be 1 to 128 letters, digits, '_', '.', '-', the first a letter or digit")
