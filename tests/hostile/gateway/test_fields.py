"""Every lie about every field that SDK and agent read: refused with one typed error, or a hint within every bound."""

from __future__ import annotations

import msgspec
import pytest

from marketplace.api.client import calls, gateway, lease_calls
from marketplace.api.record import Record
from tests.hostile.gateway.telling import questions, tell

QUESTIONS = questions()
ONE_IN = 5
"""A sample, of each field and of each kind of lie; `make deep PART=hostile` tells them all."""


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_lie_is_refused_or_harmless(name: str) -> None:
    """Missing, null, negative, huge, of a wrong type, another's, of another time: nothing gets past the typed error."""
    verdicts = tell(QUESTIONS[name], one_in=ONE_IN)

    assert verdicts.wrongs == []
    assert verdicts.told >= 5


def test_every_answer_is_lied_about() -> None:
    """A record that the client reads is in one of the questions, or part of one that is."""
    asked = {question.kind for question in QUESTIONS.values()}
    told = {
        kind
        for module in (calls, gateway, lease_calls)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Record) and kind is not Record
    }
    parts = {inner for kind in asked for inner in records_below(msgspec.inspect.type_info(kind))}

    assert asked >= {kind for kind in told if kind.__name__.endswith(("Answer", "Page"))}
    assert told - parts <= asked


def records_below(told: msgspec.inspect.Type, depth: int = 0) -> list[type]:
    """All record types below one, itself left out."""
    inner = list[type]()
    if isinstance(told, msgspec.inspect.StructType):
        if depth:
            inner.append(told.cls)
        for field in told.fields:
            inner += records_below(field.type, depth + 1)
    for name in ("item_type", "value_type"):
        if hasattr(told, name):
            inner += records_below(getattr(told, name), depth + 1)
    for one in getattr(told, "types", ()):
        inner += records_below(one, depth + 1)
    return inner
