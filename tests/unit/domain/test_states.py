"""The life of jobs and servings, and its drawing in the docs."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

import pytest

from marketplace.domain.errors import InvalidTransition
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.states import (
    JOB_TRANSITIONS,
    SERVING_TRANSITIONS,
    JobEvent,
    JobReason,
    JobState,
    ServingState,
    TrackedJob,
    advance,
    taken_back,
)
from marketplace.domain.units import UnixTime

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
DRAWN = (REFERENCE / "states.md").read_text()
VERB = re.compile(r"^\| `(\w+)[^|]*\|[^|]*\| ([^|]*) \|", re.MULTILINE)
JOB = TrackedJob(Bytes32("0x" + "1" * 64), "job", JobState.SUBMITTED, (Bytes32("0x" + "1" * 64),), Sha256("2" * 64), ())


@pytest.mark.parametrize("start", JobState)
@pytest.mark.parametrize("end", JobState)
def test_a_job_goes_where_the_table_says_and_nowhere_else(start: JobState, end: JobState) -> None:
    """Every legal pair advances and leaves a record; every other pair is an InvalidTransition."""
    job = TrackedJob(JOB.id, JOB.name, start, JOB.orders, JOB.spec, ())
    if end in JOB_TRANSITIONS[start]:
        assert advance(job, end, at=UnixTime(5), reason=JobReason.LEASE_OPENED).history[-1].state is end
    else:
        with pytest.raises(InvalidTransition):
            advance(job, end, at=UnixTime(5), reason=JobReason.LEASE_OPENED)


def test_a_reorganised_job_is_what_it_was_before() -> None:
    """What later blocks told is taken back, down to the order that was signed last; what the gateway said stays; times read forwards."""
    opened = advance(JOB, JobState.RUNNING, at=UnixTime(10), reason=JobReason.LEASE_OPENED)
    first = JobEvent(JobState.SUBMITTED, UnixTime(5), JobReason.ORDER_SIGNED)
    opened = replace(opened, history=(first, *opened.history))
    ended = advance(opened, JobState.SUCCEEDED, at=UnixTime(20), reason=JobReason.RESULT_VERIFIED)

    assert taken_back(ended, {1}, UnixTime(8)) is ended
    again = taken_back(ended, {2}, UnixTime(15))
    assert (again.state, again.history[-1].reason, again.history[-1].at) == (
        JobState.RUNNING,
        JobReason.REORGANISED,
        20,
    )
    assert taken_back(ended, {1, 2}, UnixTime(7)).state is JobState.SUBMITTED
    retried = advance(opened, JobState.SUBMITTED, at=UnixTime(30), reason=JobReason.PROVIDER_SILENT)
    assert taken_back(retried, {1, 2}, UnixTime(7)) is retried
    refused = advance(JOB, JobState.UNPLACED, at=UnixTime(9), reason=JobReason.ORDER_REFUSED)
    refused = replace(refused, history=(first, *refused.history))
    assert taken_back(refused, {1}, UnixTime(7)) is refused


@pytest.mark.parametrize(("title", "table"), [("Job", JOB_TRANSITIONS), ("Serving", SERVING_TRANSITIONS)])
def test_the_drawing_is_the_table(title: str, table: dict[StrEnum, frozenset[StrEnum]]) -> None:
    """docs/reference/states.md draws exactly the edges of the table."""
    section = DRAWN.split(f"## {title}")[1].split("```")[1]
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", section, re.MULTILINE))

    assert drawn == {(start.value, end.value) for start, ends in table.items() for end in ends}


def test_the_leases_drawing_is_the_table_of_verbs() -> None:
    """P-10: from which states a verb moves a lease on is what the specification says of when it may be called."""
    drawn: dict[str, set[str]] = {}
    for start, label in re.findall(r"^ *(\w+) --> \w+: (.*)$", DRAWN.split("## Job")[0], re.MULTILINE):
        for verb in re.findall(r"[a-z]+", re.sub(r"\(last\)|, if .*| otherwise", "", label)):
            drawn.setdefault(verb, set()).add(start)
    verbs = dict(VERB.findall((REFERENCE / "specification.md").read_text()))
    told = {verb: set(re.findall(r"None|Open|Claimed|Disputed", when)) for verb, when in verbs.items()}

    # `open` is for orders that are in None by P-20, and `cancel` leaves an open lease open.
    assert told["cancel"] == {"None", "Open"}
    assert drawn == {verb: states for verb, states in told.items() if states} | {"open": {"None"}, "cancel": {"None"}}


def test_every_state_can_be_reached_and_left_unless_terminal() -> None:
    """No serving is a dead end before CLOSED, and every other state leads there."""
    assert all(
        ServingState.CLOSED in ends for state, ends in SERVING_TRANSITIONS.items() if state is not ServingState.CLOSED
    )


def test_a_job_is_about_the_order_whose_result_was_taken() -> None:
    """Its newest order, unless the result of an earlier one was taken."""
    first, second = (Bytes32(f"0x{number:064x}") for number in (1, 2))
    tried = replace(JOB, orders=(first, second))

    assert (tried.order, replace(tried, taken=first).order) == (second, first)
