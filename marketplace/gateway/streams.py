"""Server-sent events: the board's blocking reads, bridged into the event loop by worker threads of their own.

A stream ends when its reader leaves, when its subject is over, and when the server stops. It never holds a thread for longer than one
short wait, so that all three are noticed.
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from marketplace.api.leases import LogEnd, LogPiece
from marketplace.api.record import to_json
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.ids import Bytes32
from marketplace.gateway.desks import Desks
from marketplace.gateway.following import Following
from marketplace.gateway.problems import HttpRefusal, Problem, answer_refused, problem_of
from marketplace.gateway.slots import Slots

T = TypeVar("T")

WAIT_MS = 1000
"""One wait for news. A stream notices within this time that it should end."""

PING_SECONDS = 15
GOODBYE_SECONDS = 3
"""A stream's time, after the server was asked to stop, to tell its reader so; longer than one wait."""

MOST_TEXT_BYTES = 1 << 16
"""Of a log in one event."""
ENDED = "-end"
"""Behind the length of a log, in the id of its ``end``."""
EVENT_STREAM, PLAIN_TEXT = "text/event-stream", "text/plain"

MOST_STREAMS = 128
MOST_STREAMS_EACH = 48
"""From one address, of the market's events; as many of logs."""
MOST_UPLOADS = 32
MOST_UPLOADS_EACH = 8
"""Of one account."""


def _threads(count: int) -> Callable[[], anyio.CapacityLimiter]:
    return lambda: anyio.CapacityLimiter(count)


def _places(what: str, most: int, most_each: int) -> Callable[[], Slots]:
    return lambda: Slots(what, most=most, most_each=most_each)


@dataclass(slots=True)
class Lines:
    """Worker threads that slow clients may hold, and places for them; everybody else's requests have their own.

    A log that is followed has a thread whenever it wants one. Streams of events take turns in theirs: they are hints.
    """

    reads: anyio.CapacityLimiter = field(default_factory=_threads(32))
    """For what is answered at once."""
    logs: anyio.CapacityLimiter = field(default_factory=_threads(MOST_STREAMS))
    events: anyio.CapacityLimiter = field(default_factory=_threads(32))
    uploads: anyio.CapacityLimiter = field(default_factory=_threads(MOST_UPLOADS))
    log_places: Slots = field(default_factory=_places("logs that are followed", MOST_STREAMS, MOST_STREAMS_EACH))
    event_places: Slots = field(default_factory=_places("streams of events", MOST_STREAMS, MOST_STREAMS_EACH))
    body_seconds: float = 30.0
    """For a body, and longer by what its bytes need on a slow line."""
    upload_places: Slots = field(default_factory=_places("uploads", MOST_UPLOADS, MOST_UPLOADS_EACH))


def lines_of(request: Request) -> Lines:
    lines: Lines = request.app.state.lines
    return lines


def address_of(request: Request) -> str:
    """Where the connection is from."""
    return request.client.host if request.client else ""


def is_stopping(request: Request) -> bool:
    """Whether the server has been asked to end."""
    asked: Callable[[], bool] = request.app.state.is_stopping
    return asked()


class PlacedStream(EventSourceResponse):
    """A stream that needs a place as long as it lasts; without one it is a problem instead."""

    def __init__(self, places: Slots, who: str, events: AsyncIterator[ServerSentEvent], **arguments: Any) -> None:
        super().__init__(events, **arguments)
        self._places, self._who = places, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._places.one_for(self._who):
                await super().__call__(scope, receive, send)
        except HttpRefusal as refusal:
            await answer_refused(refusal, scope, receive, send)


def event_stream(request: Request, places: Slots, events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    """The response that sends these events, with a comment now and then so that proxies keep the line open."""
    return PlacedStream(
        places, address_of(request), events, ping=PING_SECONDS, sep="\n", ping_message_factory=lambda: ServerSentEvent(comment="ping", sep="\n"),
        shutdown_event=anyio.Event(), shutdown_grace_period=GOODBYE_SECONDS,
    )  # fmt: skip


def headers_only() -> Response:
    """The answer to a HEAD of what would go on for as long as it is read."""
    return Response(None, 200, media_type=EVENT_STREAM)


async def log_events(request: Request, desks: Desks, lease: Bytes32, offset: int) -> AsyncIterator[ServerSentEvent]:
    """A log as it grows: ``log`` events with the text, then ``end``. Offsets are bytes; a character is never cut in two.

    ``end`` tells the log's true length, also to who asked beyond it; its id tells that nobody needs to come back.
    """
    threads = lines_of(request).logs
    read = partial(in_thread, threads, desks.leases.read_log, lease)
    rest, has_told = b"", False
    try:
        while not is_stopping(request):
            chunk, is_over = await read(offset + len(rest), 0), False
            if not chunk:
                is_over = await in_thread(threads, desks.leases.is_log_complete, lease)
                # Asked again, because the last piece may have been appended between the two questions.
                chunk = await read(offset + len(rest), 0 if is_over else WAIT_MS)
            text, used = whole_text(rest + chunk, is_last=is_over and not chunk)
            rest = (rest + chunk)[used:]
            if text:
                yield _log(offset, text, offset + used)
                offset, has_told = offset + used, True
            if is_over and not chunk:
                length = offset if has_told else await in_thread(threads, desks.leases.log_length, lease)
                yield _event("end", LogEnd(length), f"{length}{ENDED}")
                return
        yield _goodbye()
    except MarketplaceError as error:
        yield _event("problem", problem_of(error).document())


async def market_events(
    request: Request, desks: Desks, seen: dict[str, str], following: Following
) -> AsyncIterator[ServerSentEvent]:
    """The market's events as the indexer tells them, and what else is followed, from where ``seen`` is on each topic."""
    threads = lines_of(request).events
    try:
        while not is_stopping(request):
            entries = await in_thread(threads, desks.board.follow, seen, WAIT_MS)
            for entry in following.taken(entries, seen):
                for name, content, identifier in following.told(entry, desks.offers):
                    yield ServerSentEvent(content.decode(), event=name, id=identifier, sep="\n")
        yield _goodbye()
    except MarketplaceError as error:
        yield _event("problem", problem_of(error).document())


def whole_text(content: bytes, *, is_last: bool) -> tuple[str, int]:
    """The longest text that cuts no character in two, at most one event's worth, and how many bytes it takes."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    piece = content[:MOST_TEXT_BYTES]
    text = decoder.decode(piece, final=is_last)
    return text, len(piece) - len(decoder.getstate()[0])


def _log(offset: int, text: str, onward: int) -> ServerSentEvent:
    return _event("log", LogPiece(offset, text, onward), str(onward))


def _goodbye() -> ServerSentEvent:
    """Nothing is over but this line: its reader should open another."""
    problem = Problem(503, "GatewayStopping", "the gateway is stopping; go on from the last event's id")
    return _event("problem", problem.document())


def _event(name: str, document: Any, identifier: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(to_json(document).decode(), event=name, id=identifier, sep="\n")


async def in_thread(threads: anyio.CapacityLimiter, read: Callable[..., T], *arguments: Any) -> T:
    """Call a blocking reader in one of these worker threads."""
    return await anyio.to_thread.run_sync(partial(read, *arguments), limiter=threads)
