"""Server-sent events read from a stream of bytes, one line at a time, with a bound on what one event may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from marketplace.domain.errors import UnreadableAnswer

MOST_EVENT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name, and its content as it was sent."""

    name: str
    content: bytes


def server_events(pieces: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events of a stream; comments are skipped, what is unfinished at its end is nothing. Raises UnreadableAnswer."""
    name, content, length = "", list[bytes](), 0
    for line in _lines(pieces):
        if not line:
            if content:
                yield ServerEvent(name or "message", b"\n".join(content))
            name, content, length = "", [], 0
            continue
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"event":
            name = value[:100].decode("utf-8", "replace")
        elif key == b"data":
            content.append(value)
            length += len(value) + 1
            _bound(length)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends (LF or CRLF), however the stream is cut."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        _bound(len(rest))
        for line in lines:
            yield line.removesuffix(b"\r")


def _bound(length: int) -> None:
    if length > MOST_EVENT_BYTES:
        raise UnreadableAnswer("event", f"must be at most {MOST_EVENT_BYTES} bytes")
