"""Errors say what happened, with the numbers and names that explain it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from marketplace.domain import errors
from marketplace.domain.images import ImageTrouble
from marketplace.domain.refusals import Refusal

GIVEN: dict[str, Any] = {
    "int": 4_711, "list[str]": ["first", "second"], "Refusal": Refusal.OrderExpired, "ImageTrouble": ImageTrouble.TOO_BIG,
}  # fmt: skip
"""For a parameter of each type; a text is its parameter's name."""

SAID_AS_GIVEN = (errors.Unauthorized, errors.Forbidden)
"""Their text is the rule that was broken, and nothing else."""


def with_words_of_their_own() -> Iterator[type[Exception]]:
    """The errors that are made from what they are about."""
    for found in vars(errors).values():
        if inspect.isclass(found) and issubclass(found, errors.MarketplaceError) and "__init__" in vars(found):
            yield found


@pytest.mark.parametrize("error", with_words_of_their_own(), ids=lambda error: error.__name__)
def test_an_error_is_a_sentence_about_what_it_was_given(error: type[Exception]) -> None:
    """Its text names something of it in words of its own, and whoever catches it finds what it is about."""
    parameters = inspect.signature(error).parameters.values()
    given = {one.name: GIVEN.get(one.annotation, f"the {one.name} given") for one in parameters}
    raised = error(**given)
    shown = [str(part) for value in given.values() for part in (value if isinstance(value, list) else [value])]

    assert any(part in str(raised) for part in shown)
    assert (str(raised) == str(Exception(*given.values()))) is isinstance(raised, SAID_AS_GIVEN)
    assert set(map(str, given.values())) & set(map(str, vars(raised).values()))
