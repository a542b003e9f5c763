"""Rows that stayed from round to round are not read again.

A table that is an *edition* (``domain.editions``) says what came and went since the one before; that is read, and nothing else. Any other
table, and one that does not remember the last that was read, is read whole: so nothing depends on what is kept but time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any, Generic

import numpy as np
from numba import njit

from marketplace.domain import editions
from scheduler.engine.arrays import NOWHERE, Ints, equal_runs
from scheduler.engine.tables.table import ColumnTable, Numbering, Row, RowValues

SPARE = 10_000
"""So much more than twice of what there is may be remembered."""


class Kept(Generic[Row]):
    """Rows as they were read, sorted by their first column, which tells them apart or nearly (``key``)."""

    def __init__(
        self, read: Callable[[list[Row]], ColumnTable], key: Callable[[Row], Any], number: Callable[[Any], int]
    ) -> None:
        """``number``: of a key, what the first column says."""
        self._read, self._key, self._number = read, key, number
        self._mark: object = None
        self._forget()

    def _forget(self) -> None:
        self._values: list[Row] = []
        self._rows = self._read([])
        self._rows["place"] = np.empty(0, np.int64)

    def reread(self, values: Sequence[Row]) -> tuple[ColumnTable, RowValues[Row]]:
        """The rows of these values, and the values in that order."""
        change = values.since(self._mark) if isinstance(values, editions.RowSet) else None
        if change is None:
            self._forget()
            change = editions.Change((), values)
        if change.gone or change.come:
            self._merge(self._rows_of(change.gone), list(change.come))
        self._mark = values.mark if isinstance(values, editions.RowSet) else None
        return self._rows, RowValues(self._values, self._rows["place"])

    def _rows_of(self, values: Sequence[Row]) -> list[int]:
        """Where these values stand."""
        near = equal_runs(next(iter(self._rows.values())), map(self._number, map(self._key, values)))
        place = self._rows["place"]
        return [
            row for value, rows in zip(values, near, strict=True) for row in rows if self._values[place[row]] is value
        ]

    def _merge(self, gone: list[int], news: list[Row]) -> None:
        read = self._read(news)
        read["place"] = len(self._values) + np.arange(len(news))
        self._values.extend(news)
        key = next(iter(read))
        kept, order = np.delete(np.arange(self._rows.rows), gone), np.argsort(read[key], kind="stable")
        at = np.searchsorted(self._rows[key][kept], read[key][order])
        # One place between the old rows and the new ones is nobody's, so that no run goes from these to those.
        source = np.insert(kept, at, self._rows.rows + 1 + order)
        runs = np.flatnonzero(np.diff(source, prepend=-2, append=-2) != 1)
        rows = ColumnTable({name: _picked(self._rows[name], read[name], source, runs) for name in read}, len(source))
        keys = rows[key]
        if (keys[1:] == keys[:-1]).any():
            values = list(map(self._key, RowValues(self._values, rows["place"])))
            rows = rows.at(np.array(sorted(range(len(values)), key=values.__getitem__), np.int64))
        self._rows = rows
        if len(self._values) > 2 * len(source) + SPARE:
            self._values = list(RowValues(self._values, rows["place"]))
            rows["place"] = np.arange(len(source))


@njit(cache=True)
def _picked(old: Any, new: Any, source: Ints, runs: Ints) -> Any:
    """Rows of the one column and of the other, which begins one place after it, copied run by run."""
    found = np.empty(len(source), old.dtype)
    for run in range(len(runs) - 1):
        begin, end = runs[run], runs[run + 1]
        at = source[begin]
        if at < len(old):
            for row in range(end - begin):
                found[begin + row] = old[at + row]
        else:
            for row in range(end - begin):
                found[begin + row] = new[at - len(old) - 1 + row]
    return found


class KeptAccounts:
    """Reads what accounts have in a table, by their numbers."""

    def __init__(self) -> None:
        self._mark: object = None
        self._known = 0
        """How many accounts had a number the last time."""

    def news(self, table: Mapping[Any, Any], names: Numbering) -> tuple[bool, Ints, list[Any]]:
        """Whether all was read anew: accounts that are not listed have nothing then; the accounts that were read; and what each has, None for nothing."""
        known, count = self._known, len(names.all)
        touched = table.touched_since(self._mark) if known and isinstance(table, editions.Table) else None
        self._mark, self._known = table.mark if isinstance(table, editions.Table) else None, count
        numbers = np.fromiter(map(names.of.get, table if touched is None else touched, repeat(NOWHERE)), np.int64)
        if touched is None:
            is_known = numbers != NOWHERE
            return True, numbers[is_known], list(compress(table.values(), is_known))
        numbers = np.concatenate((numbers[(numbers != NOWHERE) & (numbers < known)], np.arange(known, count)))
        return False, numbers, list(map(table.get, map(names.all.__getitem__, numbers.tolist())))
