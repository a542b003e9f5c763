"""Stands before a gateway, on a real socket, and hands every request on, but for those that a test has it turn away or lie about."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

KEPT = ("content-type", "bourse-", "idempotency-key")


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    kind: str
    content: bytes


Lie = Callable[[str, Answer], Answer | None]


class Doorman:
    """A URL that speaks for the gateway behind it. ``turned_away`` are beginnings of ``METHOD path`` that get a 503.

    ``lies`` are asked in their order: given ``METHOD path`` and the gateway's true answer, each may say another. ``is_away``: the line
    breaks without an answer.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.turned_away: list[str] = []
        self.seen: list[str] = []
        self.lies: list[Lie] = []
        self.is_away = False
        self.url = ""

    def tell(self, beginning: str, change: Callable[[Any], None]) -> None:
        """Change the JSON of every answer to requests that begin so."""

        def lie(told: str, answer: Answer) -> Answer | None:
            if not told.startswith(beginning) or answer.status >= 400:
                return None
            document = json.loads(answer.content)
            change(document)
            return Answer(answer.status, answer.kind, json.dumps(document).encode())

        self.lies.append(lie)

    def answer(self, beginning: str, status: int, content: bytes, kind: str = "application/problem+json") -> None:
        """Answer requests that begin so with this, whatever the gateway did about them."""
        self.lies.append(lambda told, _: Answer(status, kind, content) if told.startswith(beginning) else None)


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
            if door.is_away:
                self.close_connection = True
                return
            if any(told.startswith(part) for part in door.turned_away):
                content = json.dumps({"reason": "StoreUnavailable", "detail": "the journal does not answer"}).encode()
                self._answer(503, "application/problem+json", content)
                return
            headers = {name: value for name, value in self.headers.items() if name.lower().startswith(KEPT)}
            answer = httpx.request(
                self.command, door.behind + self.path, content=body, headers=headers, trust_env=False, timeout=20
            )
            told_truly = Answer(answer.status_code, answer.headers.get("content-type", ""), answer.content)
            for lie in door.lies:
                told_truly = lie(told, told_truly) or told_truly
            self._answer(told_truly.status, told_truly.kind, told_truly.content)

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
