"""What strangers' connections may cost: heads, half requests, dripped bodies, stalled readers, too many of them. A real server, bare routes."""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request
from sse_starlette import ServerSentEvent
from starlette.responses import Response

from marketplace.gateway.bodies import RawBody
from marketplace.gateway.connections import ConnectionLimits
from marketplace.gateway.problems import render_problems
from marketplace.gateway.proxies import proxies_in
from marketplace.gateway.server import OTHER_FILES, limits_of_this_process, server_for
from marketplace.gateway.slots import Slots
from marketplace.gateway.streams import Lines, address_of, event_stream, lines_of

LIMITS = ConnectionLimits(
    head_bytes=2_000,
    head_count=20,
    head_seconds=0.5,
    stalled_seconds=0.5,
    pipelined=5,
    connections=8,
    connections_per_address=6,
)
ENOUGH_SECONDS = 30


def an_app() -> FastAPI:
    """Routes that need nothing behind them, on the gateway's own bodies, streams and problems."""
    app = FastAPI()
    app.state.left = threading.Event()
    app.state.lines = Lines(body_seconds=0.5, event_places=Slots("streams of events", most=4, most_each=3))
    render_problems(app)

    @app.get("/small")
    def small() -> Response:
        return Response(b"small")

    @app.get("/sender")
    def sender(request: Request) -> Response:
        return Response(address_of(request).encode())

    @app.get("/left")
    async def left(request: Request) -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            continue
        app.state.left.set()
        return Response(b"to nobody")

    @app.get("/large")
    def large() -> Response:
        return Response(b"x" * (64 << 20))

    @app.put("/body")
    def body(content: RawBody) -> Response:
        return Response(str(len(content)).encode())

    @app.get("/events")
    async def events(request: Request) -> Response:
        return event_stream(request, lines_of(request).event_places, quiet())

    return app


async def quiet() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent("first", event="log", sep="\n")
    await anyio.sleep_forever()


@contextmanager
def served(limits: ConnectionLimits, app: FastAPI | None = None) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = server_for(app or an_app(), "127.0.0.1", 0, limits=limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(30)
    listener.close()


@pytest.fixture
def port() -> Iterator[int]:
    with served(LIMITS) as found:
        yield found


def senders(port: int, *forwarded: str) -> str:
    """Whom the server takes for the sender of a request with these headers."""
    headers = [("X-Forwarded-For", one) for one in forwarded]
    return httpx.get(f"http://127.0.0.1:{port}/sender", headers=headers, trust_env=False).text


def test_only_a_trusted_proxy_says_where_a_request_is_from(port: int) -> None:
    """What a client wrote into the header itself stands to the left of what the proxy appended, and is nobody's word."""
    assert senders(port, "198.51.100.7") == "127.0.0.1"
    with served(replace(LIMITS, proxies=proxies_in("127.0.0.1, 10.0.0.0/8"))) as behind:
        assert senders(behind) == "127.0.0.1"
        assert senders(behind, "198.51.100.7") == "198.51.100.7"
        assert senders(behind, "6.6.6.6, 198.51.100.7") == "198.51.100.7"
        assert senders(behind, "6.6.6.6", "198.51.100.7, 10.1.2.3") == "198.51.100.7"
        with ExitStack() as lines:
            said = b"PUT /body HTTP/1.1\r\nHost: x\r\n"
            for _ in range(LIMITS.connections_per_address):
                lines.enter_context(connected(behind, said))
            assert senders(behind, "junk") == "127.0.0.1"


@contextmanager
def connected(port: int, said: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=ENOUGH_SECONDS) as line:
        if said:
            line.sendall(said)
        yield line


def all_of(line: socket.socket) -> bytes:
    """What comes until the other side hangs up; it does so within the socket's own time."""
    content = b""
    while piece := _received(line):
        content += piece
    return content


def _received(line: socket.socket) -> bytes:
    try:
        return line.recv(1 << 16)
    except ConnectionResetError:
        return b""


def test_an_honest_request_is_answered(port: int) -> None:
    """Several on one connection, with a body and without."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(3):
            assert http.get("/small").content == b"small"
            assert http.put("/body", content=b"x" * 100_000).text == "100000"


@pytest.mark.parametrize(
    "said",
    [
        b"GET /small HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(30)) + b"\r\n",
        b"GET /small HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3_000 + b"\r\n\r\n",
        b"GET /small HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3_000,
        b"GET /small HTTP/1.1\r\n" + b"y" * 3_000,
        b"GET /small?" + b"y" * 3_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /small?" + b"y" * 3_000,
        b"\r\n" * 2_000,
    ],
    ids=["many", "long", "no end", "no name's end", "long line", "no line's end", "nothing"],
)
def test_a_head_is_bounded(port: int, said: bytes) -> None:
    """In headers, in bytes, finished or not: a problem, and the end of the connection."""
    with connected(port, said) as line:
        told = all_of(line)

    assert told.startswith(b"HTTP/1.1 431"), told[:100]
    assert b'"reason":"HeadTooLarge"' in told


def test_trailers_are_bounded_as_heads_are(port: int) -> None:
    """What follows the last piece of a body in chunks is kept by nobody, and comes to an end."""
    said = b"PUT /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: "
    with connected(port, said) as line:
        for _ in range(20):
            threading.Event().wait(0.01)  # each piece by itself: those that come together are looked at together
            try:
                line.sendall(b"y" * 1_000)
            except OSError:
                break

        assert b"HeadTooLarge" in all_of(line)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /s",
        b"GET /small HTTP/1.1\r\nHost: x\r\nX: y",
        b"GET /small HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf a body that nobody waits for",
        b"GET /small HTTP/1.1\r\nHost: x\r\n\r\nGET /small",
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a second request"],
)
def test_half_a_request_is_closed_however_it_drips(port: int, said: bytes) -> None:
    """A byte now and then does not keep a connection open."""
    begun = monotonic()
    with connected(port, said) as line:
        hung_up = threading.Event()

        def drip() -> None:
            while not hung_up.wait(0.1):
                try:
                    line.sendall(b"a" if said else b"\r\n")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        told = all_of(line)
        hung_up.set()
        dripping.join()

    assert monotonic() - begun < ENOUGH_SECONDS
    assert b" 408 " in told


@pytest.mark.parametrize("waiting", [4, 5], ids=["as many as may", "one more"])
def test_few_requests_wait_on_one_connection(port: int, waiting: int) -> None:
    """Thousands in one piece are not kept: so many wait behind the first, one more is the end of the connection."""
    said = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n" * (1 + waiting)
    with connected(port, said + b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as line:
        told = all_of(line)

    assert told.count(b"HTTP/1.1 200") == (6 if waiting < LIMITS.pipelined else 0)


def test_who_hangs_up_is_noticed_however_much_it_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Also where further requests wait behind the one that is being answered; and nothing of all that is an error of ours."""
    app = an_app()
    with served(LIMITS, app) as port:
        with connected(port, b"GET /left HTTP/1.1\r\nHost: x\r\n\r\n" * 3) as line:
            line.settimeout(0.2)
            with pytest.raises(TimeoutError):
                line.recv(1)
        assert app.state.left.wait(ENOUGH_SECONDS)
        with connected(port, b"no HTTP at all\r\n\r\n") as line:
            assert all_of(line)

    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


def test_a_dripped_body_ends_in_its_time(port: int) -> None:
    """Its time is counted from its beginning, not from its last byte."""
    with connected(port, b"PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n") as line:
        line.settimeout(0.1)
        told, begun = b"", monotonic()
        while b"BodyTooSlow" not in told and monotonic() - begun < ENOUGH_SECONDS:
            line.sendall(b"x")
            try:
                told += line.recv(1 << 16)
            except TimeoutError:
                continue

    assert told.startswith(b"HTTP/1.1 408")


def test_a_reader_that_takes_nothing_is_left(port: int) -> None:
    """An answer that nobody reads is not kept for ever."""
    with connected(port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") as line:
        line.recv(1)
        threading.Event().wait(2 * LIMITS.stalled_seconds)

        assert len(all_of(line)) < 64 << 20


def test_there_are_files_for_all_connections() -> None:
    """Where a process may open few files, it takes fewer connections, instead of none at all when they are used up."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        limits = limits_of_this_process()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert limits.connections + OTHER_FILES <= max(soft, OTHER_FILES + 1)
    assert soft >= before[0]


def test_one_address_has_so_many_connections_and_no_more(port: int) -> None:
    """Who has enough is told so, and has room again when it hangs up."""
    with ExitStack() as lines:
        streams = [lines.enter_context(connected(port, b"PUT /body HTTP/1.1\r\nHost: x\r\n")) for _ in range(6)]
        with connected(port, b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n") as seventh:
            told = all_of(seventh)
        assert told.startswith(b"HTTP/1.1 503")
        assert b'"reason":"TooManyConnections"' in told
        for stream in streams:
            stream.close()

        assert _answered(port)


def test_streams_are_bounded_for_each_address(port: int) -> None:
    """One more is a problem with a status, other requests are answered, and a closed stream makes room."""
    said = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as lines:
        streams = [lines.enter_context(connected(port, said)) for _ in range(3)]
        for stream in streams:
            assert b"200 OK" in stream.recv(1 << 16)
        told = httpx.get(f"http://127.0.0.1:{port}/events", headers={"X-Forwarded-For": "10.0.0.1"})
        assert (told.status_code, told.json()["reason"]) == (429, "TooManyAtOnce")
        assert httpx.get(f"http://127.0.0.1:{port}/small").content == b"small"
        streams[0].close()

        assert _first_event(port)


def _answered(port: int) -> bool:
    """Whether a request gets through before long: the server hears of a closed connection a moment later."""
    return _eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/small").status_code == 200)


def _first_event(port: int) -> bool:
    def is_streamed() -> bool:
        with httpx.stream("GET", f"http://127.0.0.1:{port}/events") as told:
            return told.status_code == 200

    return _eventually(is_streamed)


def _eventually(is_so: Any) -> bool:
    begun = monotonic()
    while monotonic() - begun < ENOUGH_SECONDS:
        if is_so():
            return True
        threading.Event().wait(0.05)
    return False
