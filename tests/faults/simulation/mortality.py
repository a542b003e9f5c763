"""Where a process can die: before and after each call to the node, before and after each request to the gateway, and at each line of
its log. What is raised there is no Exception, so that nothing of ours catches it; the object is thrown away and made anew.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from marketplace.api.client.deadlines import tls_context
from marketplace.chain.blocks import Chain
from marketplace.chain.nodes import Calls

_CURRENT: ContextVar[Life | None] = ContextVar("whose code is running", default=None)


class Killed(BaseException):
    """The process is gone, as far as the code under test can tell."""


@dataclass
class Life:
    """One process's life, which ends at a named point if it is ``armed`` for that."""

    name: str
    armed: str = ""
    spared: int = 0
    """So many times the point is passed before it kills."""

    def arm(self, point: str, spared: int) -> None:
        self.armed, self.spared = point, spared

    def passes(self, point: str) -> None:
        """Raise Killed where this is the point of death. A point is a prefix."""
        if not self.armed or not point.startswith(self.armed):
            return
        if self.spared:
            self.spared -= 1
            return
        self.armed = ""
        raise Killed(f"{self.name} at {point}")


@contextmanager
def living(life: Life) -> Iterator[None]:
    """The code within is that process's."""
    token = _CURRENT.set(life)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class MortalChain(Chain):
    """A node as one party reaches it."""

    def __init__(self, rpc_urls: Sequence[str], life: Life) -> None:
        super().__init__(rpc_urls, timeout_seconds=5)
        self.life = life

    def look_again(self) -> None:
        """There is a newer block. How soon this machine gets from one block to the next must not make a rhythm that a head is left unasked by."""
        self._watcher.disturb()

    def rpc(self, method: str, *parameters: Any) -> Any:
        self.life.passes(f"before {method}")
        answer = super().rpc(method, *parameters)
        self.life.passes(f"after {method}")
        return answer

    def batch(self, calls: Calls) -> list[Any]:
        methods = [method for method, _ in calls]
        for method in methods:
            self.life.passes(f"before {method}")
        answers = super().batch(calls)
        for method in methods:
            self.life.passes(f"after {method}")
        return answers


class MortalLine(httpx.BaseTransport):
    """The line of one party to the gateway."""

    def __init__(self, life: Life) -> None:
        self._real = httpx.HTTPTransport(verify=tls_context())
        self.life = life

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        told = f"{request.method} {request.url.path}"
        self.life.passes(f"before {told}")
        response = self._real.handle_request(request)
        self.life.passes(f"after {told}")
        return response

    def close(self) -> None:
        self._real.close()


def watch_logs(said: list[str]) -> None:
    """From here on each line of a log is a point where its process can die; lines go into ``said`` and nowhere else."""

    def note(_: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        life = _CURRENT.get()
        words = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "exc_info"))
        said.append(f"    {life.name if life else 'gateway'} {level}: {event['event']} {words}"[:300])
        if life is not None:
            life.passes(f"log {event['event']}")
        raise structlog.DropEvent

    structlog.configure(processors=[note])


class _Noting(logging.Handler):
    """Hears of what went wrong in the gateway's threads, where nobody else does."""

    def __init__(self, said: list[str], broken: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._said, self._broken = said, broken

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._broken.append(f"gateway: {type(error).__name__}: {error}" if error else f"gateway: {record.getMessage()}")
        if error is not None:
            self._said += ["    | " + line.rstrip() for line in traceback.format_exception(error)[-4:]]


def watch_server(said: list[str], broken: list[str]) -> None:
    """What uvicorn would print goes into these, and nowhere else."""
    log = logging.getLogger("uvicorn.error")
    log.handlers, log.propagate = [_Noting(said, broken)], False
