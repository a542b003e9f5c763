"""The proxy of one job: a process of its own, so that nothing a job sends through it is in its agent's way.

It has a socket that listens in the job's empty network (``executors.way_out``), and is of the machine's network itself:
there is no route between the two, only the bytes that are copied here. It knows the job's list and the provider's bounds,
and nothing of the agent. It ends when who started it does.

Every connection is bounded: how many there are, how long a head may be and take, how long a name, a host and silence may
take, and how many bytes go both ways in all.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  the resolver imports it, and another user may not read where it is
import json
import os
import resource
import socket
import sys
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any, Final

from marketplace.domain.egress import EgressTarget
from marketplace.domain.errors import InvalidField
from marketplace.images.addresses import refusal_of
from marketplace.provider.egress.heads import MAX_HEAD_BYTES, ProxyRequest, read_head
from marketplace.provider.egress.rules import COUNTS, WayOut

MOST_CONNECTIONS: Final = 64
HEAD_SECONDS: Final = 20.0
RESOLVE_SECONDS: Final = 15.0
DIAL_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 300.0
CLOSE_SECONDS: Final = 10.0

_TRIED_ADDRESSES: Final = 3
_CHUNK: Final = 64 * 1024
_RESOLVERS: Final = 8
_MOST_MEMORY: Final = 1 << 30
_NICE: Final = 5


class WayRefused(Exception):
    """What a job is told instead of being connected."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why

    def answer(self) -> bytes:
        text = f"egress: {self.why}\n"
        head = f"HTTP/1.1 {self.status} {self.why}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        return f"{head}Connection: close\r\n\r\n{text}".encode("latin-1", "replace")


class ByteMeter:
    """Counts what passes, where who started us can read it, and stops it at the bound."""

    def __init__(self, most_bytes: int, handle: int) -> None:
        self._most, self._handle, self._counts = most_bytes, handle, [0, 0]

    def count(self, size: int, *, is_coming: bool) -> None:
        """Raises WayRefused instead of going beyond the bound."""
        if sum(self._counts) + size > self._most:
            raise WayRefused(403, f"the {self._most >> 20} MiB of this job are used up")
        self._counts[is_coming] += size
        os.pwrite(self._handle, COUNTS.pack(*self._counts), 0)


class JobProxy:
    """Serves one job's connections."""

    def __init__(self, rules: WayOut, meter: ByteMeter) -> None:
        self._targets, self._local, self._meter = frozenset(rules.targets), frozenset(rules.local), meter
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its head to its end."""
        self._open += 1
        try:
            if self._open > MOST_CONNECTIONS:
                raise WayRefused(503, f"more than {MOST_CONNECTIONS} connections at a time")
            await self._serve(reader, writer)
        except WayRefused as refused:
            if self._open <= 2 * MOST_CONNECTIONS:
                await _told(reader, writer, refused.answer())
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            pass  # one side is gone, or says nothing: the other learns of it by the end
        finally:
            await _closed(writer)
            self._open -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            asked = read_head(head)
        except InvalidField as exc:
            raise WayRefused(400, str(exc)) from exc
        if str(asked.target) not in self._targets:
            raise WayRefused(403, f"{asked.target} is not in the job's list")
        there = await self._dialled(asked)
        far_reader, far_writer = await asyncio.open_connection(sock=there, limit=_CHUNK)
        try:
            if asked.is_tunnel:
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                self._meter.count(len(asked.opening), is_coming=False)
                far_writer.write(asked.opening)
            await self._joined(reader, writer, far_reader, far_writer)
        finally:
            await _closed(far_writer)

    async def _dialled(self, asked: ProxyRequest) -> socket.socket:
        """A connection to an address that was judged, of those that the name stands for now."""
        loop, target = asyncio.get_running_loop(), asked.target
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                rows = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise WayRefused(502, f"{target.host} has no address") from exc
        places = [(row[0], row[4]) for row in rows if is_reachable(str(row[4][0]), target.port, self._local)]
        if not places:
            raise WayRefused(403, f"{target.host} is at no public address")
        for family, place in places[:_TRIED_ADDRESSES]:
            there = socket.socket(family, socket.SOCK_STREAM)
            there.setblocking(False)
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    await loop.sock_connect(there, place)
            except OSError:
                there.close()
            else:
                return there
        raise WayRefused(502, f"{target} cannot be reached")

    async def _joined(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far_reader: asyncio.StreamReader, far_writer: asyncio.StreamWriter
    ) -> None:  # fmt: skip
        """Copy both ways until both have ended, one breaks off, the bytes are used up, or nothing has come for long."""
        heard = [asyncio.get_running_loop().time()]
        ways = (
            asyncio.create_task(self._copied(reader, far_writer, heard, is_coming=False)),
            asyncio.create_task(self._copied(far_reader, writer, heard, is_coming=True)),
        )
        try:
            await asyncio.gather(*ways)
        except WayRefused:
            pass  # in the middle of somebody's bytes nothing can be said; the next head is answered
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _copied(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, heard: list[float], *, is_coming: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    chunk = await source.read(_CHUNK)
            except TimeoutError:
                if loop.time() - heard[0] >= IDLE_SECONDS:
                    raise
                continue
            heard[0] = loop.time()
            if not chunk:
                sink.write_eof()
                return
            self._meter.count(len(chunk), is_coming=is_coming)
            sink.write(chunk)
            async with asyncio.timeout(IDLE_SECONDS):
                await sink.drain()


def is_reachable(host: str, port: int, local: Container[str]) -> bool:
    """Whether a job may be connected to this address: it is public and not ours, or one that the provider has listed."""
    try:
        address = ip_address(host)
    except ValueError:
        return False  # with a zone, say
    return str(EgressTarget(str(address), port)) in local or not refusal_of(address)


async def _told(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Answer, and take what was on its way to us: closing before that would take the answer back."""
    try:
        writer.write(answer)
        writer.write_eof()
        async with asyncio.timeout(CLOSE_SECONDS):
            while await reader.read(_CHUNK):
                pass
    except OSError:
        pass  # it does not listen, or goes on talking


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close one side; who takes nothing more of what is on its way is cut off, and holds no place."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await writer.wait_closed()
    except OSError:
        writer.transport.abort()


async def serve_until_left(listener: socket.socket, control: socket.socket, proxy: JobProxy) -> None:
    """Serve until the other end of ``control`` is closed."""
    loop, left = asyncio.get_running_loop(), asyncio.Event()
    loop.set_default_executor(ThreadPoolExecutor(_RESOLVERS, "resolve"))
    loop.add_reader(control, left.set)
    server = await asyncio.start_server(proxy.serve, sock=listener, limit=MAX_HEAD_BYTES)
    await left.wait()
    server.close()


def humble(user: int | None) -> None:
    """Give up being root, for good, and take no more of the machine than a proxy needs."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8 * MOST_CONNECTIONS, 8 * MOST_CONNECTIONS))
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def main(words: Iterable[str], told: dict[str, Any]) -> None:
    """``words`` are the handles of the listening socket, of the line to who started us, and of where bytes are counted."""
    listener, control, counts = (int(word) for word in words)
    humble(told["user"])
    rules = WayOut(tuple(told["targets"]), told["most_bytes"], tuple(told["local"]))
    proxy = JobProxy(rules, ByteMeter(rules.most_bytes, counts))
    asyncio.run(serve_until_left(socket.socket(fileno=listener), socket.socket(fileno=control), proxy))
    os._exit(0)  # a name that is still being looked up is not waited for


if __name__ == "__main__":
    main(sys.argv[1:4], json.load(sys.stdin))
