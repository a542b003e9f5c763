"""A job's way out: its proxy on real sockets of this machine's loopback, and a job in the sandbox that tries to get elsewhere by it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.provider.egress.heads import read_head
from marketplace.provider.egress.proxy import MOST_CONNECTIONS, ByteMeter, JobProxy, is_reachable
from marketplace.provider.egress.rules import COUNTS, WayOut
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from tests.integration.bubblewrap_escapes import ATTEMPTS, canaries, names
from tests.integration.bubblewrap_jobs import ROOT, executor_at, left_of, prepared, run
from tests.integration.bubblewrap_ordinary import ORDINARY_USER

PUBLIC = ("1.1.1.1", "8.8.8.8", "2606:4700:4700::1111")
PRIVATE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%lo", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::1", "2001::1", "2001:db8::1", "::127.0.0.1", "fec0::1",
)  # fmt: skip


@pytest.mark.parametrize("text", PRIVATE)
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    """Loopback, private, link-local, shared, reserved, multicast, and whatever stands for an IPv4 address."""
    assert not is_reachable(text, 443, ())


def test_public_and_listed_addresses_are_reachable() -> None:
    """What the provider has listed counts as public, on that port alone."""
    assert all(is_reachable(text, 443, ()) for text in PUBLIC)
    assert is_reachable("127.0.0.1", 80, ("127.0.0.1:80",))
    assert not is_reachable("127.0.0.1", 81, ("127.0.0.1:80",))


def test_a_plain_request_is_passed_on_to_one_host() -> None:
    """In the form that a server wants, with the host of the URL, whatever the job says beside it; nothing that is for the proxy."""
    asked = read_head(
        b"GET http://A.example:8080/x?y=1#z HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: x\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n"
    )

    assert str(asked.target) == "a.example:8080"
    assert asked.opening == b"GET /x?y=1 HTTP/1.1\r\nHost: a.example:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    tunnel = read_head(b"CONNECT A.example:443 HTTP/1.1\r\n\r\n")
    assert (str(tunnel.target), tunnel.is_tunnel) == ("a.example:443", True)


@pytest.mark.parametrize(
    "head",
    [
        b"", b"CONNECT a.example HTTP/1.1", b"GET / HTTP/1.1", b"GET https://a.example/ HTTP/1.1", b"GET http://u@a.example/ HTTP/1.1",
        b"GET http://a.example:x/ HTTP/1.1", b"GET  http://a.example/ HTTP/1.1", b"GET http://a.example/ HTTP/2", b"get http://a.example/ HTTP/1.1",
        b"GET http://a.example/ HTTP/1.1\r\n folded: x", b"GET http://a.example/ HTTP/1.1\r\nno colon", b"GET http://a.example/ HTTP/1.1\r\nA: x\nB: y",
        b"GET http://[::1/ HTTP/1.1", b"\x00\xff", b"CONNECT a.example:443 HTTP/1.1\r\nA : x",
    ],
)  # fmt: skip
def test_what_is_no_request_of_a_proxys_is_refused(head: bytes) -> None:
    """Read strictly: nothing is guessed, and nothing passed on that was not understood."""
    with pytest.raises(InvalidField):
        read_head(head + b"\r\n\r\n")


@pytest.fixture
def counts() -> Iterator[int]:
    handle = os.memfd_create("counts")
    yield handle
    os.close(handle)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@dataclass(frozen=True)
class Line:
    """An echo server's port, and the address of a proxy that may connect to it."""

    port: int
    proxy: tuple[str, int]

    @property
    def tunnel(self) -> bytes:
        return f"CONNECT 127.0.0.1:{self.port} HTTP/1.1\r\n\r\n".encode()

    async def told(self, sent: bytes) -> bytes:
        """All that comes back, until the end."""
        reader, writer = await asyncio.open_connection(*self.proxy)
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def opened(self) -> asyncio.StreamWriter:
        """A tunnel that stays."""
        reader, writer = await asyncio.open_connection(*self.proxy)
        writer.write(self.tunnel)
        assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == b"200"
        return writer


def through(handle: int, test: Callable[[Line], Awaitable[None]], *, most: int = 1 << 20) -> None:
    """Run a test on such a line."""

    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = f"127.0.0.1:{port}"
        rules = WayOut((target, "localhost:1", f"localhost:{port}"), most, (target,))
        proxy = await asyncio.start_server(JobProxy(rules, ByteMeter(most, handle)).serve, "127.0.0.1", 0)
        async with asyncio.timeout(60):
            await test(Line(port, proxy.sockets[0].getsockname()))
            for one in (proxy, server):
                one.close()
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    asyncio.run(run())


def test_a_tunnel_carries_bytes_and_counts_them(counts: int) -> None:
    """What was sent and what came back, to a host of the list, by its name too."""

    async def test(line: Line) -> None:
        for host in ("127.0.0.1", "localhost"):
            head = f"CONNECT {host}:{line.port} HTTP/1.1\r\n\r\n".encode()
            assert await line.told(head + b"hello") == b"HTTP/1.1 200 Connected\r\n\r\nhello"

    through(counts, test)
    assert COUNTS.unpack(os.pread(counts, COUNTS.size, 0)) == (10, 10)


def test_nothing_but_the_list_is_connected_to(counts: int) -> None:
    """Another port, another name of the same host, an address that is not public, a broken head: each is told so."""

    async def test(line: Line) -> None:
        for target, status in (
            (f"127.0.0.2:{line.port}", b"403"),
            ("127.0.0.1:1", b"403"),
            ("a.example:443", b"403"),
            ("localhost:1", b"403"),
            ("x", b"400"),
        ):
            answer = await line.told(f"CONNECT {target} HTTP/1.1\r\n\r\nhello".encode())
            assert answer.split()[1] == status, answer
            assert b"hello" not in answer
        assert (await line.told(b"GET / HTTP/1.1\r\n\r\n")).split()[1] == b"400"

    through(counts, test)
    assert os.pread(counts, COUNTS.size, 0) == b""


def test_bytes_end_at_the_bound(counts: int) -> None:
    """No byte passes that is beyond it, and the next connection is told why."""

    async def test(line: Line) -> None:
        assert len(await line.told(line.tunnel + bytes(3000))) < 3000
        plain = f"POST http://127.0.0.1:{line.port}/ HTTP/1.1\r\nX: {'x' * 4000}\r\n\r\n".encode()
        assert b"used up" in await line.told(plain)

    through(counts, test, most=4096)
    assert sum(COUNTS.unpack(os.pread(counts, COUNTS.size, 0))) <= 4096


def test_connections_are_bounded(counts: int) -> None:
    """One more than a job may have is turned away, and let in when another has ended."""

    async def test(line: Line) -> None:
        held = [await line.opened() for _ in range(MOST_CONNECTIONS)]
        assert (await line.told(line.tunnel)).split()[1] == b"503"
        for writer in held:
            writer.close()
        while (await line.told(line.tunnel)).split()[1] == b"503":
            pass

    through(counts, test)


TRYING = """
import json, os, socket, urllib.request, urllib.error, sys
port = int(sys.argv[1])
def asked(url):
    try:
        return urllib.request.urlopen(url, timeout=20).read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError as exc:
        return type(exc).__name__
def dialled(host, port):
    try:
        return socket.create_connection((host, port), 5) and "connected"
    except OSError as exc:
        return type(exc).__name__
def tunnelled(target):
    with socket.create_connection(("127.0.0.1", 3128), 20) as proxy:
        proxy.sendall(f"CONNECT {target} HTTP/1.1\\r\\n\\r\\n".encode())
        return int(proxy.recv(4096).split()[1])
print(json.dumps({
    "allowed": asked(f"http://127.0.0.1:{port}/allowed") if os.environ.update(no_proxy="") is None else "",
    "not listed": asked(f"http://127.0.0.2:{port}/"), "private": tunnelled("localhost:22"), "own": tunnelled(f"127.0.0.1:{port + 1}"),
    "metadata": tunnelled("169.254.169.254:80"), "direct": dialled("127.0.0.1", port), "outside": dialled("1.1.1.1", 443),
    "devices": [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]],
    "routes": open("/proc/net/route").read().count("\\n") - 1, "proxies": os.environ["https_proxy"],
}))
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[int]:
    """An HTTP server of this machine: its port."""

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = f"{self.path} for {self.headers['Host']}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapExecutor:
    return executor_at(tmp_path_factory.mktemp("agent"), find_cgroups())


def test_a_job_reaches_its_list_and_nothing_else(executor: BubblewrapExecutor, tmp_path: Path, shop: int) -> None:
    """By the proxy that its environment names, from the first moment on; its network is as empty as without, and its bytes are counted."""
    listed = f"127.0.0.1:{shop}"
    way_out = WayOut((listed, "localhost:22", "169.254.169.254:80"), 1 << 20, (listed,))
    request = replace(prepared(tmp_path, "python", "-c", TRYING, str(shop)), way_out=way_out)
    ran = run(executor, request)
    assert ran.result.exit_code == 0, ran.log
    seen = json.loads(ran.log)

    assert seen == {
        "allowed": f"/allowed for {listed}", "not listed": 403, "private": 403, "own": 403, "metadata": 403, "direct": "ConnectionRefusedError",
        "outside": "OSError", "devices": ["lo"], "routes": 0, "proxies": "http://127.0.0.1:3128",
    }  # fmt: skip
    assert 0 < ran.result.egress_bytes < 2000
    assert "network:egress" in ran.result.enforcement
    assert left_of(request, find_cgroups()) == []


def test_a_way_out_is_no_way_into_anything(executor: BubblewrapExecutor, tmp_path: Path, shop: int) -> None:
    """All attempts to get out of the sandbox fail with a way out as they do without, and so does whatever asks its proxy for the host's."""
    listed = f"127.0.0.1:{shop}"
    with canaries(tmp_path) as facts:
        files = {"attempts.py": ATTEMPTS.read_text(), "facts.json": json.dumps(facts)}
        request = prepared(tmp_path, "python", "attempts.py", files=files)
        result = executor.start(replace(request, way_out=WayOut((listed,), 1 << 20, (listed,)))).wait(120)
    report = request.inputs / "report.json"
    found = json.loads(report.read_text()) if report.exists() else {}

    assert result is not None
    assert set(found) >= set(names()), request.log.read_text()
    assert {name: how for name, how in found.items() if how} == {}


ORDINARY = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.integration.bubblewrap_ordinary import become_ordinary
from tests.integration.bubblewrap_jobs import ROOT
become_ordinary([Path(sys.base_prefix), ROOT])
from marketplace.domain.keeping import SessionTerms
from marketplace.provider.egress.rules import WayOut
from tests.integration.bubblewrap_jobs import executor_at, prepared, run
place, listed = Path(sys.argv[1]), sys.argv[2]
executor = executor_at(place, None)
job = prepared(place, "python", "-c", "import urllib.request as u; print(u.urlopen('http://%s/x').read().decode(), open('/job/secrets/T').read())" % listed, env={"no_proxy": ""})
ran = run(executor, replace(job, way_out=WayOut((listed,), 1 << 20, (listed,)), secrets={"T": b"hush"}))
left = run(executor, replace(prepared(place, "true"), command=(), session=SessionTerms(1)))
print(ran.log.split(), ran.result.exit_code, left.result.ended, left.result.exit_code)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="this run is by an ordinary user already")
def test_an_agent_without_root_gives_all_of_it(shop: int) -> None:
    """A way out, secrets, and a session that ends when it is left need no right on the machine."""
    listed = f"127.0.0.1:{shop}"
    with TemporaryDirectory() as place:
        os.chown(place, ORDINARY_USER, ORDINARY_USER)
        words = [sys.executable, "-B", "-c", ORDINARY, place, listed]
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert ran.stdout == f"['/x', 'for', '{listed}', 'hush'] 0 exited 0\n", ran.stdout + ran.stderr[-2000:]
