"""Tables that remember what they were made from: *editions*.

A book of a hundred thousand rows changes by some hundreds a block. An edition is a tuple or a dict like any other. But whoever has taken in
an earlier edition of the same table, and kept its ``mark``, may ask what came and went since, and need not look at the rest. A table that
is no edition, or one that does not remember that mark, is read whole: so nothing depends on what is remembered but time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Self, TypeVar

Name = TypeVar("Name")
Row = TypeVar("Row")

MOST_STEPS = 16
"""So far back an edition remembers. Who looks less often than that reads all of it."""


class Change(NamedTuple, Generic[Row]):
    """What is different."""

    gone: Sequence[Row]
    come: Sequence[Row]


class _Step(NamedTuple):
    """From the edition with the mark ``before`` to the next one."""

    before: object
    gone: Sequence[Any]
    come: Sequence[Any]


class RowSet(tuple[Row, ...]):  # noqa: SLOT001 (a tuple has no room for slots)
    """Rows, told apart by their identities."""

    mark: object
    _steps: tuple[_Step, ...]

    def __new__(cls, rows: Iterable[Row] = ()) -> Self:
        made = super().__new__(cls, rows)
        made.mark, made._steps = object(), ()
        return made

    @classmethod
    def after(cls, former: Sequence[Row], rows: Iterable[Row], gone: Sequence[Row], come: Sequence[Row]) -> Self:
        """These rows, which are the former ones without those that are gone and with those that have come."""
        made = cls(rows)
        if isinstance(former, RowSet) and len(gone) + len(come) <= len(made):
            made._steps = (*former._steps, _Step(former.mark, gone, come))[-MOST_STEPS:]
        return made

    def since(self, mark: object) -> Change[Row] | None:
        """What came and went since the edition with this mark; None where that is not known."""
        steps = _steps_since(self, mark)
        if steps is None:
            return None
        if len(steps) == 1:
            return Change(steps[0].gone, steps[0].come)
        gone, come = dict[int, Row](), dict[int, Row]()
        for step in steps:
            for row in step.gone:
                if come.pop(id(row), None) is None:
                    gone[id(row)] = row
            for row in step.come:
                if gone.pop(id(row), None) is None:
                    come[id(row)] = row
        return Change(list(gone.values()), list(come.values()))


class Table(dict[Name, Row]):
    """Rows by name. Nobody changes them once they are an edition."""

    def __init__(self, rows: Mapping[Name, Row] | Iterable[tuple[Name, Row]] = ()) -> None:
        super().__init__(rows)
        self.mark: object = object()
        self._steps: tuple[_Step, ...] = ()

    @classmethod
    def after(cls, former: Mapping[Name, Row], news: Mapping[Name, Row | None]) -> Self:
        """The former table with these rows, and without those that are None."""
        made = cls(former)
        for name, row in news.items():
            if row is None:
                made.pop(name, None)
            else:
                made[name] = row
        if isinstance(former, Table) and len(news) <= len(made):
            made._steps = (*former._steps, _Step(former.mark, (), tuple(news)))[-MOST_STEPS:]
        return made

    def touched_since(self, mark: object) -> Iterable[Name] | None:
        """The names whose rows came, went or became others since the edition with this mark; None where that is not known."""
        steps = _steps_since(self, mark)
        return None if steps is None else dict.fromkeys(name for step in steps for name in step.come)


def _steps_since(edition: RowSet[Any] | Table[Any, Any], mark: object) -> tuple[_Step, ...] | None:
    if mark is edition.mark:
        return ()
    for at, step in enumerate(edition._steps):
        if step.before is mark:
            return edition._steps[at:]
    return None
