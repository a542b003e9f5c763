"""Canonical JSON and its strict reader."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.errors import InvalidField

plain_text = st.text(st.characters(exclude_categories=["Cs"]))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=20,
)


@given(documents)
def test_canonical_json_is_rfc_8785(document: Any) -> None:
    """For documents without floats our bytes are those of the reference implementation."""
    assert canonical_json(document) == rfc8785.dumps(document)


@pytest.mark.parametrize("value", [1.5, 2**53, {1: 2}, {"a": {"b": float("nan")}}, b"x", "\ud800", object()])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    """Floats, big integers, odd keys, bytes and lone surrogates are errors, never guesses."""
    with pytest.raises(InvalidField):
        canonical_json(value)


def test_a_document_that_is_nested_too_deep_is_refused() -> None:
    """Depth is bounded, so that nobody's parser overflows."""
    value: Any = 0
    for _ in range(20):
        value = [value]

    with pytest.raises(InvalidField, match="nested"):
        canonical_json(value)


def test_a_whole_number_may_be_written_with_a_point_where_that_is_asked_for() -> None:
    """JSON Schema calls 2.0 an integer: a request may have one, and what is read is the integer."""
    assert parse_json('{"a":[2.0,-3.00]}', takes_whole=True) == {"a": [2, -3]}
    for text in ("2.5", "2.0e3", "1e3", "0." + "0" * 400, "1" * 400 + ".0"):
        with pytest.raises(InvalidField):
            parse_json(text, takes_whole=True)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "NaN", "[Infinity]", "1.0", "1e400", "{", "", "[" * 100_000])
def test_ambiguous_json_is_refused(text: str) -> None:
    """Duplicate keys, NaN, floats, broken and bottomless text are errors that name the field."""
    with pytest.raises(InvalidField) as caught:
        parse_json(text, field="order")

    assert caught.value.field == "order"
