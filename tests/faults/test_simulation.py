"""Seeds of the simulation (tests/faults/simulation): in each, everything that may go wrong does, and in the end everything is right.

A seed that fails is run again, with its whole history, by ``python -m tests.faults.simulation.run SEED --say``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.simulation.crew import FAILED_ONCE, Crew
from tests.faults.simulation.run import simulate
from tests.faults.simulation.troubles import TROUBLES

SEEDS = (*FAILED_ONCE[::6], 500)
"""A sample: `make deep PART=faults` runs all that ever failed, and hundreds more."""
HISTORY_LINES = 150


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew(SEEDS)
    yield crew
    crew.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_seed_brings_is_survived(crew: Crew, seed: int) -> None:
    """Every wish is done once or refused with a reason, every order has one end, no unit is made or lost, and all views agree."""
    outcome = crew.outcome(seed)

    told = "\n".join(outcome.history[-HISTORY_LINES:])
    assert outcome.is_good, f"{told}\n{outcome.history[0]}\n" + "\n".join(outcome.wrongs)
    assert (outcome.units_lost, outcome.doubled) == (0, 0)


def test_the_seed_decides() -> None:
    """The same seed makes the same choices, in the same order, with the same end."""
    without = tuple(TROUBLES)
    first, second = (simulate(3, without, turns=40) for _ in range(2))

    assert chosen(first.history) == chosen(second.history)
    assert len(chosen(first.history)) > 40


def chosen(history: tuple[str, ...]) -> list[str]:
    """The choices among the lines of a history."""
    words = (" types ", " orders ", " cancels ", " is told", " is to die ")
    return [line for line in history if line[:1].isdigit() or line[:2] == "* " or any(word in line for word in words)]
