"""A hostile gateway: the real one behind a small server that lies, drips or is away, as a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Lie = Callable[[str, str], tuple[int, bytes] | None]
"""The status and body that are answered to (method, path) instead of the truth; None for the truth."""

_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length"})


class HostileGateway:
    """Between an agent and a gateway. Each of its three ways of lying can be switched on and off at any time."""

    def __init__(self, url: str) -> None:
        self.upstream = urlsplit(url)
        self.lie: Lie = lambda *_: None
        self.is_dripping = False
        self.is_away = False
        self.refused = 0
        self.seen: list[tuple[str, str, bytes]] = []
        """Method, path and body of each request."""
        self.end = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                owner.answer(self)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            """It does not wait for who drips."""

            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """Whoever hung up had its reasons."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.seen.append((request.command, request.path, body))
        if self.is_away:
            self.refused += 1
            request.close_connection = True
            return
        if self.is_dripping:
            self._drip(request)
            return
        lie = self.lie(request.command, request.path)
        if lie is not None:
            self._write(request, lie[0], {"Content-Type": "application/json"}, lie[1])
            return
        self._forward(request, body)

    def close(self) -> None:
        self.end.set()
        self._server.shutdown()
        self._server.server_close()

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        """A byte now and then, for ever: every pause is short, and the answer never comes."""
        request.close_connection = True
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{")
        while not self.end.wait(1.0):
            request.wfile.write(b" ")
            request.wfile.flush()

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        assert self.upstream.hostname
        line = HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=30)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
            line.request(request.command, request.path, body=body, headers=headers)
            answer = line.getresponse()
            told = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            self._write(request, answer.status, told, answer.read())
        finally:
            line.close()

    def _write(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        request.send_response_only(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


@contextmanager
def hostile(url: str) -> Iterator[HostileGateway]:
    """One before this gateway, until the end of the block."""
    gateway = HostileGateway(url)
    try:
        yield gateway
    finally:
        gateway.close()
