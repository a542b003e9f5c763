"""Request bodies, read with limits that count bytes and seconds and not promises, and JSON read as strictly as canonical JSON is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio.from_thread
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from marketplace.api.reading import check_shape
from marketplace.domain.canonical import MAX_DEPTH, parse_json
from marketplace.domain.errors import InvalidField, UnreadableAnswer
from marketplace.gateway.problems import HttpRefusal
from marketplace.gateway.streams import lines_of

MAX_BODY_BYTES = 1 << 20
SMALL_BYTES = 1 << 13
MAX_LOG_CHUNK_BYTES = 1 << 18
LEAST_BYTES_PER_SECOND = 1 << 15
"""A body has some seconds (``Lines.body_seconds``), and longer by what its bytes need on such a line: who drips holds nothing for longer."""


async def pieces(request: Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body piece by piece; a 413 problem as soon as it is, or says it is, longer than ``limit_bytes``."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HttpRefusal(
            415, "UnsupportedMediaType", "Content-Encoding", "must be identity: bodies are hashed as they are sent"
        )
    if promised_bytes(request) > limit_bytes:
        raise _too_large(limit_bytes)
    seen, is_whole = 0, False
    loop = asyncio.get_running_loop()
    deadline = loop.time() + lines_of(request).body_seconds
    while not is_whole:
        piece, is_whole = await _next_piece(request, deadline + seen / LEAST_BYTES_PER_SECOND)
        seen += len(piece)
        if seen > limit_bytes:
            raise _too_large(limit_bytes)
        yield piece


async def _next_piece(request: Request, deadline: float) -> tuple[bytes, bool]:
    """The next piece, and whether it is the last. Raise a 408 problem where it does not come before the deadline, by the event loop's clock."""
    try:
        async with asyncio.timeout_at(deadline):
            message = await request.receive()
    except TimeoutError:
        rule = f"must come at {LEAST_BYTES_PER_SECOND >> 10} KiB/s or more, but for its first seconds"
        raise HttpRefusal(408, "BodyTooSlow", "body", rule) from None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), not message.get("more_body", False)


def promised_bytes(request: Request) -> int:
    """What Content-Length says; the server has refused what is not a number."""
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _too_large(limit_bytes: int) -> HttpRefusal:
    return HttpRefusal(413, "BodyTooLarge", "body", f"must be at most {limit_bytes} bytes", limitBytes=limit_bytes)


async def raw_body(request: Request) -> bytes:
    """The whole body of a small request."""
    return await whole_body(request, MAX_BODY_BYTES)


async def log_chunk(request: Request) -> bytes:
    """The whole body of an appended piece of log."""
    return await whole_body(request, MAX_LOG_CHUNK_BYTES)


async def whole_body(request: Request, limit_bytes: int) -> bytes:
    """All pieces in one."""
    return b"".join([piece async for piece in pieces(request, limit_bytes)])


RawBody = Annotated[bytes, Depends(raw_body)]
LogChunk = Annotated[bytes, Depends(log_chunk)]


async def json_object(request: Request, body: RawBody) -> dict[str, Any]:
    """The body as a JSON object: UTF-8, no duplicate keys, no floats, NaN or lone surrogates, bounded depth.

    A small one is read at once, which is cheaper than a thread is; a large one would keep everybody else waiting.
    """
    if len(body) > SMALL_BYTES:
        return await run_in_threadpool(_read_object, request, body)
    return _read_object(request, body)


def _read_object(request: Request, body: bytes) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpRefusal(415, "UnsupportedMediaType", "Content-Type", "must be application/json")
    try:
        check_shape(body, MAX_BODY_BYTES)
        text = body.decode("utf-8")
    except UnreadableAnswer as exc:
        raise InvalidField(exc.field, exc.rule) from None
    except UnicodeDecodeError:
        raise InvalidField("body", "must be UTF-8") from None
    document = parse_json(text, takes_whole=True)
    if not isinstance(document, dict):
        raise InvalidField("body", "must be a JSON object")
    _check_plain(document, "body", MAX_DEPTH)
    return document


JsonObject = Annotated[dict[str, Any], Depends(json_object)]


def _check_plain(value: Any, path: str, depth: int) -> None:
    """Refuse what no document of ours holds and what would break on its way to a store: deep nesting, surrogates, NUL."""
    if depth < 0:
        raise InvalidField(path, f"is nested deeper than {MAX_DEPTH}")
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, list):
        for n, item in enumerate(value):
            _check_plain(item, f"{path}[{n}]", depth - 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, path)
            _check_plain(item, f"{path}.{name}", depth - 1)


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise InvalidField(path, "must not hold NUL")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidField(path, "must not hold lone surrogates")


def only_fields(document: dict[str, Any], *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> None:
    """Raise InvalidField for a field that is missing, or that nothing would obey."""
    for name in required:
        if name not in document:
            raise InvalidField(name, "is missing")
    for name in document:
        if name not in required and name not in optional:
            raise InvalidField(name, "is not a known field")


class UploadPieces:
    """A request's body as the blocking iterator that a store reads in a worker thread; never more than one piece in memory."""

    def __init__(self, request: Request, limit_bytes: int) -> None:
        self._pieces = pieces(request, limit_bytes)

    def __iter__(self) -> Iterator[bytes]:
        while piece := anyio.from_thread.run(self._next):
            yield piece

    async def _next(self) -> bytes:
        """The next piece that is not empty; ``b""`` at the end."""
        async for piece in self._pieces:
            if piece:
                return piece
        return b""
