"""A round's fills are a sequence like the tuple of them, though each is made when somebody asks for it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from marketplace.domain.fills import Fill
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.clear import clear
from scheduler.engine.tables.fills import Fills
from scheduler.engine.tables.table import RowValues
from scripts.bench.generators import Uniform
from tests.unit.engine.markets import an_order

COUNTS = (0, 1, 2, 7)


def both(count: int) -> tuple[Fills, tuple[Fill, ...]]:
    """So many fills of a book of twenty orders, and the tuple of them."""
    draw = random.Random(count)
    orders = [an_order(str(n)) for n in range(20)]
    places, rows = draw.sample(range(20), 20), draw.sample(range(20), count)
    offers, prices = [draw.randrange(1, 2**40) for _ in rows], [PricePerGpuHour(draw.randrange(2**80)) for _ in rows]
    fills = Fills(RowValues(orders, np.array(places)), np.array(rows, np.int64), np.array(offers, np.int64), prices)
    made = zip(rows, offers, prices, strict=True)
    return fills, tuple(Fill(orders[places[row]].signed, offer, price) for row, offer, price in made)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", COUNTS)
def test_fills_have_the_length_the_order_and_the_truth_of_their_tuple(count: int) -> None:
    """Forwards, backwards, and as often as somebody asks."""
    fills, expected = both(count)

    assert (len(fills), bool(fills)) == (len(expected), bool(expected))
    assert (tuple(fills), tuple(fills), tuple(reversed(fills))) == (expected, expected, expected[::-1])
    assert all(fill in fills and fills.index(fill) == at and fills.count(fill) == 1 for at, fill in enumerate(expected))


@pytest.mark.parametrize("count", COUNTS)
def test_each_place_holds_the_fill_that_the_tuple_holds(count: int) -> None:
    """Counted from either end, and nothing beyond; in integers that are Python's own, so that documents take them."""
    fills, expected = both(count)
    for place in range(-count, count):
        assert fills[place] == expected[place]
        assert (type(fills[place]), type(fills[place].offer), type(fills[place].price)) == (Fill, int, int)
    for place in (count, -count - 1):
        with pytest.raises(IndexError):
            fills[place]


@pytest.mark.parametrize("count", COUNTS)
def test_slices_are_the_tuple_s(count: int) -> None:
    """With any bounds and steps, negative ones too."""
    fills, expected = both(count)
    bounds = (None, -9, -3, -1, 0, 1, 3, 9)
    slices = [slice(begin, end, step) for begin in bounds for end in bounds for step in (None, -2, -1, 1, 3)]

    assert [fills[one] for one in slices] == [expected[one] for one in slices]


@pytest.mark.parametrize("count", COUNTS)
def test_fills_equal_what_has_the_same_fills(count: int) -> None:
    """From either side; not a longer one, not one in another order, and nothing that is no sequence."""
    fills, expected = both(count)

    assert fills == expected
    assert expected == fills
    assert fills == both(count)[0] == list(expected)
    assert fills != (*expected, both(7)[1][0])
    assert (fills == expected[::-1]) is (count < 2)
    assert fills != set(expected)
    assert fills != None  # noqa: E711 (the operator is what is tested)


def test_a_plan_s_fills_can_be_asked_one_by_one_or_all_at_once() -> None:
    """And again when the next round has been read."""
    plan = clear(Uniform(orders=60, offers=30).snapshot(1))

    assert len(plan.fills) > 10
    assert [plan.fills[n] for n in range(len(plan.fills))] == list(plan.fills) == list(plan.fills[:])
