"""An exposed port: a real service of a job over HTTP and WebSocket, and services and visitors that behave badly."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from marketplace.client.ssh import SshPlace
from marketplace.client.tunnel import Tunnel
from marketplace.domain.ids import Bytes32
from marketplace.domain.ssh import EntryReason, EntryRefused, HostKey
from marketplace.domain.units import UnixTime
from marketplace.exposure.door import Door, ExposedHost
from marketplace.exposure.server import Bounds, Exposure
from marketplace.exposure.wire import ByteSink, ByteSource
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS
from tests.integration.test_ssh import LEASE, JobBySsh, job_by_ssh, relaying
from tests.ports import free_port

SERVICE = """
import base64, hashlib, http.server

class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Upgrade") == "websocket":
            return self.echo()
        seen = repr(sorted((name.lower(), value) for name, value in self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(seen)))
        self.send_header("Set-Cookie", "seen=1; Domain=localhost")
        self.end_headers()
        self.wfile.write(seen)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\\r\\n%s\\r\\n0\\r\\n\\r\\n" % (len(body), body))

    def echo(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        while True:
            first, size = self.rfile.read(2)
            size &= 127
            if size == 126:
                size = int.from_bytes(self.rfile.read(2), "big")
            mask, body = self.rfile.read(4), self.rfile.read(size)
            clear = bytes(byte ^ mask[place % 4] for place, byte in enumerate(body))
            head = bytes([first, size]) if size < 126 else bytes([first, 126]) + size.to_bytes(2, "big")
            self.wfile.write(head + clear)
            if first & 15 == 8:
                return

print("up", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", 8888), Service).serve_forever()
"""
Dialled = Callable[[], Awaitable[tuple[ByteSource, ByteSink]]]


@dataclass(frozen=True)
class Shown:
    """A port that is exposed, and how visitors reach it: by name, as browsers do, though this machine's resolver may not know it."""

    door: Door
    port: int

    def visitor(self, **headers: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Host": self.door.host.name, **headers},
            timeout=PATIENCE_SECONDS,
        )

    def guest(self, **headers: str) -> httpx.Client:
        """A browser that has come in by the address."""
        return self.visitor(Cookie=f"{self.door.cookie}={self.door.ticket}", **headers)

    def websocket(self, cookie: str, origin: str) -> ClientConnection:
        return connect(
            f"ws://{self.door.host.name}/socket", sock=socket.create_connection(("127.0.0.1", self.port), 60), origin=origin,
            additional_headers={"Cookie": cookie}, proxy=None, open_timeout=PATIENCE_SECONDS,
        )  # fmt: skip

    def raw(self, sent: bytes) -> bytes:
        """All that is answered until the connection ends."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as line:
            line.sendall(sent)
            return b"".join(iter(lambda: line.recv(1 << 16), b""))


@contextmanager
def shown(
    dial: Dialled, bounds: Bounds | None = None, end: Callable[[], Awaitable[None]] | None = None
) -> Iterator[Shown]:
    """An exposure on a thread of its own."""
    port, begun = free_port(), threading.Event()
    door = Door(ExposedHost(f"job-5e5e.localhost:{port}"), 8888)
    loop, stopping = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        ready = asyncio.Event()
        serving = asyncio.ensure_future(Exposure(door, dial, bounds).serve(port, stopping, ready))
        await ready.wait()
        begun.set()
        await serving
        if end is not None:
            await end()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    try:
        yield Shown(door, port)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(PATIENCE_SECONDS)
        loop.close()


@dataclass(frozen=True)
class Known:
    """The machine as a test knows it, without a chain."""

    relay: str
    host_key: str

    def place(self) -> SshPlace:
        return SshPlace(Bytes32(LEASE), HostKey(LEASE, self.host_key, UnixTime(1)), self.relay)

    def signed_headers(self, path: str) -> dict[str, str]:
        return {"Who": "client"}


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[JobBySsh, str]]:
    """The job, and the relay that leads to it."""
    with relaying() as (url, relay), job_by_ssh(url, relay, tmp_path_factory.mktemp("exposed"), SERVICE) as found:
        yield found, url


@contextmanager
def shown_job(reached: tuple[JobBySsh, str], port: int, host_key: str = "") -> Iterator[Shown]:
    """A port of the job, through a tunnel that takes this key for its machine's."""
    found, url = reached
    key = host_key or found.known_hosts.read_text().removeprefix("the-job ").strip()
    tunnel = Tunnel(Known(url, key), found.known_hosts.parent / "ssh" / "id_ed25519")
    with shown(lambda: tunnel.dial(port), end=tunnel.close) as shown_:
        yield shown_


@pytest.fixture(scope="module")
def service(reached: tuple[JobBySsh, str]) -> Iterator[Shown]:
    with shown_job(reached, 8888) as found:
        yield found


def test_a_job_s_service_by_its_address(service: Shown) -> None:
    """Who has the address comes in with a cookie, and the job sees the request, its host, and nothing of token or cookie."""
    path = service.door.address.removeprefix(service.door.host.origin)
    with service.visitor() as browser:
        entered = browser.get(path)
        assert (entered.status_code, entered.headers["location"]) == (303, f"{service.door.host.origin}/")
        assert browser.get("/").status_code == 200
    with service.visitor() as stranger:
        assert stranger.get("/").status_code == 401
    with service.guest(Referer=service.door.address, Authorization="Basic eA==") as guest:
        answers = [guest.get("/page?a=1") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    seen = answers[0].text
    assert f"('host', '{service.door.host.name}')" in seen
    assert "('authorization', 'Basic eA==')" in seen
    assert "cookie" not in seen
    assert service.door.token not in seen
    assert answers[0].headers["set-cookie"] == "seen=1"


def test_much_passes_both_ways(service: Shown) -> None:
    """Three megabytes with a length go in, the same in chunks come out, by a program that says the token as its bearer's."""
    content = os.urandom(3 << 20)
    with service.visitor(Authorization=f"Bearer {service.door.token}") as program:
        answer = program.post("/", content=content)

    assert answer.content == content


def test_a_websocket_into_a_job(service: Shown) -> None:
    """Messages of a WebSocket are echoed by the job; another page's, and one without the cookie, come to nothing."""
    cookie = f"{service.door.cookie}={service.door.ticket}"
    with service.websocket(cookie, service.door.host.origin) as line:
        for message in ("short", "x" * 3000, "again"):
            line.send(message)
            assert line.recv(PATIENCE_SECONDS) == message
    for wrong, origin in ((cookie, "http://job-77.localhost:1"), ("", service.door.host.origin)):
        with pytest.raises(InvalidStatus):
            service.websocket(wrong, origin)


def test_a_port_that_nobody_listens_on(reached: tuple[JobBySsh, str]) -> None:
    """As long as the service is not there, the page says so in words, and asks to come again."""
    with shown_job(reached, 8889) as closed, closed.guest() as guest:
        answer = guest.get("/")

    assert (answer.status_code, answer.headers["refresh"]) == (502, "3")
    assert "does not answer, or not yet. port_closed" in answer.text


def test_a_machine_with_another_key_is_not_talked_to(reached: tuple[JobBySsh, str]) -> None:
    """Where the relay leads to somebody without the host key that was signed, nothing is sent there: the port stays closed."""
    other = (reached[0].known_hosts.parent / "ssh" / "id_ed25519.pub").read_text().strip()
    with shown_job(reached, 8888, other) as fooled, fooled.guest() as guest:
        answer = guest.get("/")

    assert (answer.status_code, "entry_failed" in answer.text) == (502, True)
    assert "host key" in answer.text.lower()


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[Dialled, list[bytes]]]:
    """A service that says just that, connection by connection, whatever it is asked; and what it was asked."""
    asked: list[bytes] = []
    left = list(answers)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while left:
                line, _ = listening.accept()
                with line:
                    asked.append(line.recv(1 << 16))
                    line.sendall(left.pop(0))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield lambda: asyncio.open_connection(*listening.getsockname()), asked
        thread.join(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    ],
)  # fmt: skip
def test_what_a_hostile_service_says_is_no_answer(answer: bytes) -> None:
    """Nothing, no HTTP, a WebSocket that nobody asked for, a head that is false or too long: 502 in words, and nothing of it passes."""
    with answering(answer) as (dial, _), shown(dial) as found, found.guest() as guest:
        got = guest.get("/")

    assert (got.status_code, got.headers["content-security-policy"]) == (502, "default-src 'none'")


def test_a_service_s_answer_cannot_become_two() -> None:
    """What a service appends to an answer is not taken for the next one's."""
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    once = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
    with answering(twice, once) as (dial, _), shown(dial) as found, found.guest() as guest:
        assert [guest.get("/").text for _ in range(2)] == ["ok", "next"]


def test_a_body_that_breaks_off_is_not_taken_for_whole() -> None:
    """A service that ends in the middle of its answer ends the visitor's connection in the middle of it, too."""
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    with (
        answering(half) as (dial, _), shown(dial) as found, found.guest() as guest,
        pytest.raises(httpx.RemoteProtocolError),
    ):  # fmt: skip
        guest.get("/")


def test_visitors_are_bounded() -> None:
    """Who is one too many, says too much or no HTTP, is too slow, or lets nothing move for too long, is let go of; the next one is served."""

    async def silent() -> tuple[ByteSource, ByteSink]:
        near, far = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=near)
        kept.append(far)
        return reader, writer

    kept: list[socket.socket] = []
    tight = Bounds(connections=2, requests=1, head_seconds=0.5, still_seconds=0.5)
    with shown(silent, tight) as found:
        assert found.raw(b"GET / HTTP/1.1\r\nHost: ") == b""
        assert b" 431 " in found.raw(b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 400 " in found.raw(b"\x16\x03\x01\r\n\r\n")
        with found.guest() as guest:
            assert "says nothing" in guest.get("/").text
        with (
            socket.create_connection(("127.0.0.1", found.port), 60) as one,
            socket.create_connection(("127.0.0.1", found.port), 60) as other,
        ):
            assert found.raw(b"") == b""
            assert one.recv(1) == other.recv(1) == b""
        with found.visitor() as stranger:
            assert stranger.get("/").status_code == 401
    for line in kept:
        line.close()


def test_a_job_that_is_gone_is_told_in_words() -> None:
    """When there is no way into the job any more, a visitor reads why."""

    async def gone() -> tuple[ByteSource, ByteSink]:
        raise EntryRefused(EntryReason.JOB_GONE, "its lease is over")

    with shown(gone) as found, found.guest() as guest:
        assert "job_gone: its lease is over" in guest.get("/").text
