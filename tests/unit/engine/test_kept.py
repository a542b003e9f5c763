"""Rows that are copied instead of written again are the same rows."""

from __future__ import annotations

from operator import attrgetter

from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain.offers import Offer
from scheduler.engine.kept import Form, KeptRows
from tests.unit.engine.markets import PEOPLE, an_offer

OFFERS = tuple(an_offer(number, provider=PEOPLE[number % 4]) for number in range(1, 13))


def _table(written: list[int]) -> KeptRows:
    def write(row: Offer) -> bytes:
        written.append(row.id)
        return b"<%d>" % row.id * row.id

    return KeptRows(Form(attrgetter("id"), "i8", write, {"provider": attrgetter("provider")}))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(OFFERS), unique_by=attrgetter("id")), max_size=6))
def test_a_table_that_saw_other_rows_before_is_the_table_of_the_rows_it_sees_now(rounds: list[list]) -> None:
    """Whatever came, went and came again, in whatever order: text, names and keys are those of the last rows."""
    table = _table([])
    for rows in rounds:
        table = table.of(tuple(rows))

        by_id = sorted(row.id for row in rows)
        assert bytes(table.text) == b",".join(b"<%d>" % number * number for number in by_id)
        assert set(table.names("provider")) == {row.provider for row in rows}
        assert table.known(range(20)) == set(by_id)


def test_a_row_that_stays_is_not_written_again() -> None:
    """That is what the table is for."""
    written: list[int] = []
    _table(written).of(OFFERS[:6]).of(OFFERS[2:8]).of(OFFERS[2:8][::-1])

    assert written == [1, 2, 3, 4, 5, 6, 7, 8]


def test_names_of_rows_that_are_long_gone_are_forgotten() -> None:
    """A scheduler runs for years: what it remembers is bounded by what it sees."""
    table = KeptRows(Form(attrgetter("id"), "i8", lambda row: b"", {"id": attrgetter("id")}))
    for start in range(0, 5_000, 100):
        table = table.of(tuple(an_offer(number) for number in range(start, start + 100)))

    assert len(table.numbers["id"]) < 2_000
