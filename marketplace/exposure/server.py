"""Serves one exposed port: each request is judged at the door, and passed on over a connection of its own into the job.

Everything is bounded: heads, connections, the time for a head, and the time in which nothing moves. Of what passes nothing is
kept or logged. The job's answer is a stranger's: it is read by h11, and its head rewritten, before a browser has any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Final

import h11

from marketplace.domain.ssh import EntryReason, EntryRefused
from marketplace.exposure.door import Admitted, Door, TurnedAway
from marketplace.exposure.heads import asked_of_job, said_by_job, switched
from marketplace.exposure.wire import CHUNK_BYTES, ByteSink, ByteSource, Wire

Dial = Callable[[], Awaitable[tuple[ByteSource, ByteSink]]]
"""A new connection to the job's port. Raises EntryRefused."""

_ANSWER_SECONDS: Final = 10
_AGAIN_SECONDS: Final = 3
"""After so long a browser asks again for a service that does not answer yet."""
_OURS: Final = (
    ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"), ("Connection", "close"),
    ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "default-src 'none'"),
)  # fmt: skip
_BROKEN: Final = (OSError, h11.ProtocolError)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of one exposed port at a time. Seconds are this machine's own: no money hangs on them."""

    connections: int = 256
    requests: int = 64
    """Passed on at a time, WebSockets included: a job has so many connections to its ports, and others need some, too."""
    head_seconds: float = 20
    """For a whole head, from the connection's begin or the answer before."""
    still_seconds: float = 600
    """In which nothing moves either way: then an exchange, or a WebSocket, is over."""


class Exposure:
    """One port, behind its door."""

    def __init__(self, door: Door, dial: Dial, bounds: Bounds | None = None) -> None:
        self._door, self._dial, self._bounds = door, dial, bounds or Bounds()
        self._visits: set[asyncio.Task[None]] = set()
        self._requests = 0

    async def serve(self, port: int, stopping: asyncio.Event, ready: asyncio.Event | None = None) -> None:
        """Serve at this machine's 127.0.0.1 until ``stopping`` is set. Raises OSError where the port is taken."""
        server = await asyncio.start_server(
            self._met, "127.0.0.1", port, limit=CHUNK_BYTES, backlog=self._bounds.connections
        )
        async with server:
            if ready is not None:
                ready.set()
            await stopping.wait()
            server.close()
            for visit in self._visits:
                visit.cancel()
            await asyncio.gather(*self._visits, return_exceptions=True)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        assert visit is not None
        if len(self._visits) >= self._bounds.connections:
            writer.close()
            return
        self._visits.add(visit)
        try:
            await self._attend(Wire(h11.SERVER, reader, writer))
        except (*_BROKEN, TimeoutError, asyncio.CancelledError):
            pass  # a visitor that is gone, speaks no HTTP, or falls silent; or our own end
        finally:
            self._visits.discard(visit)
            writer.close()
            asyncio.get_running_loop().call_later(
                _ANSWER_SECONDS, writer.transport.abort
            )  # who does not read it by then

    async def _attend(self, near: Wire) -> None:
        """One request after the other of one connection."""
        while True:
            request = await self._request(near)
            if request is None:
                return
            verdict = self._door.judge(request)
            ours = (
                await self._passed(near, request, is_websocket=verdict.is_websocket)
                if isinstance(verdict, Admitted)
                else verdict
            )
            if ours is not None:
                await _answer(near, ours)
            if ours is not None or not near.is_done:
                return
            near.http.start_next_cycle()

    async def _request(self, near: Wire) -> h11.Request | None:
        """The next head; None where there is none in time, or what came is no HTTP, which was answered."""
        try:
            async with asyncio.timeout(self._bounds.head_seconds):
                event = await near.heard()
        except h11.RemoteProtocolError as exc:
            if near.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await _answer(near, TurnedAway(exc.error_status_hint, "This is not HTTP as it is read here."))
            return None
        return event if isinstance(event, h11.Request) else None

    async def _passed(self, near: Wire, request: h11.Request, *, is_websocket: bool) -> TurnedAway | None:
        """Pass a request into the job and its answer back; what we have to say instead where the job says nothing."""
        if self._requests >= self._bounds.requests:
            return _unanswered(503, EntryReason.TOO_MANY, f"{self._bounds.requests} requests at a time")
        self._requests += 1
        try:
            far = Wire(h11.CLIENT, *await self._dial())
            try:
                await self._exchanged(near, far, asked_of_job(request, self._door, is_websocket=is_websocket))
            finally:
                far.sink.close()
        except EntryRefused as exc:
            return _unanswered(502, exc.why, exc.detail)
        except (*_BROKEN, TimeoutError) as exc:
            if near.http.our_state is not h11.SEND_RESPONSE:
                raise
            why = "says nothing" if isinstance(exc, TimeoutError) else "does not speak HTTP, or has broken off"
            return _unanswered(502, EntryReason.PORT_CLOSED, f"what listens there {why}")
        finally:
            self._requests -= 1
        return None

    async def _exchanged(self, near: Wire, far: Wire, request: h11.Request) -> None:
        loop, seconds = asyncio.get_running_loop(), self._bounds.still_seconds
        async with asyncio.timeout(seconds) as still:
            exchange = _Exchange(near, far, lambda: still.reschedule(loop.time() + seconds))
            await exchange.passed(request)


class _Exchange:
    """One request and its answer, each passed on as it comes; and what follows where they agree on a WebSocket."""

    def __init__(self, near: Wire, far: Wire, moved: Callable[[], None]) -> None:
        self._near, self._far, self._moved = near, far, moved

    async def passed(self, request: h11.Request) -> None:
        """Until the answer is complete, or the visitor is gone. Raises OSError, h11.ProtocolError."""
        await self._far.say(request)
        await _first_needed(self._down(), self._up())
        if self._near.http.our_state is h11.SWITCHED_PROTOCOL:
            await self._joined()

    async def _up(self) -> None:
        """The request's body; then only look whether the visitor is still there."""
        while isinstance(event := await self._near.heard(), h11.Data):
            await self._far.say(event)
            self._moved()
        if isinstance(event, h11.EndOfMessage):
            await self._far.say(h11.EndOfMessage())
            chunk = await self._near.source.read(CHUNK_BYTES)
            self._near.http.receive_data(chunk)
            if not chunk:
                raise ConnectionResetError("the visitor is gone")

    async def _down(self) -> None:
        while isinstance(event := await self._far.heard(), h11.InformationalResponse):
            if event.status_code == 101:
                await self._near.say(switched(event))
                return
        assert isinstance(event, h11.Response), "h11 has nothing else come first"
        reason, status = event.reason, event.status_code
        await self._near.say(h11.Response(status_code=status, headers=said_by_job(event), reason=reason))
        while isinstance(event := await self._far.heard(), h11.Data):
            await self._near.say(event)
            self._moved()
        await self._near.say(h11.EndOfMessage())

    async def _joined(self) -> None:
        """Bytes both ways, as they come: what they say is between the browser and the job."""
        for source, target in ((self._near, self._far), (self._far, self._near)):
            target.sink.write(source.http.trailing_data[0])
        await _first_needed(self._copied(self._far, self._near), self._copied(self._near, self._far))

    async def _copied(self, source: Wire, target: Wire) -> None:
        while chunk := await source.source.read(CHUNK_BYTES):
            target.sink.write(chunk)
            await target.sink.drain()
            self._moved()
        raise ConnectionResetError("one side of a WebSocket is gone")


async def _first_needed(needed: Coroutine[None, None, None], other: Coroutine[None, None, None]) -> None:
    """Wait for the first, unless the other one fails before; then end both. Raises what either did."""
    second, first = (
        asyncio.ensure_future(other),
        asyncio.ensure_future(needed),
    )  # a request's end is said before its answer is read
    try:
        done, _ = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        if first not in done:
            second.result()
            await first
        else:
            first.result()
    finally:
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


def _unanswered(status: int, why: EntryReason, detail: str) -> TurnedAway:
    text = f"The job's service does not answer, or not yet. {why}: {detail}"
    return TurnedAway(status, text, (("Retry-After", str(_AGAIN_SECONDS)), ("Refresh", str(_AGAIN_SECONDS))))


async def _answer(near: Wire, said: TurnedAway) -> None:
    """Say it ourselves. The connection ends with it: what is left of a request was not read."""
    text = f"{said.why}\n".encode()
    headers = [*_OURS, *said.headers, ("Content-Length", str(len(text)))]
    with contextlib.suppress(*_BROKEN, TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            await near.say(h11.Response(status_code=said.status, headers=headers))
            await near.say(h11.Data(data=text))
            await near.say(h11.EndOfMessage())
