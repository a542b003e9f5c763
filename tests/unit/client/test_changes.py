"""Watching jobs: it ends when all is over, or when the steps do."""

from __future__ import annotations

import pytest

from marketplace.client.changes import of_all, until_over
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import DeadlinePassed
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime

STEPS = [BlockRef(number, Bytes32(f"0x{number:064x}"), UnixTime(number)) for number in range(3)]


def test_where_there_is_no_job_the_first_step_is_the_last() -> None:
    """Whoever waits for all of none has waited; whoever only watches goes on until the steps end."""
    for wait in (
        of_all(list, steps := iter(STEPS), None, until_settled=True),
        until_over([], steps, None, settled=True),
    ):
        assert list(wait) == []
    assert list(steps) == STEPS[2:]

    watching = iter(STEPS)
    assert list(of_all(list, watching, None, until_settled=False)) == []
    assert list(watching) == []


def test_steps_that_end_before_the_jobs_are_a_deadline_that_passed() -> None:
    """It says what did not happen, and how long it was waited for; for who only watches it is none."""
    with pytest.raises(DeadlinePassed, match="the end of all jobs did not happen within 7 s"):
        list(of_all(list, [], 7.5, until_settled=True))
    with pytest.raises(DeadlinePassed, match="the end of 0 jobs"):
        list(until_over([], [], None, settled=False))
    assert list(of_all(list, [], 7.5, until_settled=False)) == []
