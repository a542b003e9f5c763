"""The relay's process: WebSockets in, and what comes on one leg out on the other.

Each leg is bounded: so many connections, so many bytes that wait, a sign of life every so often. Both legs of a meeting
are closed in the end, whichever of them ended it: ssh kills its ProxyCommand, so there is not always a closing frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from marketplace.domain.errors import Forbidden, MarketplaceError, NotFound, TooManyRequests, Unauthorized
from marketplace.domain.ids import Bytes32
from marketplace.domain.relaying import FRAME_BYTES, FRAMES, KEEPALIVE_SECONDS, MEET_SECONDS, way_in
from marketplace.domain.ssh import EntryRefused
from marketplace.relay.meetings import Meetings

CHECKS: Final = 16
"""Signatures that are looked at at a time: each asks chain and journal, on a thread."""
TRY_AGAIN: Final = 1013
"""The closing code of who is not met here now."""
_STATUS: Final = {Unauthorized: 401, Forbidden: 403, NotFound: 404, TooManyRequests: 429}

_log = structlog.get_logger()


class Doorkeeper(Protocol):
    """Says who may come in; see ``doors.RelayDoors``. Blocks."""

    def require_provider(self, headers: dict[str, str], lease: Bytes32, /) -> None: ...

    def require_client(self, headers: dict[str, str], lease: Bytes32, /) -> None: ...


class Relay:
    """One relay, in one event loop."""

    def __init__(self, doors: Doorkeeper, meetings: Meetings | None = None) -> None:
        self._doors = doors
        self.meetings = meetings or Meetings()
        self._checks = asyncio.Semaphore(CHECKS)

    async def serve(self, host: str, port: int, stopping: asyncio.Event, ready: asyncio.Event | None = None) -> None:
        """Serve until ``stopping`` is set; ``ready`` is set when it listens."""
        async with serve(
            self._met, host, port, process_request=self._let_in, compression=None, max_size=FRAME_BYTES,
            max_queue=FRAMES, write_limit=FRAME_BYTES * FRAMES, open_timeout=MEET_SECONDS, close_timeout=5,
            ping_interval=KEEPALIVE_SECONDS, ping_timeout=2 * KEEPALIVE_SECONDS, server_header=None,
        ):  # fmt: skip
            if ready is not None:
                ready.set()
            await stopping.wait()

    async def _let_in(self, connection: ServerConnection, request: Request) -> Response | None:
        """Whether a request may become a WebSocket: an answer for who may not, and for who asks whether we live."""
        if request.path in ("/live", "/ready"):
            return connection.respond(HTTPStatus.OK, "ok\n")
        found = way_in(request.path)
        if found is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "there is no such way into this relay\n")
        lease, door, _ = found
        try:
            if door != "answer":  # that one has its ticket
                require = self._doors.require_provider if door == "line" else self._doors.require_client
                async with self._checks:
                    await asyncio.to_thread(require, dict(request.headers.raw_items()), lease)
        except MarketplaceError as exc:
            status = next((status for kind, status in _STATUS.items() if isinstance(exc, kind)), 503)
            return connection.respond(HTTPStatus(status), f"{exc.reason}: {exc}\n")
        return None

    async def _met(self, leg: ServerConnection) -> None:
        found = way_in(leg.request.path if leg.request else "")
        assert found, "let in"
        lease, door, ticket = found
        try:
            self.meetings.admit()
        except TooManyRequests as exc:
            await leg.close(TRY_AGAIN, str(exc))
            return
        try:
            if door == "line":
                await self._line(lease, leg)
            elif door == "caller":
                await self._caller(lease, leg)
            elif self.meetings.answer(lease, ticket, leg):
                await leg.wait_closed()  # whoever asked for it pumps, and closes
        finally:
            self.meetings.leave()
            await leg.close()

    async def _line(self, lease: Bytes32, leg: ServerConnection) -> None:
        """Keep it until it is closed, or another one takes its place. Nothing is to be said on it by the agent."""
        replaced = await self.meetings.keep_line(lease, leg)
        ends = [asyncio.ensure_future(leg.wait_closed()), asyncio.ensure_future(replaced.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            self.meetings.drop_line(lease, leg)

    async def _caller(self, lease: Bytes32, leg: ServerConnection) -> None:
        try:
            other = await self.meetings.answered(lease)
        except (EntryRefused, TooManyRequests) as exc:
            await leg.close(TRY_AGAIN, str(exc)[:120])
            return
        except ConnectionClosed:
            await leg.close(TRY_AGAIN, "the provider's line has just broken")
            return
        assert isinstance(other, ServerConnection)
        try:
            await joined(leg, other)
        finally:
            self.meetings.hung_up(lease)
            await other.close()


async def joined(one: ServerConnection, other: ServerConnection) -> None:
    """Pass bytes on, both ways, until either side ends; then both are closed."""
    ways = [asyncio.ensure_future(_passed_on(one, other)), asyncio.ensure_future(_passed_on(other, one))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await asyncio.gather(one.close(), other.close(), return_exceptions=True)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _passed_on(source: ServerConnection, target: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in source:
            if isinstance(message, str):
                return  # nothing of ours: a leg carries bytes
            await target.send(message)


def serve_relay(doors: Doorkeeper, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""

    async def run() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        _log.info("relay.started", host=host, port=port)
        await Relay(doors).serve(host, port, stopping)

    asyncio.run(run())
