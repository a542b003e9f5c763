"""Nodes that answer byte by byte."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from time import monotonic

import pytest

from marketplace.chain.blocks import Chain
from marketplace.domain.chain_errors import ChainUnavailable

TIMEOUT_SECONDS = 1.0
PAUSE_SECONDS = 0.2
ANSWERS = {
    "status line": b"HTTP/1.1 200 OK" + b" " * 500,
    "headers": b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 500,
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b" " * 500,
}


@pytest.fixture
def dripping(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that takes one connection, and answers with a byte now and then."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            line, _ = server.accept()
            with line:
                answer = ANSWERS[request.param]
                start = 60 if request.param == "body" else 0
                line.recv(65536)
                try:
                    line.sendall(answer[:start])
                    for byte in answer[start:]:
                        line.sendall(bytes([byte]))
                        if stop.wait(PAUSE_SECONDS):
                            return
                except OSError:
                    return  # Who asked has left.

        running = threading.Thread(target=serve)
        running.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stop.set()
        running.join()


@pytest.mark.parametrize("dripping", ANSWERS, indirect=True)
def test_one_deadline_holds_for_the_whole_answer(dripping: str) -> None:
    """Wherever in it the bytes come slowly: each one in time, and the answer a hundred seconds long."""
    chain, started = Chain([dripping], timeout_seconds=TIMEOUT_SECONDS), monotonic()
    with pytest.raises(ChainUnavailable):
        chain.head()
    assert monotonic() - started < 20 * TIMEOUT_SECONDS
    chain.close()
