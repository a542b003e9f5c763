"""The bench of whole rounds, on a small market."""

from __future__ import annotations

from scripts.bench import whole_rounds as w
from scripts.bench.generators import Uniform
from scripts.bench.whole import LATER_ROUNDS, measured


def test_rounds_run_from_the_board_to_the_documents() -> None:
    """On a Redis and in a folder of their own: one from nothing, then the later ones, each step timed."""
    rounds = measured(Uniform(orders=200, offers=50))

    assert len(rounds) == 1 + LATER_ROUNDS
    assert all(round_.keys() == w.STEPS.keys() and min(round_.values()) > 0 for round_ in rounds)
