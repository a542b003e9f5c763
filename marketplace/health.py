"""`/live` and `/ready` of a process that serves nothing else: on the loopback, one small answer for each connection.

`/live` says whether the loop turns: a supervisor starts a process anew that is not live. `/ready` asks the checks, `/ready?for=DUTY` those
of one duty: a balancer or a person wants to know. The gateway answers the same on its own port.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog

from marketplace.domain.errors import InvalidField
from marketplace.domain.units import UnixTime, iso_from_time
from marketplace.services.checks import CheckOutcome, Checks, reasons_of
from marketplace.watchdog import Pulse

TYPE_PREFIX = "urn:compute-bourse:problem:"
REQUEST_SECONDS = 5.0
REQUEST_BYTES = 4096
AT_ONCE = 16
"""Connections that are answered at once; more are closed without an answer."""

About = Callable[[], Mapping[str, object]]


def ready_document(duty: str, findings: Iterable[CheckOutcome]) -> dict[str, Any]:
    """What `/ready` tells of each check: whether, why not, and since when (as far as anybody asked)."""
    rows = {
        finding.name: {
            "ok": finding.is_ok, "reason": finding.reason, "since": iso_from_time(UnixTime(finding.since)),
        }
        for finding in findings
    }  # fmt: skip
    return {"ready": all(row["ok"] for row in rows.values()), "duty": duty, "checks": rows}


def problem_document(status: int, reason: str, detail: str, **more: object) -> dict[str, Any]:
    """An RFC 9457 problem."""
    return {"type": TYPE_PREFIX + reason, "title": reason, "status": status, "detail": detail, "reason": reason} | more


class Health:
    """What a process answers; ``about`` says where it stands. Threads may share it."""

    def __init__(self, pulse: Pulse, checks: Checks, about: About = dict) -> None:
        self._pulse, self._checks, self._about = pulse, checks, about

    def answer(self, target: str) -> tuple[int, dict[str, Any]]:
        """The status and the document for a path with its query."""
        url = urlsplit(target)
        if url.path == "/live":
            return self._live()
        if url.path == "/ready":
            return self._ready(parse_qs(url.query).get("for", [""])[-1])
        return 404, problem_document(404, "NotFound", "there are /live and /ready")

    def _live(self) -> tuple[int, dict[str, Any]]:
        if self._pulse.is_late:
            return 503, problem_document(503, "NotLive", self._pulse.check() or "")
        return 200, {"live": True} | dict(self._about())

    def _ready(self, duty: str) -> tuple[int, dict[str, Any]]:
        try:
            findings = self._checks.ask(duty)
        except InvalidField as error:
            return 400, problem_document(400, "UnknownDuty", str(error))
        document = ready_document(duty, findings) | {"about": dict(self._about())}
        reasons = reasons_of(findings)
        if not reasons:
            return 200, document
        said = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        return 503, problem_document(503, "NotReady", said, reasons=reasons) | document


class _Connection(socketserver.BaseRequestHandler):
    """One request, of which only the first line is of interest; then it is over."""

    server: _Server

    def handle(self) -> None:
        words = self._first_line().split()
        if len(words) < 2 or words[0] not in (b"GET", b"HEAD"):
            status, document = 400, problem_document(400, "BadRequest", "GET /live or GET /ready")
        else:
            status, document = self.server.health.answer(words[1].decode("latin-1"))
        body = json.dumps(document, separators=(",", ":")).encode()
        kind = "application/json" if status == 200 else "application/problem+json"
        head = f"HTTP/1.1 {status} {document.get('title', 'OK')}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.request.sendall(head.encode() + (b"" if words[:1] == [b"HEAD"] else body))

    def _first_line(self) -> bytes:
        """The whole request's, which is read to its end: an unread rest would reset the connection before the answer arrives."""
        deadline, heard = monotonic() + REQUEST_SECONDS, b""
        while b"\r\n\r\n" not in heard and b"\n\n" not in heard and len(heard) < REQUEST_BYTES:
            left = deadline - monotonic()
            if left <= 0:
                return b""
            self.request.settimeout(left)
            piece = self.request.recv(REQUEST_BYTES)
            if not piece:
                return b""
            heard += piece
        return heard.partition(b"\n")[0]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, health: Health) -> None:
        self.health = health
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(("127.0.0.1", port), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A prober that goes away, or is too slow, is none of our business; a check that crashes is."""
        if not isinstance(sys.exc_info()[1], OSError):
            structlog.get_logger().exception("health.crashed")


@contextmanager
def served(port: int | None, health: Health) -> Iterator[int | None]:
    """Answer on this port of the loopback (0: any that is free) while the block runs; the port. None: nowhere."""
    if port is None:
        yield None
        return
    server = _Server(port, health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
