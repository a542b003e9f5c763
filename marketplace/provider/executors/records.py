"""What is on disk of the jobs that were started: what an agent that begins needs to find them, and how they ended.

records/<lease>/plan.json      what the supervisor was told, but for the job's secrets; its environment may hold some, too
records/<lease>/attended       locked by the agent that attends to the job, for as long as it lives
records/<lease>/ended.json     the supervisor's verdict, written once and durably; there is none while the job runs
records/<lease>/trouble        what the supervisor said when it failed itself
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from marketplace.domain.keeping import SessionTerms
from marketplace.provider.egress.rules import WayOut
from marketplace.provider.executors.base import EndReason, ExecutionRequest, ExecutionResult, JobImage, KeptLog, Limits
from marketplace.provider.executors.cgroups import CgroupParent
from marketplace.provider.executors.devices import devices_in
from marketplace.provider.runtime import Runtime


@dataclass(frozen=True, slots=True)
class JobPlan:
    """All that a supervisor needs to run one job, and that an agent knows."""

    request: ExecutionRequest
    runtime: Runtime
    cgroups: CgroupParent | None
    bwrap: Path
    first_user: int
    seccomp: bytes
    """The filter, compiled."""
    gate: Path
    """The folder with the gate for jobs with images."""

    def document(self) -> bytes:
        """Write it down."""
        words = asdict(self) | {"seccomp": self.seccomp.hex()}
        del words["request"]["secrets"]  # they are never on a disk; the supervisor has them from its agent
        return json.dumps(words, default=str).encode()


def read_plan(document: bytes) -> JobPlan:
    """Read what an agent of the same version has written."""
    words = json.loads(document)
    request, runtime, groups = words["request"], words["runtime"], words["cgroups"]
    return JobPlan(
        request=ExecutionRequest(
            lease=request["lease"],
            command=tuple(request["command"]),
            env=request["env"],
            folder=Path(request["folder"]),
            limits=Limits(**request["limits"]),
            gpus=tuple(request["gpus"]),
            image=request["image"] and JobImage(**(request["image"] | {"root": Path(request["image"]["root"])})),
            devices=devices_in(request["devices"]),
            way_out=_way_out_in(request["way_out"]),
            ssh_keys=tuple(request["ssh_keys"]),
            session=None if request["session"] is None else SessionTerms(**request["session"]),
        ),
        runtime=Runtime(Path(runtime["folder"]), runtime["version"], runtime["has_libraries"]),
        cgroups=groups and CgroupParent(groups["version"], {name: Path(at) for name, at in groups["folders"].items()}),
        bwrap=Path(words["bwrap"]),
        first_user=words["first_user"],
        seccomp=bytes.fromhex(words["seccomp"]),
        gate=Path(words["gate"]),
    )


def _way_out_in(words: dict[str, Any] | None) -> WayOut | None:
    return None if words is None else WayOut(tuple(words["targets"]), words["most_bytes"], tuple(words["local"]))


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job's folder among the records."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def trouble(self) -> Path:
        return self.folder / "trouble"

    def write_plan(self, plan: JobPlan) -> None:
        """Begin a record."""
        self.folder.mkdir(mode=0o700, parents=True)
        _write_durably(self.plan, plan.document())

    def verdict(self) -> ExecutionResult | None:
        """How the job ended; None while nobody has said so."""
        with contextlib.suppress(FileNotFoundError):
            words: dict[str, Any] = json.loads((self.folder / "ended.json").read_bytes())
            log = words["log"] and KeptLog(**words["log"])
            ended, enforcement = EndReason(words["ended"]), tuple(words["enforcement"])
            return ExecutionResult(**(words | {"log": log, "ended": ended, "enforcement": enforcement}))
        return None

    def write_verdict(self, result: ExecutionResult) -> None:
        """Say how it ended, so that it is known whatever happens next."""
        _write_durably(self.folder / "ended.json", json.dumps(asdict(result)).encode())

    def attend(self) -> int:
        """Lock it for this process, and return the handle: closing it, by whatever end of the process, unlocks it.

        Any number may attend at a time, so that nobody ever waits for another agent.
        """
        handle = self._open_lock()
        fcntl.flock(handle, fcntl.LOCK_SH)
        return handle

    def is_attended(self) -> bool:
        """Whether some agent has it locked."""
        handle = self._open_lock()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def _open_lock(self) -> int:
        return os.open(self.folder / "attended", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _write_durably(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(above)
    finally:
        os.close(above)
