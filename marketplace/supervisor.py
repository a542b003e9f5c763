"""Keeping processes alive: started in order, started again when they die, stopped in reverse; none outlives its supervisor."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from marketplace.domain.errors import ConfigError

STOP_GRACE_SECONDS = 10.0
RESTART_FIRST_SECONDS = 0.5
RESTART_LIMIT_SECONDS = 8.0
_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl

Start = Callable[[], "subprocess.Popen[bytes]"]


@dataclass(slots=True)
class Child:
    """One supervised process, and how to start it."""

    name: str
    start: Start
    log: Path
    is_vital: bool = False
    """A process whose end is the end of the network: the chain keeps its state in memory."""
    is_gentle: bool = False
    """A process that finishes its work at the first signal. With the whole network going there is none to finish: it gets two."""
    running: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    waits: float = RESTART_FIRST_SECONDS
    due: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Starts children, starts them again when they die, and stops them in reverse order."""

    folder: Path
    children: list[Child] = field(default_factory=list)

    def add(self, name: str, start: Start, *, is_vital: bool = False, is_gentle: bool = False) -> Child:
        """Start one more child now."""
        child = Child(name, start, self.folder / "logs" / f"{name}.log", is_vital, is_gentle)
        self.children.append(child)
        child.running = child.start()
        return child

    def step(self, elapsed: float) -> list[Child]:
        """Start again who has died and waited long enough; returns those. A name in ``held`` stays down."""
        held = held_names(self.folder)
        started = []
        for child in self.children:
            if child.running and child.running.poll() is None:
                continue
            if child.running is not None:
                structlog.get_logger().warning("devnet.child_ended", name=child.name, status=child.running.returncode)
                if child.is_vital:
                    raise ConfigError([f"{child.name} has ended, and the network with it; see {child.log}"])
                child.running, child.due = None, child.waits
                child.waits = min(RESTART_LIMIT_SECONDS, child.waits * 2)
            child.due -= elapsed
            if child.due <= 0 and child.name not in held:
                child.restarts += 1
                child.running = child.start()
                started.append(child)
        return started

    def stop(self) -> None:
        """SIGTERM to all in reverse order of starting, SIGKILL to who has not ended in time."""
        for child in reversed(self.children):
            if child.running and child.running.poll() is None:
                child.running.terminate()
                if child.is_gentle:
                    child.running.send_signal(signal.SIGINT)
        for child in reversed(self.children):
            if child.running:
                try:
                    child.running.wait(STOP_GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    child.running.kill()
                    child.running.wait()


def held_names(folder: Path) -> set[str]:
    """Processes that are meant to stay down: one name per line in ``held``."""
    file = folder / "held"
    return set(file.read_text().split()) if file.is_file() else set()


def start_process(
    command: Sequence[str], settings: Mapping[str, str], log: Path, *, is_gentle: bool = False
) -> subprocess.Popen[bytes]:
    """Start a process that writes to ``log`` and ends when the supervisor does."""
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=plain_environment() | dict(settings), start_new_session=True,
            preexec_fn=killed_with_supervisor if is_gentle else die_with_supervisor,
        )  # fmt: skip


def die_with_supervisor() -> None:
    """In the child, before it runs: SIGTERM when the supervisor ends, however it ends."""
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)


def killed_with_supervisor() -> None:
    """The same for who would go on for a while after one SIGTERM."""
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


def plain_environment() -> dict[str, str]:
    """What a child needs of our environment: no settings and no secrets of the user's shell."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "OPENBLAS_CORETYPE")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUNBUFFERED": "1"}


def write_atomically(file: Path, text: str) -> None:
    aside = file.with_name(file.name + ".new")
    aside.write_text(text)
    aside.replace(file)
