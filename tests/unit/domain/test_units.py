"""Money and durations as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.errors import InvalidField
from marketplace.domain.units import (
    iso_from_time,
    seconds_from_text,
    text_from_bps,
    text_from_seconds,
    text_from_units,
    units_from_text,
    whole_from_text,
)


@given(st.integers(0, 2**96), st.integers(0, 18))
def test_money_survives_the_way_to_text_and_back(units: int, decimals: int) -> None:
    """Writing an amount and reading it again gives the same base units (P-02)."""
    assert units_from_text(text_from_units(units, decimals), decimals) == units


@pytest.mark.parametrize(
    ("text", "units"),
    [("2.50", 2_500_000), ("0.000001", 1), ("3", 3_000_000), ("007", 7_000_000), ("1.2500000", 1_250_000)],
)
def test_an_amount_is_read_exactly(text: str, units: int) -> None:
    """Human amounts become base units without rounding."""
    assert units_from_text(text, 6) == units


ODD = [
    "", "abc", "-1", "+1", "0.0000001", "NaN", "Infinity", "inf", "1,5", "0x10", "1e3", "1E3", "1_0", "٣", "１", "1٣", " 1", "1 ",
    "1\n", ".5", "1.", ".", "1.2.3", "1.-2", "--1", "1'000", "²", "1" * 101,
]  # fmt: skip
"""Much of it Python's own readers take for a number."""


@pytest.mark.parametrize("text", ODD)
def test_an_amount_in_any_other_form_is_refused(text: str) -> None:
    """What is not digits and one point, or has more decimals than the token, is an error that names the field and the rule."""
    with pytest.raises(InvalidField) as caught:
        units_from_text(text, 6, field="maxPrice")

    assert caught.value.field == "maxPrice"
    assert caught.value.rule


@given(st.text(st.sampled_from("0123456789.+-_eE ٣１²\n\tinfNaxXb,"), max_size=8) | st.text(max_size=8))
def test_only_ascii_digits_and_one_point_are_an_amount(text: str) -> None:
    """Whatever is typed: it is read exactly when it is digits with at most one point between them, and then as its digits say."""
    whole, point, fraction = text.partition(".")
    digits = set("0123456789")
    is_amount = bool(whole) and set(whole + fraction) <= digits and bool(fraction) == bool(point)

    try:
        units = units_from_text(text, 8)
    except InvalidField:
        assert not is_amount
    else:
        assert is_amount
        assert units == int(whole) * 10**8 + int(fraction.ljust(8, "0"))


@given(st.text(st.sampled_from("0123456789+-_e ٣１²\n"), max_size=6) | st.text(max_size=6))
def test_only_ascii_digits_are_a_whole_number(text: str) -> None:
    """No sign, no blank, no underscore, no other script's digits."""
    is_number = bool(text) and set(text) <= set("0123456789")

    try:
        number = whole_from_text(text, field="gpus")
    except InvalidField:
        assert not is_number
    else:
        assert is_number
        assert str(number) == (text.lstrip("0") or "0")


@pytest.mark.parametrize(("text", "is_allowed"), [("1", False), ("2", True), ("5", True), ("6", False)])
def test_a_whole_number_keeps_its_bounds(text: str, is_allowed: bool) -> None:
    """Both ends included."""
    try:
        whole_from_text(text, field="n", least=2, most=5)
    except InvalidField:
        assert not is_allowed
    else:
        assert is_allowed


@given(st.text(st.sampled_from("0123456789dhms٣ _.\n"), max_size=8))
def test_a_duration_is_parts_of_ascii_digits(text: str) -> None:
    """Whatever is typed: what is read says the same when it is written as seconds."""
    try:
        seconds = seconds_from_text(text)
    except InvalidField:
        return

    assert text.isascii()
    assert seconds_from_text(f"{seconds}s") == seconds_from_text(str(seconds)) == seconds > 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("90", 90), ("90s", 90), ("10m", 600), ("2h30m", 9000), ("1d", 86400)]
)
def test_a_duration_is_read_in_its_usual_forms(text: str, seconds: int) -> None:
    """Plain seconds and d/h/m/s parts are durations."""
    assert seconds_from_text(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "m",
        "10x",
        "-5m",
        "1.5h",
        "5m2h",
        "2h30",
        "1_0",
        "٣m",
        "٣",
        "5m\n",
        "5\n",
        " 5",
        "9" * 5_000,
        "9999999999999d",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Zero, fractions and disorder are errors."""
    with pytest.raises(InvalidField):
        seconds_from_text(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (45, "45s"), (9045, "2h 30m"), (86_401, "1d 1s")])
def test_a_duration_is_written_in_two_parts(seconds: int, text: str) -> None:
    """The two largest parts that are not zero."""
    assert text_from_seconds(seconds) == text


def test_shares_and_instants_are_written_whole() -> None:
    """A share of basis points as percent, with both places; an instant in the wire's own form."""
    assert [text_from_bps(share) for share in (0, 5, 9_807, 10_000)] == ["0.00 %", "0.05 %", "98.07 %", "100.00 %"]
    assert iso_from_time(0) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "quoted"), [("x" * 60, "x" * 60), ("x" * 61, "x" * 60 + "..."), ("\x1b[2J", r"\x1b[2J")]
)
def test_what_is_no_number_is_quoted_and_not_all_of_a_novel(text: str, quoted: str) -> None:
    """Nothing in it moves a screen."""
    with pytest.raises(InvalidField) as caught:
        whole_from_text(text, field="gpus")

    assert caught.value.rule.startswith(f"'{quoted}' is not a whole number")
