"""The life of jobs and servings, and its drawing in the docs."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from marketplace.domain.errors import InvalidTransition
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.states import (
    JOB_TRANSITIONS,
    SERVING_TRANSITIONS,
    Job,
    JobReason,
    JobState,
    ServingState,
    advance,
)
from marketplace.domain.units import UnixTime

DRAWN = (Path(__file__).parents[3] / "docs" / "states.md").read_text()
JOB = Job(Bytes32("0x" + "1" * 64), "job", JobState.SUBMITTED, (Bytes32("0x" + "1" * 64),), Sha256("2" * 64), ())


@pytest.mark.parametrize("start", JobState)
@pytest.mark.parametrize("end", JobState)
def test_a_job_goes_where_the_table_says_and_nowhere_else(start: JobState, end: JobState) -> None:
    """Every legal pair advances and leaves a record; every other pair is an InvalidTransition."""
    job = Job(JOB.id, JOB.name, start, JOB.orders, JOB.spec, ())
    if end in JOB_TRANSITIONS[start]:
        assert advance(job, end, at=UnixTime(5), reason=JobReason.LEASE_OPENED).history[-1].state is end
    else:
        with pytest.raises(InvalidTransition):
            advance(job, end, at=UnixTime(5), reason=JobReason.LEASE_OPENED)


@pytest.mark.parametrize(("title", "table"), [("Job", JOB_TRANSITIONS), ("Serving", SERVING_TRANSITIONS)])
def test_the_drawing_is_the_table(title: str, table: dict[StrEnum, frozenset[StrEnum]]) -> None:
    """docs/states.md draws exactly the edges of the table."""
    section = DRAWN.split(f"## {title}")[1].split("```")[1]
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", section, re.MULTILINE))

    assert drawn == {(start.value, end.value) for start, ends in table.items() for end in ends}


def test_every_state_can_be_reached_and_left_unless_terminal() -> None:
    """No serving is a dead end before CLOSED."""
    assert {state for state, ends in SERVING_TRANSITIONS.items() if not ends} == {ServingState.CLOSED}
    assert all(ServingState.CLOSED in ends for state, ends in SERVING_TRANSITIONS.items() if ends)
