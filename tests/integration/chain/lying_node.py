"""A node between us and anvil that answers as it is told to: the line is real HTTP, the lie is the test's."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

from marketplace.chain.blocks import Chain
from marketplace.domain.blocks import BlockRef

Lie = Callable[[list[Any], Any], Any]
"""From the parameters of a request and its true result to what the node says."""


class RefusedByNode(Exception):
    """Raised by a lie that is an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = {"code": code, "message": message}


class LyingNode(ThreadingHTTPServer):
    """Hands every request on to ``upstream``, counts it, and changes the results of the methods that have a lie."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.upstream = upstream
        self.lies: dict[str, Lie] = {}
        self.asked: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answered(self, body: bytes) -> bytes:
        with urlopen(Request(self.upstream, body, {"Content-Type": "application/json"})) as reply:
            answer = json.loads(reply.read())
        request = json.loads(body)
        if isinstance(request, list):
            by_id = {one["id"]: one for one in request}
            return json.dumps([self._told(by_id[one["id"]], one) for one in answer]).encode()
        return json.dumps(self._told(request, answer)).encode()

    def _told(self, request: Any, answer: Any) -> Any:
        method = request["method"]
        self.asked[method] += 1
        if method not in self.lies:
            return answer
        envelope = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return envelope | {"result": self.lies[method](request["params"], answer.get("result"))}
        except RefusedByNode as refusal:
            return envelope | {"error": refusal.answer}


class _Relay(BaseHTTPRequestHandler):
    server: LyingNode

    def do_POST(self) -> None:
        content = self.server.answered(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the test says what it saw."""


@contextmanager
def lying(upstream: str) -> Iterator[LyingNode]:
    """A lying node, as long as the block lasts."""
    server = LyingNode(upstream)
    running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    running.start()
    try:
        yield server
    finally:
        server.shutdown()
        running.join()
        server.server_close()


def no_logs(_parameters: list[Any], _result: Any) -> Any:
    return []


def all_but_the_last(_parameters: list[Any], result: Any) -> Any:
    return result[:-1]


def null(_parameters: list[Any], _result: Any) -> Any:
    return None


def at_most_blocks(most: int) -> Lie:
    """A node that refuses wider ranges of logs."""

    def told(parameters: list[Any], result: Any) -> Any:
        span = parameters[0]
        if "fromBlock" in span and int(span["toBlock"], 16) - int(span["fromBlock"], 16) >= most:
            raise RefusedByNode(-32000, f"block range is wider than {most}")
        return result

    return told


def at_most_results(most: int) -> Lie:
    """A node that refuses longer answers."""

    def told(_parameters: list[Any], result: Any) -> Any:
        if len(result) > most:
            raise RefusedByNode(-32005, f"query returned more than {most} results")
        return result

    return told


def reorganise(chain: Chain, depth: int) -> BlockRef:
    """Replace the newest blocks by empty ones: what was in them never happened. The new head."""
    chain.rpc("anvil_reorg", depth, [])
    return chain.head()
