"""Every lie about every field of an answer, made from the records that it is read with: honest documents, and what is wrong in each.

A lie that breaks the form has to be refused. One that keeps it (another's id where nobody asked for one, an old block) may be taken for what
all of this is, a hint, as long as what comes out of it is within every bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import inspect

from marketplace.api.fields import Uint

MACHINE = {
    "version": 1, "region": "eu", "gpu": {"model": "RTX", "vram_mib": 24_000, "count": 1}, "cpus": 4, "memory_mib": 9_000,
    "disk_mib": 9_000, "measured": False,
}  # fmt: skip
DOCUMENTS: dict[str, Any] = {"machine": MACHINE}
"""What providers wrote, in answers of others: read by the domain's own readers."""

HUGE_TEXT = "x" * 100_000
JUNK: tuple[Any, ...] = (
    None,
    True,
    1.5,
    -1,
    2**64,
    2**300,
    "",
    "x",
    "\0",
    "\x1b]0;x\x07",
    HUGE_TEXT,
    [],
    [[]],
    [None],
    {},
    {"a": 1},
)
"""Values of all types; those that a field may have are left out for that field."""

BODIES: tuple[bytes, ...] = (
    b"", b"null", b"true", b"7", b'""', b"[]", b"{}", b"[{}]", b"[" * 200_000, b'{"a":' * 50_000, b"{", b'{"a"', b"\xff\xfe", b"NaN",
    b"\xef\xbb\xbf{}", b"<html>busy</html>", b"\0" * 100, b" " * (33 << 20),
)  # fmt: skip
"""Instead of the answer, whatever was asked."""


@dataclass(frozen=True)
class Lie:
    """One wrong answer. ``breaks_form`` where no honest gateway could say it."""

    about: str
    body: bytes
    breaks_form: bool


def honest(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """A document that this kind of record is read from: the given values by their paths, and something for every other field."""
    return {field.encode_name: _sample(field, given, field.encode_name) for field in _fields(kind)}


def lies(kind: type, document: dict[str, Any], identities: frozenset[str]) -> Iterator[Lie]:
    """All of them. ``identities`` are the fields that name what was asked for: another's there breaks the form, too."""
    for body in BODIES:
        yield Lie(f"instead: {body[:12]!r}", body, breaks_form=True)
    for path, field in _all_fields(kind, document, ()):
        name = ".".join(map(str, path))
        for what, value in _values(field.type, path):
            yield Lie(f"{name}: {what}", _body(document, path, value), breaks_form=True)
        yield Lie(f"{name}: missing", _body(document, path, _MISSING), breaks_form=field.required)
        for what, value in _others(field.type):
            yield Lie(f"{name}: {what}", _body(document, path, value), breaks_form=name in identities)


def _fields(kind: type) -> tuple[inspect.Field, ...]:
    told = inspect.type_info(kind)
    assert isinstance(told, inspect.StructType)
    return tuple(_bare(field) for field in told.fields)


def _bare(field: inspect.Field) -> inspect.Field:
    """Without what only OpenAPI is told of it."""
    bare = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
    return inspect.Field(field.name, field.encode_name, bare, field.required, field.default, field.default_factory)


def _sample(field: inspect.Field, given: Mapping[str, Any], path: str) -> Any:
    if path in given:
        return given[path]
    return _of(field.type, field.encode_name, given, path)


def _of(told: inspect.Type, name: str, given: Mapping[str, Any], path: str) -> Any:
    match told:
        case inspect.StructType():
            return {
                field.encode_name: _sample(field, given, f"{path}.{field.encode_name}") for field in _fields(told.cls)
            }
        case inspect.UnionType():
            return _of(_of_union(told), name, given, path)
        case inspect.ListType():
            return [_of(told.item_type, name, given, f"{path}.0")]
        case inspect.DictType():
            return {_of(told.key_type, name, given, f"{path}.key"): _of(told.value_type, name, given, f"{path}.value")}
        case inspect.RawType():
            return DOCUMENTS[name]
    return _plain(told)


def _plain(told: inspect.Type) -> Any:
    match told:
        case inspect.LiteralType() | inspect.EnumType():
            return _words_of(told)[0]
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return max(1, told.ge or 0)
        case inspect.StrType():
            return _text(told, "a")
        case inspect.CustomType():
            return "1"
    raise AssertionError(f"a kind of field that nobody lies about yet: {told}")


def _of_union(told: inspect.UnionType) -> inspect.Type:
    return next(one for one in told.types if not isinstance(one, inspect.NoneType))


def _words_of(told: inspect.LiteralType | inspect.EnumType) -> list[str]:
    return [str(word) for word in (told.values if isinstance(told, inspect.LiteralType) else told.cls)]


def _text(told: inspect.StrType, letter: str) -> str:
    """A text that fits the pattern; ours are hex of a length, or anything."""
    pattern = told.pattern or ""
    lengths = {"{40}": 40, "{64}": 64}
    digits = next((count for mark, count in lengths.items() if mark in pattern), 130 if pattern else 5)
    return ("0x" if pattern.startswith("^0x") else "") + letter * digits


def _all_fields(
    kind: type, document: dict[str, Any], path: tuple[Any, ...]
) -> Iterator[tuple[tuple[Any, ...], inspect.Field]]:
    """Every field, and those below it, with the way to it in the document."""
    for field in _fields(kind):
        here = (*path, field.encode_name)
        yield here, field
        inner, below = field.type, document[field.encode_name]
        if isinstance(inner, inspect.UnionType):
            inner = _of_union(inner)
        if isinstance(inner, inspect.DictType):
            inner, here, below = inner.value_type, (*here, next(iter(below))), next(iter(below.values()))
        if isinstance(inner, inspect.ListType):
            inner, here, below = inner.item_type, (*here, 0), below[0] if below else None
        if isinstance(inner, inspect.StructType) and below is not None:
            yield from _all_fields(inner.cls, below, here)


def _values(told: inspect.Type, path: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """What this field can never be: null, negative, huge, of a wrong type."""
    for value in JUNK:
        if not _may_be(told, value, path):
            yield f"{type(value).__name__} {str(value)[:20]!r}", value
    match told:
        case inspect.IntType():
            yield "text", "1"
            if told.lt is not None:
                yield "too wide", told.lt
        case inspect.StrType() if told.pattern:
            good = _text(told, "a")
            yield from (
                ("cut", good[:-1]),
                ("with a line's end", good + "\n"),
                ("longer", good + "a" * 8200),
                ("of other letters", good[:-2] + "zz"),
            )
            yield "in capitals", good[:-2] + "AA"
        case inspect.CustomType() if issubclass(told.cls, Uint):
            yield from ((text, text) for text in ("-1", "01", "1.0", "1e3", "0x1", " 1", "1 ", "١", "1" * 79))
            yield "too wide", str(1 << told.cls.bits)
            yield "a number", 1
        case inspect.LiteralType() | inspect.EnumType():
            yield "in capitals", _words_of(told)[0].upper() + "!"
        case inspect.UnionType():
            yield from ((what, value) for what, value in _values(_of_union(told), path) if value is not None)


def _may_be(told: inspect.Type, value: Any, path: tuple[Any, ...]) -> bool:
    """Whether a piece of junk is a good value of this field all the same."""
    match told:
        case inspect.UnionType():
            return value is None or _may_be(_of_union(told), value, path)
        case inspect.NoneType():
            return value is None
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.StrType():
            is_short = told.max_length is None or (isinstance(value, str) and len(value) <= told.max_length)
            is_long = told.min_length is None or (isinstance(value, str) and len(value) >= told.min_length)
            return isinstance(value, str) and not told.pattern and is_short and is_long
        case inspect.ListType():
            return bool(value == [])
        case inspect.DictType():
            return bool(value == {} or (value == {"a": 1} and isinstance(told.value_type, inspect.IntType)))
        case inspect.RawType():
            return value is None and path[-1] == "machine"
    return False


def _others(told: inspect.Type) -> Iterator[tuple[str, Any]]:
    """What this field could be in an answer about something else, or from another time."""
    match told:
        case inspect.UnionType():
            yield from _others(_of_union(told))
        case inspect.StrType():
            yield "another's", _text(told, "b")
        case inspect.IntType():
            yield "of long ago", told.ge or 0
            yield "far ahead", (told.lt - 1) if told.lt is not None else (told.le or 2**53 - 1)
        case inspect.CustomType() if issubclass(told.cls, Uint):
            yield "nothing", "0"
            yield "the most", str((1 << told.cls.bits) - 1)
        case inspect.BoolType():
            yield "the contrary", False
        case inspect.LiteralType() | inspect.EnumType():
            yield from ((f"{word}", word) for word in _words_of(told)[1:])
        case inspect.ListType():
            yield "none of them", []


class _Missing:
    pass


_MISSING = _Missing()


def _body(document: Any, path: tuple[Any, ...], value: Any) -> bytes:
    return json.dumps(_replaced(document, path, value)).encode()


def _replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(document, list):
        return [_replaced(document[0], path[1:], value), *document[1:]]
    rest = {name: item for name, item in document.items() if name != path[0]}
    if len(path) == 1 and isinstance(value, _Missing):
        return rest
    return rest | {path[0]: _replaced(document[path[0]], path[1:], value)}
