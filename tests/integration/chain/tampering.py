"""A real HTTP server before a real node, which answers some requests itself: with whatever a node may say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False
    """Promise one byte more than is sent."""


def saying(content: Any, **how: Any) -> Reply:
    return Reply(json.dumps(content).encode(), **how)


Tamper = Callable[[Any], Reply | None]
"""Given a request's JSON, the answer; None leaves it to the node."""


class Tamperer(ThreadingHTTPServer):
    """``tamper`` may be set at any time; ``seen`` are the methods asked for, each element of a batch counted."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.upstream = upstream
        self.tamper: Tamper = lambda _: None
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def node_says(self, content: Any) -> Any:
        """What the node behind would answer."""
        request = Request(self.upstream, json.dumps(content).encode(), {"Content-Type": "application/json"})
        with urlopen(request) as answer:
            return json.loads(answer.read())


class _Relay(BaseHTTPRequestHandler):
    server: Tamperer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen += [one["method"] for one in (content if isinstance(content, list) else [content])]
        reply = self.server.tamper(content) or saying(self.server.node_says(content))
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body) + reply.is_cut))
        self.end_headers()
        try:
            self.wfile.write(reply.body)
        except OSError:
            # Who asked has heard enough.
            self.close_connection = True
        self.close_connection = self.close_connection or reply.is_cut

    def log_message(self, *_: Any) -> None:
        """Nothing: the test says what it saw."""


@contextmanager
def tampering(upstream: str) -> Iterator[Tamperer]:
    server = Tamperer(upstream)
    running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    running.start()
    try:
        yield server
    finally:
        server.shutdown()
        running.join()
        server.server_close()
