"""Canonical JSON (RFC 8785) for documents whose hash matters: specs, machine descriptions, results, rounds.

The project's documents hold integers, strings, booleans, null, lists and objects only. Without floats, and with keys
sorted by UTF-16 code units, the standard library's ``json`` writes exactly RFC 8785; a test compares with ``rfc8785``.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from marketplace.domain.errors import InvalidField

MAX_SAFE_INTEGER = 2**53 - 1
"""Larger integers do not survive JSON readers that use doubles; RFC 8785 forbids them. Write them as strings."""

MAX_DEPTH = 16

_SHOWN_LETTERS = 64
_WHOLE = re.compile(r"(-?[0-9]{1,16})\.0{1,16}")


def canonical_json(value: Any) -> bytes:
    """Write ``value`` so that equal documents are equal bytes; refuse floats, big integers and odd keys."""
    try:
        return json.dumps(_checked(value, "$", MAX_DEPTH), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidField("$", "must not hold lone surrogates") from None


def parse_json(content: bytes | str, *, field: str = "body", takes_whole: bool = False) -> Any:
    """Read JSON strictly: no duplicate keys, no NaN or Infinity, no floats, bounded depth. ``takes_whole``: ``2.0`` is the integer 2,
    as JSON Schema has it, where the bytes are not what is hashed."""
    read_float = _whole if takes_whole else _no_float
    try:
        value = json.loads(content, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=read_float)
    except (ValueError, RecursionError) as exc:
        raise InvalidField(field, f"is not valid JSON: {exc}") from None
    return value


def shown_name(name: str) -> str:
    """A name that a stranger gave to a field, in a sentence of ours: it may be a megabyte, an order to a terminal, or no text at all."""
    shown = name if name.isprintable() else ascii(name)[1:-1]
    return shown if len(shown) <= _SHOWN_LETTERS else shown[:_SHOWN_LETTERS] + "…"


def _checked(value: Any, path: str, depth: int) -> Any:
    if depth < 0:
        raise InvalidField(path, f"is nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            raise InvalidField(path, "integers must fit in 53 bits")
        return value
    if isinstance(value, list | tuple):
        return [_checked(item, f"{path}[{n}]", depth - 1) for n, item in enumerate(value)]
    if isinstance(value, dict):
        ordered = sorted(value, key=lambda key: _utf16(key, path))
        return {key: _checked(value[key], f"{path}.{key}", depth - 1) for key in ordered}
    raise InvalidField(path, f"{type(value).__name__} has no place in canonical JSON")


def _utf16(key: Any, path: str) -> bytes:
    if not isinstance(key, str):
        raise InvalidField(path, "keys must be strings")
    return key.encode("utf-16-be", "surrogatepass")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _whole(text: str) -> int:
    found = _WHOLE.fullmatch(text)
    return int(found[1]) if found else _no_float(text)


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{shown_name(text)} is not an integer")
