"""A node that fails and lies as it is told to: a JSON-RPC proxy before a real one, on loopback only.

    with FaultProxy(anvil.rpc_url, seed=7) as node:
        node.rules.add(Rule(Fault.NULL, "eth_getTransactionByHash", times=1))
        chain = Chain([node.url("scheduler")])

Who asks is named by the path of the URL, so that rules can be about one party's line and calls are counted for each. It is
bounded: in connections, in the size of what it reads, and in how long it waits.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.faults.answers import Teller, refused
from tests.faults.rules import WHOLE, Fault, Rule, Rulebook
from tests.faults.upstream import Upstream

MOST_CONNECTIONS = 128
MOST_BODY_BYTES = 16 << 20
MOST_HUGE_BYTES = 256 << 20
MOST_DELAY_SECONDS = 60.0
IDLE_SECONDS = 120
_CHUNK = b" " * (1 << 16)
_PAGE = "<html><head><title>{status}</title></head><body><center><h1>{status} sorry</h1></center></body></html>"


class FaultProxy(ThreadingHTTPServer):
    """Listens from when it is made until it is closed. ``calls`` counts by line and method, each element of a batch for itself."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, node_url: str, *, seed: int = 0, timeout_seconds: float = 30.0) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.upstream = Upstream(node_url, timeout_seconds)
        self.rules = Rulebook(seed)
        self.teller = Teller(self.upstream, self.rules)
        self.calls: Counter[tuple[str, str]] = Counter()
        self.exchanges = 0
        self.is_closing = threading.Event()
        self._counting = threading.Lock()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._running = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._running.start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and end every connection."""
        self.is_closing.set()
        self.shutdown()
        self._running.join()
        self.cut()
        self.server_close()

    def url(self, line: str = "node") -> str:
        """Where a party reaches the node; its name is one word."""
        return f"http://127.0.0.1:{self.server_address[1]}/{line}"

    def cut(self) -> None:
        """End every connection that is open now, in the middle of whatever it is in."""
        with self._counting:
            opened = tuple(self._open)
        for connection in opened:
            _end(connection)

    def count(self, line: str, calls: Sequence[Mapping[str, Any]]) -> None:
        with self._counting:
            self.exchanges += 1
            self.calls.update((line, str(call.get("method"))) for call in calls)

    def calls_of(self, line: str = "", method: str = "") -> int:
        """How many calls there were, of one party or all, of one method or all."""
        with self._counting:
            return sum(n for (who, what), n in self.calls.items() if line in ("", who) and method in ("", what))

    def counted(self) -> Counter[tuple[str, str]]:
        """All calls so far, by line and method."""
        with self._counting:
            return Counter(self.calls)

    # What socketserver calls

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._counting:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.upstream.close()
            with self._counting:
                self._open.discard(request)
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: connections end as they please, that is what this is for."""


class _Exchange(BaseHTTPRequestHandler):
    """One connection: request after request, until one of the sides ends it."""

    server: FaultProxy
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MOST_BODY_BYTES:
            self._page(413)
            return
        asked = json.loads(self.rfile.read(length))
        is_batch = isinstance(asked, list)
        calls: list[Any] = asked if is_batch else [asked]
        line = self.path.strip("/") or "node"
        self.server.count(line, calls)
        dealt = [self.server.rules.deal(line, str(call.get("method"))) for call in calls]
        whole = list(dict.fromkeys(rule for rules in dealt for rule in rules if rule.fault in WHOLE))
        try:
            if not self._ended_before(line, calls, whole, is_batch=is_batch):
                answers = self.server.teller.answers(line, calls, dealt)
                self._answer(line, calls, answers, dealt, whole, is_batch=is_batch)
        except (OSError, http.client.HTTPException, ValueError):
            # The node itself is away, or the other side is: for who asks both look like this.
            self._cut()

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._tunnel()
        else:
            self._page(405)

    # Faults of the whole exchange

    def _ended_before(self, line: str, calls: Sequence[Any], whole: Sequence[Rule], *, is_batch: bool) -> bool:
        """Whether the exchange is over before the node has heard of it."""
        for rule in whole:
            match rule.fault:
                case Fault.DELAY:
                    self._note(rule, line, calls)
                    self.server.is_closing.wait(min(rule.setting / 1_000, MOST_DELAY_SECONDS))
                case Fault.DROP:
                    self._note(rule, line, calls)
                    self._cut()
                    return True
                case Fault.HTTP:
                    self._note(rule, line, calls)
                    self._page(rule.setting or 502, retry_after=rule.message or "1")
                    return True
                case Fault.NO_BATCHES if is_batch:
                    self._note(rule, line, calls)
                    self._send(json.dumps(refused({}, -32600, "batch requests are not supported")).encode())
                    return True
        return False

    def _answer(
        self, line: str, calls: Sequence[Any], answers: list[dict[str, Any]], dealt: Sequence[tuple[Rule, ...]],
        whole: Sequence[Rule], *, is_batch: bool,
    ) -> None:  # fmt: skip
        for rule in whole:
            if is_batch and rule.fault in (Fault.MISSING_ANSWER, Fault.SHUFFLED) and len(answers) > 1:
                self._note(rule, line, calls)
                answers = answers[1:] if rule.fault is Fault.MISSING_ANSWER else answers[::-1]
        content = json.dumps(answers if is_batch else answers[0]).encode()
        padding = 0
        for rule in whole:
            match rule.fault:
                case Fault.DROP_REPLY:
                    self._note(rule, line, calls)
                    self._cut()
                    return
                case Fault.TRUNCATED:
                    self._note(rule, line, calls)
                    content = content[: max(1, 2 * len(content) // 3)]
                case Fault.HUGE:
                    self._note(rule, line, calls)
                    padding = min(rule.setting or MOST_HUGE_BYTES, MOST_HUGE_BYTES)
        limited = any(rule.fault is Fault.ERROR and rule.setting == -32005 for rules in dealt for rule in rules)
        self._send(content, padding=padding, retry_after="1" if limited else "")

    def _note(self, rule: Rule, line: str, calls: Sequence[Any]) -> None:
        methods = ",".join(sorted({str(call.get("method")) for call in calls}))
        self.server.rules.note(rule, line, methods, str(rule.setting or ""))

    # Writing

    def _send(
        self,
        content: bytes,
        *,
        status: int = 200,
        kind: str = "application/json",
        padding: int = 0,
        retry_after: str = "",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) + padding))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        while padding > 0:
            self.wfile.write(_CHUNK[:padding])
            padding -= min(padding, len(_CHUNK))
        self.wfile.write(content)
        self.wfile.flush()

    def _page(self, status: int, *, retry_after: str = "1") -> None:
        content = _PAGE.format(status=status).encode()
        self._send(content, status=status, kind="text/html", retry_after=retry_after if status in (429, 503) else "")

    def _cut(self) -> None:
        self.close_connection = True
        _end(self.connection)

    def log_message(self, *_: Any) -> None:
        """Nothing: the rulebook says what was done."""

    # Websockets

    def _tunnel(self) -> None:
        """Hand a websocket through as it is; ``FaultProxy.cut`` ends it."""
        self.close_connection = True
        line = self.path.strip("/") or "node"
        self.server.count(line, [{"method": "websocket"}])
        if any(rule.fault is Fault.DROP for rule in self.server.rules.deal(line, "websocket")):
            self._cut()
            return
        head = f"GET / HTTP/1.1\r\n{self.headers}".replace("\n", "\r\n").replace("\r\r\n", "\r\n")
        with socket.create_connection((self.server.upstream.host, self.server.upstream.port), timeout=10) as node:
            node.sendall(head.encode())
            self._pump(node)

    def _pump(self, node: socket.socket) -> None:
        other = {self.connection: node, node: self.connection}
        while not self.server.is_closing.is_set():
            ready, _, _ = select.select(list(other), [], [], 0.2)
            for side in ready:
                content = side.recv(1 << 16)
                if not content:
                    return
                other[side].sendall(content)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other side was faster
