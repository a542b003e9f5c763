"""A gateway that drips, floods, packs bombs or breaks HTTP itself: a request ends in its time and in its bounds, with one typed error."""

from __future__ import annotations

import resource
import socket
import zlib
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from marketplace.api.client.http import Retries, Timeout
from marketplace.client import GatewayApi
from marketplace.domain.errors import GatewayUnavailable, UnreadableAnswer
from marketplace.domain.ids import Bytes32, Sha256
from tests.hostile.gateway.liar import Liar, answer, lying

LEASE = Bytes32("0x" + "ab" * 32)
BLOB = Sha256("ab" * 32)
PATIENCE = Timeout(read_seconds=5, total_seconds=0.3, stream_seconds=0.3)
ENOUGH_SECONDS = 30
"""Far beyond the time that a request has, on however slow a machine, and far below for ever."""

Ask = Callable[[GatewayApi], object]

ASKS: dict[str, Ask] = {
    "an answer": lambda api: api.lease(LEASE),
    "a blob": lambda api: api.fetch_blob(BLOB),
    "a stream": lambda api: list(api.follow_log(LEASE)),
}


@pytest.fixture
def liar() -> Iterator[Liar]:
    with lying(lambda connection, head: None) as told:
        yield told


def asked(liar: Liar, ask: Ask) -> GatewayUnavailable:
    """The typed error that the question ends in, in time."""
    api, begun = GatewayApi(liar.url, timeout=PATIENCE, retries=Retries(attempts=1)), monotonic()
    with pytest.raises(GatewayUnavailable) as refused:
        ask(api)
    api.close()

    assert monotonic() - begun < ENOUGH_SECONDS
    return refused.value


@pytest.mark.parametrize("asking", ["an answer", "a blob", "a stream"])
@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b" "),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 999999\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n\n\r\n"),
    ],
    ids=["no status", "headers", "continues", "a body", "a problem", "chunks"],
)
def test_a_gateway_that_drips_is_not_waited_for(liar: Liar, asking: str, first: bytes, piece: bytes) -> None:
    """One small piece now and then resets every pause, but not the time that the whole request has."""

    def drip(connection: socket.socket, head: bytes) -> None:
        connection.sendall(first)
        liar.drip(connection, piece, 0.05)

    liar.speech = drip

    asked(liar, ASKS[asking])


@pytest.mark.parametrize("asking", ["an answer", "a blob", "a stream"])
@pytest.mark.parametrize(
    "said",
    [
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
    ],
    ids=["words", "cut", "negative", "bad chunk", "status", "switch", "header"],
)
def test_what_is_not_http_is_no_answer(liar: Liar, asking: str, said: bytes) -> None:
    """Every way to break the protocol is the same typed error."""

    def speak(connection: socket.socket, head: bytes) -> None:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_RDWR)

    liar.speech = speak

    asked(liar, ASKS[asking])


def test_a_bomb_takes_no_memory(liar: Liar) -> None:
    """130 KB of gzip that stand for 128 MB are given up at the bound of the answer."""
    bomb = zlib.compress(b" " * (128 << 20), 9, 31)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    liar.speech = lambda connection, head: connection.sendall(answer(bomb, Content_Encoding="gzip"))

    assert isinstance(asked(liar, ASKS["an answer"]), UnreadableAnswer)
    assert isinstance(asked(liar, ASKS["a stream"]), UnreadableAnswer)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("ask", [ASKS["an answer"], ASKS["a stream"]], ids=["an answer", "a stream"])
def test_a_body_without_end_is_given_up(liar: Liar, ask: Ask) -> None:
    """At its bound, however fast it comes."""

    def flood(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not liar.closed.is_set():
            connection.sendall(b"data: " + b"x" * 65_536)

    liar.speech = flood

    assert isinstance(asked(liar, ask), UnreadableAnswer)


def test_brackets_without_end_are_one_typed_error(liar: Liar) -> None:
    """Never a RecursionError, which would pass every net of the step that asked."""
    liar.speech = lambda connection, head: connection.sendall(answer(b"[" * 1_000_000))

    assert isinstance(asked(liar, ASKS["an answer"]), UnreadableAnswer)


def test_a_list_that_leads_in_circles_ends(liar: Liar) -> None:
    """A page that names itself, or an empty one, as the next is refused."""
    liar.speech = lambda connection, head: connection.sendall(answer(b'{"items":[],"next":"1"}'))

    assert isinstance(asked(liar, lambda api: api.offers()), UnreadableAnswer)


def test_a_slow_but_honest_line_is_waited_for(liar: Liar) -> None:
    """What moves a body has longer than what does not, by what its bytes need."""
    content = b"x" * 60_000

    def slowly(connection: socket.socket, head: bytes) -> None:
        connection.sendall(answer(content)[: -len(content)])
        for start in range(0, len(content), 6_000):
            liar.closed.wait(0.1)
            connection.sendall(content[start : start + 6_000])

    liar.speech = slowly
    api = GatewayApi(liar.url, timeout=Timeout(total_seconds=0.5), retries=Retries(attempts=1))

    assert api.log(LEASE) == content
    api.close()
