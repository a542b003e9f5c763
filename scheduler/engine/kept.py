"""Long tables of a document that are hardly ever all new: rows that were written once are copied, not written again.

A hundred thousand rows are seventy megabytes. To look at each of them takes longer than to copy all: so what stayed is found by the
identities of the values, and copied in long runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Row = TypeVar("Row")
Ints = NDArray[np.int64]
_SPARE_NAMES = 1_000
"""Names of rows that are gone are forgotten when there are so many more of them than of rows."""


@dataclass(frozen=True)
class Form(Generic[Row]):
    """How rows of a table are written."""

    key: Callable[[Row], Any]
    kind: str
    """Of the keys, for numpy."""
    write: Callable[[Row], bytes]
    named: Mapping[str, Callable[[Row], Any]]
    """Names in a row that are asked for later (``KeptRows.names``)."""


def _no_ints() -> Ints:
    return np.empty(0, np.int64)


def _from_zero() -> Ints:
    return np.zeros(1, np.int64)


@dataclass(frozen=True, eq=False)
class KeptRows(Generic[Row]):
    """A table, sorted by its keys, in its written form: each row followed by a comma. It never changes: ``of`` makes another.

    Its values are kept alive, so that an identity means the same the next time.
    """

    form: Form[Row]
    values: Sequence[Row] = ()
    seen: Ints = field(default_factory=_no_ints)
    """The identities of the values."""
    identities: Ints = field(default_factory=_no_ints)
    """The same by their keys; so the following."""
    keys: NDArray[Any] | None = None
    starts: Ints = field(default_factory=_from_zero)
    written: bytes = b""
    numbers: Mapping[str, Mapping[Any, int]] = field(default_factory=dict)
    """Of each name in a column: those that were ever seen."""
    columns: Mapping[str, Ints] = field(default_factory=dict)

    def of(self, values: Sequence[Row]) -> KeptRows[Row]:
        """The table of these values; only those are written that are not in this one."""
        seen = np.fromiter(map(id, values), np.int64, len(values))
        if np.array_equal(seen, self.seen):
            return self
        spare = len(values) + len(self.values) + _SPARE_NAMES
        if any(len(known) > spare for known in self.numbers.values()):
            return KeptRows(self.form).of(values)
        fresh = [values[n] for n in np.nonzero(~np.isin(seen, self.identities))[0].tolist()]
        fresh.sort(key=self.form.key)
        stayed = np.nonzero(np.isin(self.identities, seen))[0]
        return self._merged(values, seen, stayed, fresh)

    def _merged(self, values: Sequence[Row], seen: Ints, stayed: Ints, fresh: Sequence[Row]) -> KeptRows[Row]:
        form, known = self.form, self.keys[stayed] if self.keys is not None else np.empty(0, self.form.kind)
        keys = np.array([form.key(row) for row in fresh], form.kind)
        at = np.searchsorted(known, keys)
        written, starts = self._merged_text(stayed, at, [form.write(row) + b"," for row in fresh])
        numbers, columns = dict[str, Mapping[Any, int]](), dict[str, Ints]()
        for name, told in form.named.items():
            numbers[name], news = _numbered(self.numbers.get(name, {}), [told(row) for row in fresh])
            columns[name] = np.insert(self.columns.get(name, _no_ints())[stayed], at, news)
        identities = np.insert(self.identities[stayed], at, np.fromiter(map(id, fresh), np.int64, len(fresh)))
        return KeptRows(form, values, seen, identities, np.insert(known, at, keys), starts, written, numbers, columns)

    def _merged_text(self, stayed: Ints, at: Ints, texts: Sequence[bytes]) -> tuple[bytes, Ints]:
        """The rows that stayed, copied run by run, with the fresh ones in their places; and where each row starts."""
        source = np.insert(stayed, at, -1 - np.arange(len(texts)))
        begins_run = (np.diff(source, prepend=-2) != 1) | (source < 0)
        begins_run[1:] |= source[:-1] < 0
        begins = np.nonzero(begins_run)[0]
        ends = np.append(begins[1:], len(source))[: len(begins)]
        old, starts = memoryview(self.written), self.starts
        pieces = [
            old[starts[source[a]] : starts[source[b - 1] + 1]] if source[a] >= 0 else texts[-1 - source[a]]
            for a, b in zip(begins.tolist(), ends.tolist(), strict=True)
        ]
        lengths = np.insert(np.diff(starts)[stayed], at, np.fromiter(map(len, texts), np.int64, len(texts)))
        return b"".join(pieces), np.concatenate((_from_zero(), np.cumsum(lengths)))

    @property
    def text(self) -> memoryview:
        """All rows, with commas between them."""
        return memoryview(self.written)[:-1]

    def names(self, column: str) -> list[Any]:
        """The different names in this column, in no order."""
        known, column_of = list(self.numbers.get(column, ())), self.columns.get(column, _no_ints())
        return [known[number] for number in np.nonzero(np.bincount(column_of))[0].tolist()]

    def known(self, keys: Iterable[Any]) -> set[Any]:
        """Those of these keys that the table has."""
        asked = list(keys)
        if not asked or self.keys is None or not len(self.keys):
            return set()
        wanted = np.array(asked, self.form.kind)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return {key for key, is_there in zip(asked, (self.keys[at] == wanted).tolist(), strict=True) if is_there}


def _numbered(known: Mapping[Any, int], names: Sequence[Any]) -> tuple[Mapping[Any, int], Ints]:
    """The numbers of these names, and all that are known then."""
    fresh = [name for name in dict.fromkeys(names) if name not in known]
    numbers = {**known, **dict(zip(fresh, range(len(known), len(known) + len(fresh)), strict=True))} if fresh else known
    return numbers, np.fromiter((numbers[name] for name in names), np.int64, len(names))
