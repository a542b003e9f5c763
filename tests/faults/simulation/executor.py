"""An executor whose jobs take block time only: ``work SECONDS EXIT_CODE`` writes its output at once, and ends when the chain says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from marketplace.provider.executors.base import EndReason, ExecutionRequest, ExecutionResult

KILLED_CODE = 137


def work(seconds: int, exit_code: int = 0) -> tuple[str, ...]:
    """A command for it."""
    return ("work", str(seconds), str(exit_code))


@dataclass
class BlockTimeExecution:
    """A job that is over so many seconds of block time after its start."""

    lease: str
    ends_at: int
    exit_code: int
    now: Callable[[], int]
    request: ExecutionRequest
    pid: int = 0
    is_killed: bool = False

    def poll(self) -> ExecutionResult | None:
        if self.is_killed:
            return ExecutionResult(KILLED_CODE, EndReason.KILLED, ())
        return ExecutionResult(self.exit_code, EndReason.EXITED, ()) if self.now() >= self.ends_at else None

    def wait(self, timeout_seconds: float) -> ExecutionResult | None:
        return self.poll()

    def kill(self) -> None:
        self.is_killed = True

    def leave(self) -> None:
        """It lives in the agent's own memory."""


@dataclass
class BlockTimeExecutor:
    """Runs jobs in block time. ``started`` counts the starts of each lease, for who wants to know whether one ran twice."""

    now: Callable[[], int]
    running: dict[str, BlockTimeExecution] = field(default_factory=dict)

    name = "block-time"

    def preflight(self) -> None:
        """It runs anywhere."""

    def start(self, request: ExecutionRequest) -> BlockTimeExecution:
        program, seconds, exit_code = request.command
        assert program == "work"
        (request.outputs / "result.txt").write_text(f"worked {seconds} s\n")
        request.log.write_text(f"working {seconds} s on {request.gpus}\n")
        execution = BlockTimeExecution(request.lease, self.now() + int(seconds), int(exit_code), self.now, request)
        self.running[request.lease] = execution
        return execution

    def adopt(self, lease: str) -> BlockTimeExecution | None:
        return self.running.get(lease)

    def reap(self, lease: str, pid: int | None = None) -> None:
        self.running.pop(lease, None)
