"""Sessions, as spec and work say them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import sha256_of
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.results import EndedReason, LogFile, Result
from marketplace.domain.spec import JobSpec, read_spec
from marketplace.domain.work import Assignment, Work, read_work
from tests.works import WORK

WORK_OF_SESSION = Work((), "ab" * 32, entrypoint="session")
SPEC = JobSpec(WORK, session=SessionTerms(900))


@pytest.mark.parametrize("terms", [SessionTerms(), SessionTerms(60), SessionTerms(60, "0x" + "5e" * 32)])
def test_a_session_is_read_as_it_was_written(terms: SessionTerms) -> None:
    """With an idle stop and without; a spec of a command says nothing of sessions."""
    spec = replace(SPEC, session=terms)
    assert read_spec(spec.canonical()) == spec
    assert read_work(WORK_OF_SESSION.canonical()) == WORK_OF_SESSION
    assert b"session" not in JobSpec(WORK).canonical()


@pytest.mark.parametrize(
    "session",
    [{"idle_stop_seconds": 59}, {"idle_stop_seconds": 0}, {"idle": 1}, {"follows": ""}, {"follows": "0x5E"}, True],
)
def test_an_idle_stop_leaves_time_to_come_in(session: object) -> None:
    """A minute at least, in whole seconds, and nothing that nothing obeys."""
    document = parse_json(SPEC.canonical(), field="spec") | {"session": session}
    with pytest.raises(InvalidField, match=r"spec\.session"):
        read_spec(canonical_json(document))


def test_spec_and_work_agree_on_what_it_is() -> None:
    """A session has no command, and a command is no session's."""
    assert Assignment(SPEC, WORK_OF_SESSION).work.command == ()
    for spec, work in ((JobSpec(WORK), WORK_OF_SESSION), (SPEC, Work(("train",), "ab" * 32))):
        with pytest.raises(InvalidField, match=r"work\.entrypoint"):
            Assignment(spec, work)
    with pytest.raises(InvalidField, match=r"work\.command"):
        read_work(replace(WORK_OF_SESSION, command=("train",)).canonical())


def test_a_session_does_well_when_its_time_is_up() -> None:
    """Other limits end it badly, and a command that ran out of time has not done well."""
    ended = {reason: Result(None, reason, (), LogFile(sha256_of(b""), 0)) for reason in EndedReason}
    well = [reason for reason, result in ended.items() if result.is_success_of(SPEC)]

    assert well == [EndedReason.TIME_LIMIT]
    assert not ended[EndedReason.TIME_LIMIT].is_success_of(JobSpec(WORK))
    assert replace(ended[EndedReason.EXITED], exit_code=0).is_success_of(SPEC)
