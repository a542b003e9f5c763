"""JSON objects are read field by field, and what is not as it must be is named."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.domain.json_reader import Reader


def refused(take: Any) -> str:
    """The field that is named."""
    with pytest.raises(InvalidField) as caught:
        take()
    return caught.value.field


def test_what_is_there_is_taken_once() -> None:
    """A field that nobody took is named at the end; one that may be absent has its default."""
    reader = Reader({"a": 1, "b": True, "c": ["x", "y"]}, "it")

    assert (reader.has("a"), reader.take("a", int), reader.has("a"), reader.take("z", str, "none")) == (
        True,
        1,
        False,
        "none",
    )
    assert refused(reader.end) == "it.b"
    assert (reader.take("b", bool), reader.texts("c")) == (True, ("x", "y"))
    reader.end()
    assert Reader({}, "").where("a") == "a"


@pytest.mark.parametrize(
    ("value", "kind"), [("1", int), (True, int), (1, bool), (1.0, int), (None, str), ({}, list), ([], dict)]
)
def test_another_type_is_refused(value: object, kind: type) -> None:
    """Truth is no number, and a number is no truth."""
    assert refused(lambda: Reader({"a": value}, "it").take("a", kind)) == "it.a"
    assert refused(lambda: Reader({}, "it").take("a", kind)) == "it.a"
    assert refused(lambda: Reader([value], "it")) == "it"


@pytest.mark.parametrize(("value", "is_allowed"), [(1, False), (2, True), (5, True), (6, False)])
def test_a_number_keeps_its_bounds(value: int, is_allowed: bool) -> None:
    """Both ends included; also where it is the default."""
    if is_allowed:
        assert Reader({"a": value}, "it").number("a", 2, 5) == Reader({}, "it").number("a", 2, 5, value) == value
    else:
        assert refused(lambda: Reader({"a": value}, "it").number("a", 2, 5)) == "it.a"


@pytest.mark.parametrize("value", [["a", "b", "c"], ["a", 1], ["\0"], "ab"])
def test_a_list_of_texts_is_short_and_has_no_nul(value: object) -> None:
    """Three where two are allowed, a number among them, a letter that ends texts elsewhere, and a text instead of a list."""
    assert refused(lambda: Reader({"a": value}, "it").texts("a", limit=2)) == "it.a"
