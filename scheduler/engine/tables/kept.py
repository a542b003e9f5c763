"""Rows that stayed from round to round are not read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any, Generic

import numpy as np
from numba import njit

from marketplace.domain import editions
from scheduler.engine.arrays import NOWHERE, Bools, Ints
from scheduler.engine.tables.table import ColumnTable, Numbering, Row, RowValues

SPARE = 10_000
"""So much more than twice of what there is may be remembered."""


class Kept(Generic[Row]):
    """Rows as they were read, sorted by their first column, which tells them apart or nearly (``finely``).

    Values are known again by their identities, and kept alive, so that an identity means the same the next time. An edition says by itself
    which of them are new.
    """

    def __init__(self, read: Callable[[list[Row]], ColumnTable], finely: Callable[[Row], Any]) -> None:
        self._read, self._finely = read, finely
        self._values: list[Row] = []
        self._rows = read([])
        self._rows["identity"], self._rows["place"] = np.empty(0, np.int64), np.empty(0, np.int64)
        self._mark: object = None

    def reread(self, values: Sequence[Row]) -> tuple[ColumnTable, RowValues[Row]]:
        """The rows of these values, and the values in that order; only those are read that were not there the last time."""
        stays, fresh = self._told(values) or self._compared(values)
        self._mark = values.mark if isinstance(values, editions.RowSet) else None
        if fresh or not stays.all():
            self._merge(stays, fresh)
        return self._rows, RowValues(self._values, self._rows["place"])

    def _told(self, values: Sequence[Row]) -> tuple[Bools, list[Row]] | None:
        """Which rows stay, and the values that are new, as an edition says that has changed since the last one."""
        change = values.since(self._mark) if isinstance(values, editions.RowSet) else None
        if change is None:
            return None
        _, stays = _matched(_identities(change.gone), self._rows["identity"])
        return stays, list(change.come)

    def _compared(self, values: Sequence[Row]) -> tuple[Bools, list[Row]]:
        """The same, by a look at each."""
        stays, is_fresh = _matched(self._rows["identity"], _identities(values))
        return stays, [values[at] for at in np.nonzero(is_fresh)[0].tolist()]

    def _merge(self, stays: Bools, news: list[Row]) -> None:
        read = self._read(news)
        read["identity"], read["place"] = _identities(news), len(self._values) + np.arange(len(news))
        self._values.extend(news)
        key = next(iter(read))
        kept, order = np.nonzero(stays)[0], np.argsort(read[key], kind="stable")
        at = np.searchsorted(self._rows[key][kept], read[key][order])
        # One place between the old rows and the new ones is nobody's, so that no run goes from these to those.
        source = np.insert(kept, at, len(stays) + 1 + order)
        runs = np.flatnonzero(np.diff(source, prepend=-2, append=-2) != 1)
        rows = ColumnTable({name: _picked(self._rows[name], read[name], source, runs) for name in read}, len(source))
        keys = rows[key]
        if (keys[1:] == keys[:-1]).any():
            values = list(map(self._finely, RowValues(self._values, rows["place"])))
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


def _identities(values: Sequence[object]) -> Ints:
    return np.fromiter(map(id, values), np.int64, len(values))


@njit(cache=True)
def _matched(known: Ints, seen: Ints) -> tuple[Bools, Bools]:
    """Which of the known identities were seen, and which of the seen are not known: by a hash table, at most half full and often nearly empty."""
    size = 1 << 14
    while size < 2 * len(known):
        size *= 2
    places = np.full(size, NOWHERE, np.int64)
    for row in range(len(known)):
        at = _hash(known[row]) & (size - 1)
        while places[at] != NOWHERE:
            at = (at + 1) & (size - 1)
        places[at] = row
    was_seen, is_fresh = np.zeros(len(known), np.bool_), np.ones(len(seen), np.bool_)
    for row in range(len(seen)):
        at = _hash(seen[row]) & (size - 1)
        while places[at] != NOWHERE and known[places[at]] != seen[row]:
            at = (at + 1) & (size - 1)
        if places[at] != NOWHERE:
            was_seen[places[at]], is_fresh[row] = True, False
    return was_seen, is_fresh


@njit(cache=True)
def _hash(identity: int) -> int:
    """Identities are addresses: even, below 2^48, and often evenly spaced."""
    return (identity >> 4) * 40_503 >> 8


class OfAccounts:
    """Reads what accounts have in a table, by their numbers: as far as it can have changed, if the table is an edition."""

    def __init__(self) -> None:
        self._mark: object = None
        self._known = 0
        """How many accounts had a number the last time."""

    def news(self, table: Mapping[Any, Any], names: Numbering) -> tuple[bool, Ints, list[Any]]:
        """Whether all is read anew, and who is not told then has nothing; the accounts that are read; and what each has, None for nothing."""
        known, count = self._known, len(names.all)
        touched = table.touched_since(self._mark) if known and isinstance(table, editions.Table) else None
        self._mark, self._known = table.mark if isinstance(table, editions.Table) else None, count
        numbers = np.fromiter(map(names.of.get, table if touched is None else touched, repeat(NOWHERE)), np.int64)
        if touched is None:
            is_told = numbers != NOWHERE
            return True, numbers[is_told], list(compress(table.values(), is_told))
        numbers = np.concatenate((numbers[(numbers != NOWHERE) & (numbers < known)], np.arange(known, count)))
        return False, numbers, list(map(table.get, map(names.all.__getitem__, numbers.tolist())))
