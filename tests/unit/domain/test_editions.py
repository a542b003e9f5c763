"""Editions: what came and went since an earlier one, whatever happened in between."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from marketplace.domain.editions import MOST_STEPS, RowSet, Table

SEEDS = range(40)


class Thing:
    """Equal to every other: only its identity tells it apart."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    __hash__ = object.__hash__


# Rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_an_edition_tells_what_came_and_went_since_any_that_it_remembers(seed: int) -> None:
    """Also where rows went and returned as the same objects, or came and went in between: those are told as if nothing had happened."""
    editions = _history(random.Random(seed), MOST_STEPS + 4)
    for at, edition in enumerate(editions):
        for before in editions[max(0, at - MOST_STEPS) : at + 1]:
            change = edition.since(before.mark)

            assert change is not None
            assert _identities(change.come) == sorted(_set(edition) - _set(before))
            assert _identities(change.gone) == sorted(_set(before) - _set(edition))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_edition_remembers_so_many_steps_and_no_more(seed: int) -> None:
    """The one before the first step that it remembers is unknown to it, and so are later ones than itself."""
    editions = _history(random.Random(seed), MOST_STEPS + 4)
    for at, edition in enumerate(editions):
        known = [edition.since(other.mark) is not None for other in editions]

        assert known == [at - MOST_STEPS <= other <= at for other in range(len(editions))]


def test_a_row_that_returns_is_no_change_and_one_that_stays_but_is_made_anew_is_two() -> None:
    """Rows are told apart by what they are, not by what they equal."""
    one, twin, third = Thing(), Thing(), Thing()
    first = RowSet([one, third])
    second = RowSet.after(first, [twin, third], [one], [twin])
    again = RowSet.after(second, [third, one], [twin], [one])
    change = second.since(first.mark)

    assert again.since(first.mark) == ([], [])
    assert change is not None
    assert (change.gone[0] is one, change.come[0] is twin) == (True, True)


def test_another_table_s_mark_says_nothing() -> None:
    """Neither that of a table with the same rows, nor None, nor one of a branch that was left."""
    rows = [Thing(), Thing(), Thing()]
    first, other = RowSet(rows), RowSet(rows)
    left, taken = (RowSet.after(first, rows[:2], rows[2:], []) for _ in range(2))

    assert [taken.since(mark) for mark in (other.mark, left.mark, None, object())] == [None] * 4
    assert taken.since(first.mark) is not None


def test_what_is_made_from_a_plain_tuple_begins_anew() -> None:
    """And so does one of which most is different: to read it whole is no slower."""
    rows = tuple(Thing() for _ in range(4))
    plain = RowSet.after(rows, rows[:3], rows[3:], ())
    others = tuple(Thing() for _ in range(3))
    replaced = RowSet.after(plain, others, plain, others)

    assert plain.since(None) is None
    assert plain.since(plain.mark) == ([], [])
    assert replaced.since(plain.mark) is None


def _history(draw: random.Random, steps: int) -> list[RowSet[Thing]]:
    """Editions of one table. Rows come, go, and return as the objects that they were; some steps change nothing, and rows lie in any order."""
    rows, away = [Thing() for _ in range(30)], list[Thing]()
    editions = [RowSet(rows)]
    for _ in range(steps):
        gone = draw.sample(rows, draw.choice([0, 1, 1, 3, 6]))
        back = draw.sample(away, min(len(away), draw.choice([0, 1, 3])))
        come = [*back, *(Thing() for _ in range(draw.choice([0, 1, 4])))]
        rows = [row for row in rows if not _is_in(row, gone)] + come
        away = [row for row in away if not _is_in(row, back)] + gone
        while len(rows) < 16:
            come.append(Thing())
            rows.append(come[-1])
        draw.shuffle(rows)
        editions.append(RowSet.after(editions[-1], rows, gone, come))
    return editions


def _is_in(row: Thing, rows: Iterable[Thing]) -> bool:
    return any(row is other for other in rows)


def _set(rows: Iterable[object]) -> set[int]:
    return {id(row) for row in rows}


def _identities(rows: Iterable[object]) -> list[int]:
    return sorted(map(id, rows))


# Tables ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_tells_all_names_that_may_be_different(seed: int) -> None:
    """Those named in a step since: among them every name whose row came, went, or became another."""
    draw, names = random.Random(seed), [f"name {n}" for n in range(40)]
    tables, told = [Table({name: Thing() for name in names[:30]})], list[set[str]]()
    for _ in range(MOST_STEPS + 4):
        news = {name: draw.choice([None, Thing(), Thing()]) for name in draw.sample(names, draw.choice([0, 1, 2, 5]))}
        tables.append(Table.after(tables[-1], news))
        told.append(set(news))
    for at, table in enumerate(tables):
        for before, former in enumerate(tables):
            touched = table.touched_since(former.mark)
            if not at - MOST_STEPS <= before <= at:
                assert touched is None
                continue

            assert touched is not None
            assert set(touched) == set().union(*told[before:at])
            assert {name for name in names if table.get(name) is not former.get(name)} <= set(touched)


@pytest.mark.parametrize("seed", range(5))
def test_a_table_is_the_former_one_with_what_is_new(seed: int) -> None:
    """Without the rows that are None, and the former one stays as it was."""
    draw, names = random.Random(seed), [f"name {n}" for n in range(20)]
    former = Table({name: draw.random() for name in names[:15]})
    before = dict(former)
    news = {name: draw.choice([None, draw.random()]) for name in draw.sample(names, 8)}
    table = Table.after(former, news)

    assert table == {name: row for name, row in {**before, **news}.items() if row is not None}
    assert former == before


def test_tables_without_a_past_say_nothing() -> None:
    """Made from a plain dict, or mostly new, or asked for another's mark."""
    plain = Table.after({"one": 1, "two": 2}, {"one": 3})
    small = Table.after(plain, {"one": None, "two": None})

    assert [plain.touched_since(mark) for mark in (None, Table({"one": 3, "two": 2}).mark)] == [None, None]
    assert list(plain.touched_since(plain.mark) or ()) == []
    assert small.touched_since(plain.mark) is None
