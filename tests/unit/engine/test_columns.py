"""Quick ways of counting, ranking and copying columns give what numpy's slow ones give, at their bounds too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from marketplace.domain import editions
from scheduler.engine import arrays
from scheduler.engine.arrays import Ints, as_met, distinct, numbered, ranked, sizes_of
from scheduler.engine.tables import kept as rereading
from scheduler.engine.tables import ticks as tick
from scheduler.engine.tables.kept import Kept
from scheduler.engine.tables.table import ColumnTable
from scheduler.engine.tables.ticks import tick_bits_of, ticks
from tests.unit.engine.markets import a_snapshot, an_offer

Drawn = Callable[[np.random.Generator, int], Ints]
COUNTS = (0, 1, 2, 3, 50, 1_000)
LIMIT = arrays._TABLE
DRAWN: dict[str, Drawn] = {
    "few": lambda rng, n: rng.integers(0, 4, n),
    "all alike": lambda _, n: np.full(n, 7),
    "negative": lambda rng, n: rng.integers(-30, 3, n),
    "far below": lambda rng, n: rng.integers(-(2**61), -(2**61) + 9, n),
    "to the table's end": lambda rng, n: rng.integers(LIMIT - 40, LIMIT, n),
    "around the table's end": lambda rng, n: rng.integers(LIMIT - 40, LIMIT + 40, n),
    "far apart": lambda rng, n: rng.integers(-(2**61), 2**61, n),
    "evenly far apart": lambda rng, n: rng.integers(0, 50, n) << 40,
    "as ids": lambda rng, n: 2**40 - 1 - rng.integers(0, 2 * n + 1, n),
}
drawn = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
counted = pytest.mark.parametrize("count", COUNTS)


def _values(draw: Drawn, count: int) -> Ints:
    return np.asarray(draw(np.random.default_rng(count), count).astype(np.int64))


@drawn
@counted
def test_ranks_are_those_of_numpy(draw: Drawn, count: int) -> None:
    """The different values, ascending, and the rank of each."""
    values = _values(draw, count)
    expected, ranks = np.unique(values, return_inverse=True)
    different, at = ranked(values)

    assert (different.tolist(), at.tolist()) == (expected.tolist(), ranks.tolist())


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("low", [-5, 0, 9, -(2**61)])
@counted
def test_ranks_are_right_where_counting_gives_way_to_sorting(count: int, low: int, beyond: int) -> None:
    """At the width from which values are too sparse to count."""
    values = low + np.arange(count, dtype=np.int64)
    values[-1:] += arrays._SPARSE * count + arrays._SMALL_TABLE - max(0, count - 1) + beyond
    values = np.random.default_rng(1).permutation(values)
    expected, ranks = np.unique(values, return_inverse=True)
    different, at = ranked(values)

    assert (different.tolist(), at.tolist()) == (expected.tolist(), ranks.tolist())


@drawn
@counted
def test_alike_rows_have_the_number_in_which_they_were_met(draw: Drawn, count: int) -> None:
    """And the first row of each is told. Codes that differ in high bits only do not run into each other."""
    codes = _values(draw, count)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    turn = np.empty(len(first), np.int64)
    turn[np.argsort(first)] = np.arange(len(first))
    rows, number = as_met(codes)

    assert (rows.tolist(), number.tolist()) == (sorted(first.tolist()), turn[inverse].tolist())


@drawn
@counted
def test_alike_rows_are_numbered_in_their_order(draw: Drawn, count: int) -> None:
    """``numbered`` for codes from 0 on; ``distinct`` of several columns with what contracts know, up to 2^40."""
    codes = _values(draw, count)
    whole = np.maximum(codes, 0)
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    other = np.random.default_rng(count + 1).integers(0, 3, count)
    small = codes & (2**40 - 1)
    pairs = list(zip(small.tolist(), other.tolist(), strict=True))
    rows, number = distinct([small, other, small + 5])

    assert [column.tolist() for column in numbered(whole)] == [first.tolist(), inverse.tolist()]
    assert [pairs[row] for row in rows.tolist()] == sorted(set(pairs))
    assert [pairs[rows[n]] for n in number.tolist()] == pairs
    assert rows.tolist() == [pairs.index(pair) for pair in sorted(set(pairs))]


@pytest.mark.parametrize("most", [0, 1, 8, 65_535])
@counted
def test_sizes_are_the_different_numbers_of_gpus_and_each_has_its_place(count: int, most: int) -> None:
    """Up to all that a contract knows; and all above the largest that there is room for are one."""
    gpus = np.random.default_rng(count).integers(0, most + 1, count)
    for largest in (0, 1, most // 2, most, most + 1):
        sizes, place = sizes_of(gpus, largest)
        told = np.minimum(gpus, largest + 1)

        assert sizes.tolist() == sorted(set(told.tolist()))
        assert sizes[place[gpus]].tolist() == told.tolist()


def test_sizes_may_be_all_there_are() -> None:
    """65,536 of them."""
    sizes, place = sizes_of(np.arange(65_536)[::-1], 65_535)

    assert np.array_equal(sizes, np.arange(65_536))
    assert np.array_equal(place, sizes)


@counted
def test_the_tick_is_chosen_by_the_median_ask(count: int) -> None:
    """Also where one of the asks is larger than a column holds; without orders all asks weigh the same."""
    prices = np.random.default_rng(count).integers(2**24, 2**28, count).tolist()
    for more in ([], [2**80 - 1], [2**80 - 1] * (count + 1)):
        offers = [an_offer(price=price) for price in (*prices, *more)]
        middle = sorted(offer.price for offer in offers)[(len(offers) - 1) // 2] if offers else 0
        bits = middle.bit_length()

        found = tick_bits_of(a_snapshot([], offers).view)
        assert found == (0 if bits <= tick.FINEST else bits - tick.TICKS_OF_MEDIAN)


@pytest.mark.parametrize("bits", [0, 1, 40])
@pytest.mark.parametrize("most", [tick.CAP, tick.MOST_MONEY])
def test_ticks_are_rounded_down_and_bounded(bits: int, most: int) -> None:
    """The same whether the amounts fit a column or not."""
    amounts = [0, 1, 2, 2**30 - 1, 2**30, 2**40, 2**41 - 1, 2**61, 2**63 - 1, -1, -(2**40)]
    for units in (amounts, [*amounts, 2**63], [*amounts, 2**200]):
        expected = [max(0, min(amount // 2**bits, most)) for amount in units]

        assert ticks(lambda units=units: units, bits, most).tolist() == expected  # type: ignore[misc]


# Rows that are kept ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_kept_rows_are_what_sorting_all_of_them_gives(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From none to many and back: old and new ones in runs, one by one, all old, all new, at either end; of every type a column has."""
    monkeypatch.setattr(rereading, "SPARE", 30)
    rng = np.random.default_rng(seed)
    kept = Kept(_read, lambda row: row.name, int)
    rows: Sequence[_Named] = editions.RowSet()
    for _ in range(30):
        stay, low, high = rng.choice([0.0, 0.5, 0.9, 1.0]), *sorted(rng.integers(0, 1_000, 2).tolist())
        goes = rng.random(len(rows)) >= stay
        gone = [row for row, is_gone in zip(rows, goes, strict=True) if is_gone]
        come = [_Named(int(rng.integers(low, high + 1))) for _ in range(rng.choice([0, 1, 2, 40]))]
        after = [*(row for row, is_gone in zip(rows, goes, strict=True) if not is_gone), *come]
        after = [after[at] for at in rng.permutation(len(after)).tolist()]
        rows = tuple(after) if rng.random() < 0.1 else editions.RowSet.after(rows, after, gone, come)
        read, book = kept.reread(rows)

        assert len(book) == read.rows == len(rows)
        assert read["name"].tolist() == sorted(row.name for row in rows)
        assert read["is_even"].dtype == np.bool_
        assert read["id_prefix"].dtype == np.uint64
        assert list(zip(read["name"].tolist(), read["id_prefix"].tolist(), read["is_even"].tolist(), strict=True)) == [
            (row.name, row.name + 2**63, row.name % 2 == 0) for row in book
        ]
        assert sorted(map(id, book)) == sorted(map(id, rows))


class _Named:
    """Compared by identity."""

    def __init__(self, name: int) -> None:
        self.name = name


def _read(rows: list[_Named]) -> ColumnTable:
    names = np.array([row.name for row in rows], np.int64)
    return ColumnTable(
        {"name": names, "id_prefix": names.astype(np.uint64) + np.uint64(2**63), "is_even": names % 2 == 0}, len(rows)
    )
