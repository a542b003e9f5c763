"""How the sandbox's tests run jobs: one call from a command to how it ended, and a look for what is left."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil

from marketplace.provider.executors.base import Execution, ExecutionRequest, ExecutionResult, Limits
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import CgroupParent
from marketplace.provider.executors.usage import sandboxes_of, supervisors_of
from marketplace.provider.runtime import load_runtime

ROOT: Final = Path(__file__).resolve().parents[2]
LIMITS: Final = Limits(
    cpus=2, memory_mib=1024, disk_mib=64, processes=64, wall_seconds=120, log_bytes=1 << 20, grace_seconds=2
)
PATIENCE_SECONDS: Final = 150


@dataclass(frozen=True, slots=True)
class Ran:
    """A job that is over."""

    request: ExecutionRequest
    result: ExecutionResult

    @property
    def log(self) -> str:
        return self.request.log.read_text(errors="replace")


def executor_at(place: Path, cgroups: CgroupParent | None, bwrap: Path | None = None) -> BubblewrapExecutor:
    """An executor of one agent's, whose records are below that place."""
    return BubblewrapExecutor(load_runtime(ROOT / ".runtime"), records=place / "records", cgroups=cgroups, bwrap=bwrap)


def prepared(
    at: Path, *command: str, files: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None, **limits: int
) -> ExecutionRequest:
    """Lay out a lease's folder as the agent does, with these inputs."""
    folder = at / f"lease-{uuid4().hex}"
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True)
    for name, content in (files or {}).items():
        (folder / "in" / name).write_text(content)
    return ExecutionRequest(folder.name, command, env or {}, folder, replace(LIMITS, **limits))


def run(executor: BubblewrapExecutor, request: ExecutionRequest) -> Ran:
    """Run the job to its end, and insist that it has one."""
    result = executor.start(request).wait(PATIENCE_SECONDS)

    assert result is not None, "the execution is not over"
    return Ran(request, result)


def await_log(request: ExecutionRequest, execution: Execution) -> None:
    """Wait until a job that will go on running has said something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (request.log.exists() and request.log.stat().st_size):
        assert execution.wait(0.05) is None, request.log.read_text()
        assert time.monotonic() < deadline, "the job says nothing"


def left_of(request: ExecutionRequest, cgroups: CgroupParent | None) -> list[str]:
    """List what is still there of a job that is over: processes by name or by working folder, and groups."""
    handles = [*sandboxes_of(request.lease), *supervisors_of(request.lease).values()]
    for handle in handles:
        os.close(handle)
    found = [f"sandbox {handle}" for handle in handles]
    running = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    found += [f"process {words}" for words in running if any(request.lease in word for word in words)]
    if cgroups is not None:
        found += [str(path) for path in cgroups.of(request.lease).folders.values() if path.exists()]
    return found
