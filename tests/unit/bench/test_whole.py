"""Whole rounds: what is made of the seconds."""

from __future__ import annotations

from scripts.bench import whole_rounds as w
from scripts.bench.whole import figures_of


def test_the_first_round_is_held_against_the_median_of_the_later_ones() -> None:
    """Step by step and all together; every figure has its words."""
    first, quick, slow = (dict.fromkeys(w.STEPS, seconds) for seconds in (10.0, 1.0, 3.0))
    values = figures_of([first, quick, slow, quick])

    assert (values[w.FIRST], values[w.LATER], values[w.SHARE]) == (30.0, 3.0, 0.1)
    assert values[w.later_key("view")] == 1.0
    assert values.keys() == w.words().keys()
