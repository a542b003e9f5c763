"""Records of documents, each as one table of fields: what is written and what is read both come from it.

What is written is canonical JSON (RFC 8785): keys are ASCII and sorted, no integer needs more than 53 bits. Reading is for strangers' input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Bytes32, Sha256, address, bytes32, sha256
from marketplace.domain.json_reader import Reader
from marketplace.domain.wire import camel, integer_from_wire

Read = TypeVar("Read")
Record = TypeVar("Record")


class Row(Reader):
    """An object of a document, read field by field in the forms of the wire."""

    def address(self, name: str) -> Address:
        return address(self.take(name, str), field=self.where(name))

    def word(self, name: str) -> Bytes32:
        return bytes32(self.take(name, str), field=self.where(name))

    def sha256(self, name: str) -> Sha256:
        return sha256(self.take(name, str), field=self.where(name))

    def units(self, name: str, bits: int) -> int:
        """An amount, as a decimal string."""
        found = integer_from_wire(self.take(name, str), self.where(name))
        if found >> bits:
            raise InvalidField(self.where(name), f"must be below 2^{bits}")
        return found

    def one_of(self, name: str, known: Mapping[str, Read]) -> Read:
        word = self.take(name, str)
        if word not in known:
            raise InvalidField(self.where(name), f"{word!r} is not known")
        return known[word]

    def is_null(self, name: str) -> bool:
        """Whether the field is null; then it is taken."""
        found = self._left.get(name, ...) is None
        if found:
            del self._left[name]
        return found

    def inner(self, name: str) -> Row:
        return Row(self.take(name, dict), self.where(name))

    def rows(self, name: str, read: Callable[[Row], Read]) -> tuple[Read, ...]:
        where = self.where(name)
        return tuple(whole(Row(value, f"{where}[{n}]"), read) for n, value in enumerate(self.take(name, list)))

    def table(
        self, name: str, key: Callable[..., Any], read: Callable[[Row, str], Read], default: Any = ...
    ) -> dict[Any, Read]:
        """An object of many rows by their names."""
        where, names = self.where(name), self.take(name, dict, default)
        row = Row(names, where)
        return {key(one, field=where): read(row, one) for one in names}


def whole(row: Row, read: Callable[[Row], Read]) -> Read:
    """One object with nothing left unread."""
    found = read(row)
    row.end()
    return found


@contextmanager
def within(where: str) -> Iterator[None]:
    """Errors of a document inside the document say where it stands."""
    try:
        yield
    except InvalidField as exc:
        raise InvalidField(f"{where}: {exc.field}", exc.rule) from None


# Fields ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """What may stand in a field."""

    read: Callable[[Row, str], Any]
    frame: str = "%s"
    """Around what is written: most values are their own text, and need no escapes."""
    text: Callable[[Any], Any] | None = None

    def written(self, value: Any) -> str:
        return self.frame % (value if self.text is None else self.text(value),)


def number(most: int, least: int = 0) -> Kind:
    return Kind(lambda row, name: row.number(name, least, most))


def units(bits: int = 128) -> Kind:
    """An amount of money or weight: a decimal string."""
    return Kind(lambda row, name: row.units(name, bits), '"%s"')


def choice(known: Mapping[str, Any]) -> Kind:
    words = {value: word for word, value in known.items()}
    return Kind(lambda row, name: row.one_of(name, known), '"%s"', words.__getitem__)


def maybe(kind: Kind) -> Kind:
    """Or null."""
    return Kind(
        lambda row, name: None if row.is_null(name) else kind.read(row, name),
        text=lambda value: "null" if value is None else kind.written(value),
    )


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


ADDRESS, WORD, SHA256 = (Kind(read, '"%s"') for read in (Row.address, Row.word, Row.sha256))
FLAG = Kind(lambda row, name: row.take(name, bool), text={True: "true", False: "false"}.__getitem__)
TEXT = Kind(lambda row, name: row.take(name, str), text=json_text)


class Form(Generic[Record]):
    """A record's fields by their attributes, each with its kind, or with a name on the wire that is not the attribute's and its kind."""

    def __init__(self, build: Callable[..., Record], fields: Mapping[str, Kind | tuple[str, Kind]]) -> None:
        """``build`` takes the attributes; one with dots is a part of a part."""
        named = {
            attribute: field if isinstance(field, tuple) else (camel(attribute.rpartition(".")[2]), field)
            for attribute, field in fields.items()
        }
        self._build = build
        self._fields = sorted((wire, attribute, kind) for attribute, (wire, kind) in named.items())
        self._values = attrgetter(*(attribute for _, attribute, _ in self._fields))
        self._texts = [(n, kind.text) for n, (_, _, kind) in enumerate(self._fields) if kind.text]
        self._frame = "{" + ",".join(f'"{wire}":{kind.frame}' for wire, _, kind in self._fields) + "}"

    def text(self, record: Record) -> str:
        values = self._values(record)
        if self._texts:
            told = [*values]
            for n, text in self._texts:
                told[n] = text(told[n])
            values = tuple(told)
        return self._frame % values

    def read(self, row: Row) -> Record:
        return self._build(**{attribute: kind.read(row, wire) for wire, attribute, kind in self._fields})

    @property
    def kind(self) -> Kind:
        """A field that holds such a record."""
        return Kind(lambda row, name: whole(row.inner(name), self.read), text=self.text)

    @property
    def list_kind(self) -> Kind:
        """A field that holds a list of them."""
        return Kind(lambda row, name: row.rows(name, self.read), text=lambda rows: listed(map(self.text, rows)))


def listed(texts: Iterable[str]) -> str:
    return "[" + ",".join(texts) + "]"


def object_of(texts: Mapping[str, str]) -> str:
    """An object of what is written already."""
    return "{" + ",".join([f'"{name}":{texts[name]}' for name in sorted(texts)]) + "}"


def encoded(pieces: str | Sequence[str], field: str) -> bytes:
    """In UTF-8. Raises InvalidField for what has none."""
    try:
        return "".join(pieces).encode()
    except UnicodeEncodeError:
        raise InvalidField(field, "must not hold lone surrogates") from None
