"""A crowd of connections that ask one after the other, each the next request as soon as it is answered: what `make bench PART=api` asks with.

It runs in a process of its own and does as little as it can for each answer, so that the server is what is measured.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import cast

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of it: how many answers of each status, in how many seconds."""

    statuses: dict[int, int]
    seconds: float

    @property
    def per_second(self) -> float:
        return sum(self.statuses.values()) / self.seconds


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """A whole request on a connection that stays open."""
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}\r\n".encode() + body


def ask(port: int, requests: Sequence[bytes], connections: int) -> Answered:
    """Send all these requests over so many connections, each once."""
    return uvloop.run(_ask(port, requests, connections))


async def _ask(port: int, requests: Sequence[bytes], connections: int) -> Answered:
    loop, statuses, waiting = asyncio.get_running_loop(), Counter[int](), iter(requests)
    made = [
        await loop.create_connection(lambda: _Asker(waiting, statuses), "127.0.0.1", port) for _ in range(connections)
    ]
    askers = [asker for _, asker in made]
    begun = perf_counter()
    for asker in askers:
        asker.go_on()
    await asyncio.gather(*(asker.done for asker in askers))
    return Answered(dict(statuses), perf_counter() - begun)


class _Asker(asyncio.Protocol):
    """One connection. It reads as much of HTTP as our own answers have: a status, a length, a body."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[int]) -> None:
        self._requests, self._statuses = requests, statuses
        self._heard, self._missing = b"", -1
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def go_on(self) -> None:
        """Send the next request; hang up where there is none."""
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            data = self._heard = self._heard + data
            head, end, data = data.partition(_HEAD_END)
            if not end:
                return
            self._statuses[int(head[9:12])] += 1
            _, _, length = head.lower().partition(_LENGTH)
            self._missing, self._heard = int(length.split(b"\r\n", 1)[0]), b""
        self._missing -= len(data)
        if self._missing <= 0:
            self._missing = -1
            self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"hung up on: {exc}"))
