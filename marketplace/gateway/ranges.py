"""Which part of a file is asked for, and whether the client has it already (RFC 9110: 13.1.2, 13.1.5 and 14.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from marketplace.gateway.problems import HttpRefusal

_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))\s*", re.IGNORECASE)


def is_known(headers: Mapping[str, str], *tags: str) -> bool:
    """Whether ``If-None-Match`` names one of these entity tags: the content has not changed since."""
    asked = headers.get("if-none-match", "")
    named = {word.strip().removeprefix("W/") for word in asked.split(",")}
    return asked.strip() == "*" or bool(named & set(tags))


def range_asked(headers: Mapping[str, str], size: int, tag: str) -> range | None:
    """The bytes that are asked for; None where it is all of them. Raises a 416 problem for what begins behind the end.

    Of other units, of several ranges at once, and of a range of another content (``If-Range``) all is sent, as the standard has it.
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", tag).strip() != tag:
        return None
    first, last, tail = (None if word is None else int(word) for word in found.groups())
    if tail is not None:
        wanted = range(max(0, size - tail), size)
    elif last is not None and first is not None and last < first:
        return None
    else:
        wanted = range(first or 0, size if last is None else min(last + 1, size))
    if not wanted:
        rule = f"must begin before {size}, where the content ends"
        raise HttpRefusal(
            416, "RangeNotSatisfiable", "Range", rule, headers={"Content-Range": f"bytes */{size}"}, bytes=size
        )
    return wanted
