"""All that may be wrong with one field of a JSON document, for each field of an honest one: as canonical JSON where it can be, so that it gets far."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import InvalidField

OTHER_HASH = "cd" * 32
JUNK: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**32, 2**53 - 1, 2**64, 10**4000, "", "x", "\0", "\x1b]52;c;x\x07", "\ud800", "\u202e", "x" * 100_000,
    "x" * 200_000, {f"A{number}": "x" for number in range(4_000)},
    "../../etc", "/etc/passwd", "/job/../etc", OTHER_HASH, "0x" + OTHER_HASH, [], [[]], [None], ["x"] * 10_000, {}, {"a": 1}, {"\ud800": 1},
)  # fmt: skip
BODIES: tuple[bytes, ...] = (
    b"", b"null", b"true", b"7", b'""', b"[]", b"{}", b"[{}]", b"[" * 200_000, b'{"a":' * 50_000, b"{", b'{"a"', b"\xff\xfe", b"NaN", b"1e999",
    b"\xef\xbb\xbf{}", b"<html>busy</html>", b"\0" * 100, b" " * (2 << 20), b"9" * 5_000,
)  # fmt: skip
"""Instead of the document."""

Place = tuple[Any, ...]


def lies(document: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """What each is about, and its bytes. None of them is the honest document."""
    yield from ((f"instead: {body[:12]!r}", body) for body in BODIES)
    honest = _written(document)
    yield "with a space", honest + b" "
    yield "its first field twice", b"{" + honest[1:].partition(b",")[0] + b"," + honest[1:]
    for place, value in places(document):
        name = ".".join(map(str, place)) or "all"
        if place:
            yield f"{name}: missing", _written(_changed(document, place, _MISSING))
        if isinstance(value, dict):
            for more in ("surprise", "\ud800", "\x1b[2J", "x" * 50_000):
                yield f"{name}: with {more[:8]!r}", _written(_changed(document, place, value | {more: 1}))
        if isinstance(value, list) and value:
            yield f"{name}: twice", _written(_changed(document, place, value * 2))
        for junk in JUNK:
            if junk != value or type(junk) is not type(value):
                told = _written(_changed(document, place, junk))
                yield f"{name}: {type(junk).__name__} {str(junk)[:20]!r}", told


def places(document: Any, here: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value in it, with the way there."""
    yield here, document
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in inner:
        yield from places(value, (*here, name))


class _Missing:
    pass


_MISSING = _Missing()


def _changed(document: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    entries = dict(document.items() if isinstance(document, dict) else enumerate(document))
    entries[place[0]] = _changed(entries[place[0]], place[1:], value)
    kept = {name: item for name, item in entries.items() if item is not _MISSING}
    return kept if isinstance(document, dict) else list(kept.values())


def _written(document: Any) -> bytes:
    try:
        return canonical_json(document)
    except InvalidField:  # it could not be told in canonical form: it is told all the same
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
