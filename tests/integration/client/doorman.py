"""Stands before a gateway and hands every request on, but for those that a test has it turn away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

KEPT = ("content-type", "bourse-", "idempotency-key")


class Doorman:
    """A URL that speaks for the gateway behind it. ``turned_away`` are beginnings of ``METHOD path`` that get a 503."""

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.turned_away: list[str] = []
        self.seen: list[str] = []
        self.url = ""


@contextmanager
def doorman(behind: str) -> Iterator[Doorman]:
    """Let one stand on a free port of this machine."""
    door = Doorman(behind)

    class Hands(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told = f"{self.command} {self.path}"
            door.seen.append(told)
            if any(told.startswith(part) for part in door.turned_away):
                content = json.dumps({"reason": "StoreUnavailable", "detail": "the journal does not answer"}).encode()
                self._answer(503, "application/problem+json", content)
                return
            headers = {name: value for name, value in self.headers.items() if name.lower().startswith(KEPT)}
            answer = httpx.request(
                self.command, door.behind + self.path, content=body, headers=headers, trust_env=False, timeout=20
            )
            self._answer(answer.status_code, answer.headers.get("content-type", ""), answer.content)

        def _answer(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hands)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    door.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield door
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()
