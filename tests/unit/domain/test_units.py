"""Money and durations as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.errors import InvalidField
from marketplace.domain.units import seconds_from_text, text_from_seconds, text_from_units, units_from_text


@given(st.integers(0, 2**96), st.integers(0, 18))
def test_money_survives_the_way_to_text_and_back(units: int, decimals: int) -> None:
    """Writing an amount and reading it again gives the same base units (P-02)."""
    assert units_from_text(text_from_units(units, decimals), decimals) == units


@pytest.mark.parametrize(
    ("text", "units"), [("2.50", 2_500_000), ("0.000001", 1), ("3", 3_000_000), ("1e2", 100_000_000)]
)
def test_an_amount_is_read_exactly(text: str, units: int) -> None:
    """Human amounts become base units without rounding."""
    assert units_from_text(text, 6) == units


@pytest.mark.parametrize("text", ["", "abc", "-1", "0.0000001", "NaN", "Infinity", "1,5", "0x10"])
def test_an_amount_that_cannot_be_exact_is_refused(text: str) -> None:
    """What is no amount, or has more decimals than the token, is an error that names the field."""
    with pytest.raises(InvalidField) as caught:
        units_from_text(text, 6, field="maxPrice")

    assert caught.value.field == "maxPrice"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h30m", 9000), ("1d", 86400)])
def test_a_duration_is_read_in_its_usual_forms(text: str, seconds: int) -> None:
    """Plain seconds and d/h/m/s parts are durations."""
    assert seconds_from_text(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "m", "10x", "-5m", "1.5h", "5m2h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Zero, fractions and disorder are errors."""
    with pytest.raises(InvalidField):
        seconds_from_text(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (45, "45s"), (9045, "2h 30m"), (86_401, "1d 1s")])
def test_a_duration_is_written_in_two_parts(seconds: int, text: str) -> None:
    """The two largest parts that are not zero."""
    assert text_from_seconds(seconds) == text
