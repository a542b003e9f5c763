"""JSON objects read strictly, field by field: documents whose hash matters, inventories, snapshots."""

from __future__ import annotations

from typing import Any

from marketplace.domain.canonical import shown_name
from marketplace.domain.errors import InvalidField

_NOUNS = {int: "an integer", str: "a string", list: "a list", dict: "an object", bool: "true or false"}


class Reader:
    """Takes fields out of a JSON object, checks each, and at the end refuses what nobody took."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise InvalidField(path, "must be an object")
        self._left = dict(value)
        self._path = path

    def where(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def take(self, name: str, kind: type, default: Any = ...) -> Any:
        """The field's value; ``default`` where it is absent, InvalidField where it is missing or of another type."""
        value = self._left.pop(name, default)
        if value is ...:
            raise InvalidField(self.where(name), "is missing")
        if value is not default and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise InvalidField(self.where(name), f"must be {_NOUNS[kind]}")
        return value

    def has(self, name: str) -> bool:
        """Whether there is such a field that nobody took."""
        return name in self._left

    def number(self, name: str, low: int, high: int, default: Any = ...) -> int:
        value: int = self.take(name, int, default)
        if not low <= value <= high:
            raise InvalidField(self.where(name), f"must be from {low} to {high}")
        return value

    def texts(self, name: str, default: Any = ..., *, limit: int = 256) -> tuple[str, ...]:
        values = self.take(name, list, default)
        if len(values) > limit or not all(isinstance(value, str) and "\0" not in value for value in values):
            raise InvalidField(self.where(name), f"must be a list of at most {limit} strings without NUL")
        return tuple(values)

    def end(self) -> None:
        if self._left:
            raise InvalidField(self.where(shown_name(next(iter(self._left)))), "is not a known field")
