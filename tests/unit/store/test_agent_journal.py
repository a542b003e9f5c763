"""What a provider agent's journal promises: servings move along the table and nowhere else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.errors import Conflict, InvalidTransition, NotFound
from marketplace.domain.ids import OfferId
from marketplace.domain.states import SERVING_TRANSITIONS, ServingState
from marketplace.domain.units import Seconds, UnixTime
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.rows import Serving
from tests.unit.store.rows import MACHINE, block, receipt, serving, word

NOW = UnixTime(1_700_000_100)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[AgentJournal]:
    opened = AgentJournal(f"sqlite:///{tmp_path}/agent.sqlite")
    yield opened
    opened.close()


def test_a_serving_is_seen_once(journal: AgentJournal) -> None:
    """The event of an opening read twice makes one serving."""
    seen = serving()

    assert journal.add_serving(seen) is True
    assert journal.add_serving(replace(seen, folder="/elsewhere")) is False

    assert journal.serving(*seen.key) == seen


def test_a_lease_opened_again_is_another_serving(journal: AgentJournal) -> None:
    """A declined order that comes back has the same lease id and another opening."""
    first, second = serving(), serving(opened_at=NOW, opened_in_block=9)
    journal.add_serving(first)
    journal.add_serving(second)

    assert journal.servings() == [first, second]


def test_a_serving_advances_with_what_became_known(journal: AgentJournal) -> None:
    """State, facts and history change together."""
    seen = serving()
    journal.add_serving(seen)

    running = journal.advance(seen, ServingState.RUNNING, at=NOW, folder="/jobs/7", pid=42)
    exited = journal.advance(running, ServingState.EXITED, at=NOW, note="exit 0", exit_code=0, used_seconds=Seconds(60))

    kept = journal.serving(*seen.key)
    assert kept == exited
    assert kept is not None
    assert (kept.folder, kept.pid, kept.exit_code, kept.used_seconds, kept.note) == ("/jobs/7", 42, 0, 60, "exit 0")
    moves = [(event.from_state, event.to_state, event.note) for event in journal.history_of_serving(*seen.key)]
    assert moves == [("", "seen", ""), ("seen", "running", ""), ("running", "exited", "exit 0")]


EVERY_MOVE = list(itertools.product(ServingState, ServingState))


@pytest.mark.parametrize(("start", "end"), EVERY_MOVE, ids=[f"{a}-{b}" for a, b in EVERY_MOVE])
def test_the_database_allows_the_moves_of_the_table_and_no_other(
    journal: AgentJournal, start: ServingState, end: ServingState
) -> None:
    """Every pair of states: what SERVING_TRANSITIONS lists goes through, all else is refused and changes nothing."""
    here = _brought_to(journal, start)
    before = journal.history_of_serving(*here.key)

    if end in SERVING_TRANSITIONS[start]:
        assert journal.advance(here, end, at=NOW).state is end
    else:
        with pytest.raises(InvalidTransition):
            journal.advance(here, end, at=NOW)

        assert journal.serving(*here.key) == here
        assert journal.history_of_serving(*here.key) == before


def test_who_comes_second_is_told(journal: AgentJournal) -> None:
    """Compare-and-set: a move from a state that is no longer true is a Conflict and leaves no event."""
    seen = serving()
    journal.add_serving(seen)
    journal.advance(seen, ServingState.RUNNING, at=NOW)

    with pytest.raises(Conflict):
        journal.advance(seen, ServingState.CLOSED, at=NOW)

    assert len(journal.history_of_serving(*seen.key)) == 2


def test_a_serving_that_is_not_there_cannot_move(journal: AgentJournal) -> None:
    """NotFound, and no event of what did not happen."""
    with pytest.raises(NotFound):
        journal.advance(serving(), ServingState.RUNNING, at=NOW)
    with pytest.raises(NotFound):
        journal.note(serving(), folder="/jobs/7")

    assert journal.history_of_serving(*serving().key) == []


def test_facts_can_be_noted_without_moving(journal: AgentJournal) -> None:
    """A client's signature that arrives is kept at once; the state stays."""
    seen = serving()
    journal.add_serving(seen)

    noted = journal.note(seen, client_signature="0xaa")

    assert journal.serving(*seen.key) == noted
    assert noted.state is ServingState.SEEN


def test_facts_that_another_thread_noted_stay(journal: AgentJournal) -> None:
    """Only what the caller changed is written: two threads with one old row do not undo each other."""
    seen = serving()
    journal.add_serving(seen)
    journal.note(seen, folder="/jobs/7")

    journal.note(seen, client_signature="0xaa")

    kept = journal.serving(*seen.key)
    assert kept is not None
    assert (kept.folder, kept.client_signature) == ("/jobs/7", "0xaa")


def test_a_note_on_a_state_that_has_passed_is_a_conflict(journal: AgentJournal) -> None:
    """Facts belong to the state in which they were learnt."""
    seen = serving()
    journal.add_serving(seen)
    journal.advance(seen, ServingState.CLOSED, at=NOW)

    with pytest.raises(Conflict):
        journal.note(seen, folder="/jobs/7")


def test_state_is_not_a_fact(journal: AgentJournal) -> None:
    """note() cannot be used to move."""
    journal.add_serving(serving())

    with pytest.raises(TypeError):
        journal.note(serving(), state=ServingState.CLOSED)


def test_servings_are_found_by_state(journal: AgentJournal) -> None:
    """After a restart the agent asks for what was under way."""
    running = journal.advance(_added(journal, 1), ServingState.RUNNING, at=NOW)
    journal.advance(_added(journal, 2), ServingState.CLOSED, at=NOW)
    waiting = _added(journal, 3)

    assert journal.servings(ServingState.RUNNING, ServingState.SEEN) == [running, waiting]


def test_the_cursor_is_where_it_was_saved(journal: AgentJournal) -> None:
    """None before the first block; then the last one saved."""
    assert journal.cursor() is None

    journal.save_cursor(block(1))
    journal.save_cursor(block(2))

    assert journal.cursor() == block(2)


def test_listings_and_receipts_are_kept(journal: AgentJournal) -> None:
    """The agent knows its offers again after a restart, and can settle from its own journal."""
    assert journal.add_listing(OfferId(3), MACHINE.sha256) is True
    assert journal.add_listing(OfferId(3), MACHINE.sha256) is False
    assert [(row.offer, row.machine) for row in journal.listings()] == [(3, MACHINE.sha256)]

    journal.add_receipt(receipt(), "provider", "0xaa", NOW)
    assert [row.receipt for row in journal.receipts(receipt().lease)] == [receipt()]


def _added(journal: AgentJournal, number: int) -> Serving:
    one = serving(lease=word(number), opened_in_block=number)
    journal.add_serving(one)
    return one


def _brought_to(journal: AgentJournal, state: ServingState) -> Serving:
    """A serving that got to ``state`` by the table."""
    here = serving()
    journal.add_serving(here)
    for step in _PATHS[state]:
        here = journal.advance(here, step, at=NOW)
    return here


_S = ServingState
_PATHS = {
    _S.SEEN: (),
    _S.RUNNING: (_S.RUNNING,),
    _S.EXITED: (_S.RUNNING, _S.EXITED),
    _S.RECEIPTED: (_S.RUNNING, _S.EXITED, _S.RECEIPTED),
    _S.SETTLING: (_S.RUNNING, _S.EXITED, _S.RECEIPTED, _S.SETTLING),
    _S.CLAIMED: (_S.RUNNING, _S.EXITED, _S.CLAIMED),
    _S.CLOSED: (_S.CLOSED,),
}
