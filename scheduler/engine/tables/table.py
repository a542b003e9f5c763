"""Tables of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar, overload

import numpy as np

from scheduler.engine.arrays import Ints

Row = TypeVar("Row")


class ColumnTable(dict[str, Any]):
    """Columns of equal length, by name."""

    def __init__(self, columns: Mapping[str, Any], rows: int) -> None:
        super().__init__(columns)
        self.rows = rows

    def at(self, rows: Any) -> ColumnTable:
        """These rows, in this order."""
        return ColumnTable({name: column[rows] for name, column in self.items()}, len(rows))

    def only(self, *names: str) -> ColumnTable:
        """These columns."""
        return ColumnTable({name: self[name] for name in names}, self.rows)

    def above(self, other: ColumnTable) -> ColumnTable:
        """The rows of this table, then those of the other."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        return ColumnTable(
            {name: np.concatenate((column, other[name])) for name, column in self.items()}, self.rows + other.rows
        )


class Numbering:
    """Numbers for things that are compared for equality only."""

    def __init__(self, *first: object) -> None:
        self.of: dict[Any, int] = {}
        self.all: list[Any] = []
        self.numbers(first)

    def numbers(self, values: Iterable[Any]) -> Ints:
        found, of = [], self.of
        for value in values:
            number = of.get(value)
            if number is None:
                number = of[value] = len(self.all)
                self.all.append(value)
            found.append(number)
        return np.array(found, np.int64)


class RowValues(Sequence[Row]):
    """Values by row. Those of former rounds lie between them, and are never moved: an earlier book stays what it was."""

    def __init__(self, values: list[Row], places: Ints) -> None:
        self._values, self._places = values, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, row: int) -> Row: ...

    @overload
    def __getitem__(self, row: slice) -> list[Row]: ...

    def __getitem__(self, row: int | slice) -> Row | list[Row]:
        return self.at(np.arange(len(self))[row]) if isinstance(row, slice) else self._values[self._places[row]]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.at(np.arange(len(self))))

    def at(self, rows: Ints) -> list[Row]:
        """The values of these rows."""
        places = self._places[rows].tolist()
        return list(itemgetter(*places)(self._values)) if len(places) > 1 else [self._values[place] for place in places]
