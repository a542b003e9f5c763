"""A node that pushes heads, and pushes nonsense."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import mine
from marketplace.chain.nodes import CallCount, Node

PATIENCE_SECONDS = 60


class Pushing:
    """A real websocket before a real node; ``push`` says something that nobody asked for."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.lines: list[ServerConnection] = []

    def serve(self, line: ServerConnection) -> None:
        self.lines.append(line)
        for asked in line:
            if json.loads(asked)["method"] == "eth_subscribe":
                line.send(json.dumps({"jsonrpc": "2.0", "id": json.loads(asked)["id"], "result": "0x1"}))
                continue
            raw = asked.encode() if isinstance(asked, str) else asked
            with urlopen(Request(self.upstream, raw, {"Content-Type": "application/json"})) as answer:
                line.send(answer.read().decode())

    def push(self, told: Any) -> None:
        self.lines[-1].send(json.dumps({"method": "eth_subscription", "params": {"result": told}}))


@pytest.fixture
def pushing(chain: Chain) -> Iterator[tuple[Pushing, str]]:
    node = Pushing(chain.rpc_url)
    server: Server
    with serve(node.serve, "127.0.0.1", 0) as server:
        running = threading.Thread(target=server.serve_forever)
        running.start()
        yield node, f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        running.join()


def test_a_pushed_header_with_a_false_time_is_not_believed(
    pushing: tuple[Pushing, str], open_chain: Any, chain: Chain
) -> None:
    """It does not hash to its name: the node is asked, and tells the true one."""
    node, url = pushing
    far = open_chain(url)
    former = far.head()
    far.next_head(former, 0.1)
    newest = mine(chain)
    node.push(chain.rpc("eth_getBlockByHash", newest.hash, False) | {"timestamp": hex(newest.timestamp + 10**6)})

    assert far.next_head(former, PATIENCE_SECONDS) == newest


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("trouble", "connections"), [(OverflowError, 1), (SystemExit, 2)])
def test_nonsense_that_is_pushed_does_not_silence_the_node(
    pushing: tuple[Pushing, str], trouble: type[BaseException], connections: int
) -> None:
    """Whatever reading it raises, the next question is answered; where the reading itself ends, over a new connection."""
    node, url = pushing
    ended = threading.Event()

    def fails(_node: Node, _told: Any) -> None:
        raise trouble

    far = Node(url, CallCount(), timeout_seconds=5, on_notice=fails, on_end=lambda _: ended.set())
    far.rpc("eth_chainId", [])
    node.push("nonsense")

    assert ended.wait(PATIENCE_SECONDS)
    assert far.rpc("eth_chainId", []) == hex(31337)
    assert len(node.lines) == connections
    far.close()
