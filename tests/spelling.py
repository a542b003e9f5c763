"""How the names of our JSON are spelled: as the ABI and HTTP spell them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

CAMEL = re.compile(r"[a-z][a-zA-Z0-9]*")
NAMED_BY_HASH = frozenset({"machine", "measurement"})
"""Documents whose names were hashed."""
BY_VALUE = frozenset({"outcomes", "reasons", "processes", "accounts", "offers"})
"""Objects whose names are values: an outcome, a process, a role, a reason."""


def misspelled(document: Any) -> list[str]:
    """Every name in a document that is not camelCase, with its way there."""
    return list(_misspelled(document, "", is_by_value=False))


def _misspelled(part: Any, way: str, *, is_by_value: bool) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _misspelled(item, way, is_by_value=False)
    if isinstance(part, dict):
        for name, value in part.items():
            if not is_by_value and not CAMEL.fullmatch(name):
                yield f"{way}/{name}"
            if name not in NAMED_BY_HASH:
                yield from _misspelled(value, f"{way}/{name}", is_by_value=name in BY_VALUE and isinstance(value, dict))
