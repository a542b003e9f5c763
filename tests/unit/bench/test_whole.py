"""Whole rounds: what is made of the seconds and bytes."""

from __future__ import annotations

from scripts.bench import whole_rounds as w
from scripts.bench.whole import Round, figures_of


def test_the_first_round_is_held_against_the_median_of_the_later_ones() -> None:
    """Step by step and all together; every figure has its words."""
    spent = ((10.0, 900), (1.0, 7), (3.0, 8))
    first, quick, slow = (Round(dict.fromkeys(w.STEPS, seconds), stored) for seconds, stored in spent)
    values = figures_of([first, quick, slow, quick])

    assert (values[w.FIRST], values[w.LATER], values[w.SHARE]) == (30.0, 3.0, 0.1)
    assert (values[w.FIRST_STORED], values[w.LATER_STORED]) == (900, 7)
    assert values[w.later_key("view")] == 1.0
    assert values.keys() == w.words().keys()
