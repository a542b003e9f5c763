"""The one reader of what comes from outside: bounded before it is parsed, checked in full, and typed when it fails.

read(LeaseAnswer, body)                     a record, or UnreadableAnswer with the field and the rule
read(OfferPage, body, most_bytes=1 << 25)   of a long list
same("id", record.id, asked)                an answer about something else than what was asked is none
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import lru_cache
from typing import Any, TypeVar, cast

from msgspec import DecodeError, ValidationError, convert
from msgspec.json import Decoder

from marketplace.api.fields import field_of
from marketplace.domain.errors import InvalidField, UnreadableAnswer

T = TypeVar("T")

MOST_BYTES = 1 << 20
"""Of a body that tells of one thing."""

MOST_LIST_BYTES = 32 << 20
"""Of a body that lists things."""

MOST_LEVELS = 24
"""A document of ours has 16 levels at most, and an answer holds it a few levels down."""

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_HEX = re.compile(r"0[xX][0-9a-fA-F]*")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")


def read(kind: type[T], body: bytes, *, most_bytes: int = MOST_BYTES) -> T:
    """The body as a record of this kind. Raises UnreadableAnswer, and nothing else whatever the bytes are."""
    check_shape(body, most_bytes)
    try:
        body.decode()  # msgspec lets pass what is no UTF-8 in members that nobody asked for
        record: T = _decoder_of(cast("Hashable", kind)).decode(body)
    except ValidationError as exc:
        raise _named(str(exc)) from None
    except (DecodeError, RecursionError, UnicodeError) as exc:
        raise UnreadableAnswer("body", f"must be JSON ({exc})") from None
    return record


def asked_in(kind: type[T], document: object) -> T:
    """What somebody asks for, a JSON value that was parsed before, as a record of this kind; hex behind ``0x`` in any case. Raises InvalidField."""
    try:
        return convert(_in_lower_case(document), kind, dec_hook=field_of)
    except ValidationError as exc:
        wrong = _named(str(exc))
        raise InvalidField(wrong.field, wrong.rule) from None


def _in_lower_case(value: object) -> object:
    if isinstance(value, str):
        return value.lower() if _HEX.fullmatch(value) else value
    if isinstance(value, list):
        return [_in_lower_case(item) for item in value]
    return {name: _in_lower_case(item) for name, item in value.items()} if isinstance(value, dict) else value


def check_shape(body: bytes, most_bytes: int) -> None:
    """Raise UnreadableAnswer for a body that is not to be parsed: too long, or nested too deep."""
    if len(body) > most_bytes:
        raise UnreadableAnswer("body", f"must be at most {most_bytes} bytes")
    brackets = _STRINGS.sub(b"", body).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(MOST_LEVELS):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")  # the innermost level
    if brackets:
        raise UnreadableAnswer("body", f"must close its brackets, and not be nested deeper than {MOST_LEVELS} levels")


def same(field: str, told: object, asked: object) -> None:
    """Raise UnreadableAnswer where an answer is about something else than what was asked."""
    if told != asked:
        raise UnreadableAnswer(field, f"must be {asked}, which was asked for")


def as_answer(error: InvalidField) -> UnreadableAnswer:
    """A rule of the domain that an answer breaks."""
    return UnreadableAnswer(error.field, error.rule)


@lru_cache(maxsize=64)
def _decoder_of(kind: Hashable) -> Decoder[Any]:
    return Decoder(kind, dec_hook=field_of)


def _named(sentence: str) -> UnreadableAnswer:
    """``Expected `int` >= 0 - at `$.length` `` as the field ``length`` and the rule ``Expected `int` >= 0``."""
    rule, _, place = sentence.partition(" - at ")
    path = place.strip("`").removeprefix("$").removeprefix(".")
    for pattern, words in ((_MISSING, "is missing"), (_UNKNOWN, "is not a known field")):
        if found := pattern.fullmatch(rule):
            return UnreadableAnswer(".".join(filter(None, (path, found[1]))), words)
    return UnreadableAnswer(path or "body", rule)
