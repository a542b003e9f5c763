"""What a connection may cost before anybody knows whose it is: bytes of a head, time for it, and how many of them there are.

uvicorn bounds none of these with httptools, and its one timeout starts anew with every byte. The protocol below is uvicorn's own,
with a clock and a count around it. What a request's body may cost is the business of ``bodies``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from marketplace.gateway.problems import PROBLEM_JSON, Problem
from marketplace.gateway.proxies import FORWARDED_HEADER, TrustedProxies

_CLOSE = b"connection: close\r\n"
_LOGGER = logging.getLogger(__name__)
_LOGGER.setLevel(logging.ERROR)
"""What strangers send that is no HTTP is theirs to know: a line for each would be a way to fill a disk."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """For strangers and friends alike."""

    head_bytes: int = 32 << 10
    """Of a request's line and headers; also of what comes between two pieces of its body."""
    head_count: int = 100
    head_seconds: float = 10.0
    """From a request's first byte to the end of its headers; also from the end of an answer to the end of a request that it did not wait for."""
    stalled_seconds: float = 60.0
    """For a reader that takes nothing of its answer."""
    pipelined: int = 32
    """Requests that wait on one connection behind the one that is answered: uvicorn keeps each whole, however many come in one piece."""
    connections: int = 1024
    connections_per_address: int = 400
    """But for trusted proxies, through which many come."""
    proxies: TrustedProxies = field(default_factory=TrustedProxies)


class Doors:
    """Counts the connections of one server and makes its protocols. All on the event loop's thread."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: Counter[str] = Counter()

    def __call__(self, **arguments: Any) -> GuardedProtocol:
        """As uvicorn makes the protocol of a new connection."""
        return GuardedProtocol(self, **arguments)

    def enter(self, address: str) -> bool:
        """Count one more connection from this address, if there is room for it."""
        is_full = self._open.total() >= self.limits.connections
        has_enough = self._open[address] >= self.limits.connections_per_address
        if is_full or (has_enough and not self.limits.proxies.have(address)):
            return False
        self._open[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]


class GuardedProtocol(HttpToolsProtocol):
    """One connection. A broken limit is a problem, said once, and the end of the connection."""

    def __init__(self, doors: Doors, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._doors, self._limits = doors, doors.limits
        self.logger = _LOGGER
        self._answered: RequestResponseCycle | None = None
        """The request whose answer is made now, or was last: of several that wait here uvicorn knows the newest only."""
        self._address: str | None = None
        """Under which it is counted; None while it is not."""
        self._refusal = Problem(400, "BadRequest", "this is not an HTTP request", "request")
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._quiet_bytes = 0
        """What has come since the last piece of a body: a head, or what nobody will ever see."""
        self._head_bytes = self._head_count = 0
        self._is_message_open = False
        """A request has begun and is not whole: there may be a body to come that nobody waits for."""

    # Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if not self._doors.enter(address):
            self._refuse(
                503, "TooManyConnections", "there are as many connections as there may be, in all or from your address"
            )
            return
        self._address = address
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop(self._head_timer, self._stall_timer)
        if self._address is not None:
            self._doors.leave(self._address)
            self._address = None
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    # Heads

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head_timer is None and self._is_between_answers():
            self._expect_head()
        self._quiet_bytes += len(data)
        super().data_received(data)
        if self._quiet_bytes > self._limits.head_bytes and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        self._head_bytes = self._head_count = 0
        self._is_message_open = True
        if len(self.pipeline) >= self._limits.pipelined:
            raise ValueError("more requests than may wait here")
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url), 0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + len(": \r\n"), 1)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._quiet_bytes = 0
        self._stop(self._head_timer)
        self._head_timer = None
        self._tell_sender()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._quiet_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._quiet_bytes = 0
        self._is_message_open = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_message_open and self._head_timer is None and not self.transport.is_closing():
            self._expect_head()

    def _tell_sender(self) -> None:
        """Behind a proxy that we trust, a request is from whom the proxy says: for limits by address, and nothing else."""
        if self.client is not None and self._limits.proxies.have(self.client[0]):
            forwarded = [value for name, value in self.headers if name == FORWARDED_HEADER]
            self.scope["client"] = (self._limits.proxies.sender(self.client[0], forwarded), 0)

    def send_400_response(self, msg: str) -> None:
        """Whatever uvicorn refuses, in our words: what the parser cannot read, and what a callback of ours raised for."""
        if self.transport.is_closing():
            return
        if self._is_answering():  # what we said now would be read as a part of that answer
            self.transport.close()
            return
        body = json.dumps(self._refusal.document(), separators=(",", ":")).encode()
        head = f"HTTP/1.1 {self._refusal.status} \r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\n".encode()
        self.transport.write(head + _CLOSE + b"\r\n" + body)
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _is_answering(self) -> bool:
        """Whether an answer has begun and is not whole, or one is under way before others."""
        answered = self._answered
        is_begun = answered is not None and answered.response_started and not answered.response_complete
        return is_begun or bool(self.pipeline)

    def _count(self, length: int, headers: int) -> None:
        """Raise for a head beyond its bounds: the parser stops, and ``send_400_response`` says why."""
        self._head_bytes += length
        self._head_count += headers
        if self._head_bytes > self._limits.head_bytes or self._head_count > self._limits.head_count:
            self._refusal = self._head_refused()
            raise ValueError(self._refusal.detail)

    def _head_refused(self) -> Problem:
        rule = (
            f"must have at most {self._limits.head_count} headers and {self._limits.head_bytes} bytes before its body"
        )
        return Problem(431, "HeadTooLarge", f"request: {rule}", "request", rule)

    def _refuse_head(self) -> None:
        self._refusal = self._head_refused()
        self.send_400_response("")

    def _refuse(self, status: int, reason: str, detail: str) -> None:
        self._refusal = Problem(status, reason, detail, "request")
        self.send_400_response("")

    # Time

    def _is_between_answers(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self._limits.head_seconds, self._on_late_head)

    def _on_late_head(self) -> None:
        self._head_timer = None
        self._refuse(408, "HeadTooSlow", f"a request's headers must be here within {self._limits.head_seconds:g} s")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self._limits.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop(self._stall_timer)
        super().resume_writing()

    @staticmethod
    def _stop(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()
