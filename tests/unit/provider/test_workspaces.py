"""Whose session may be followed: asked before one is ended for it, and before its files are handed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.keeping import KEPT_SECONDS
from marketplace.domain.units import PricePerGpuHour, UnixTime
from marketplace.provider.workspaces import Workspaces
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.rows import Serving
from marketplace.store.journal.workspaces import WorkspaceTable
from tests.unit.provider.test_metering import ORDER

STRANGER = Address("0x" + "22" * 20)
RUNNING = Serving(
    lease=Bytes32("0x" + "aa" * 32), opened_at=UnixTime(1_000), offer=OfferId(1), price=PricePerGpuHour(1), order=ORDER, opened_in_block=7,
    updated_at=UnixTime(1_000),
)  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[WorkspaceTable]:
    opened = AgentJournal(f"sqlite:///{tmp_path}/agent.sqlite")
    yield opened.workspaces
    opened.close()


def test_a_session_is_followed_by_its_own_client_only(journal: WorkspaceTable) -> None:
    """While it runs, and while its files are kept: to anybody else it is not there."""
    workspaces = Workspaces(journal)
    workspaces.expect(RUNNING.key)
    assert workspaces.followed(RUNNING.lease, ORDER.client, [RUNNING]) == RUNNING.key
    assert workspaces.followed(RUNNING.lease, STRANGER, [RUNNING]) is None

    workspaces.keep(RUNNING, UnixTime(2_000))
    assert workspaces.followed(RUNNING.lease, ORDER.client, []) == RUNNING.key
    assert workspaces.followed(RUNNING.lease, STRANGER, []) is None


def test_whatever_is_let_go_is_not_kept_by_the_next_agent_either(journal: WorkspaceTable) -> None:
    """A job that is no session is never kept; a session for its time after its close, until a follow-on runs, or until the room is needed."""
    first, second, other = (replace(RUNNING, opened_at=UnixTime(number)) for number in (1, 2, 3))
    workspaces = Workspaces(journal)
    for session in (first, second):
        workspaces.expect(session.key)
        workspaces.expect(session.key)
        workspaces.keep(session, UnixTime(1_000 + session.opened_at))
    workspaces.keep(other, UnixTime(1_000))
    assert [workspaces.is_kept(one.key, UnixTime(1_100)) for one in (first, second, other)] == [True, True, False]

    workspaces.make_room()
    assert workspaces.expected() == [second.key]
    anew = Workspaces(journal)
    anew.keep(second, UnixTime(1_002))
    assert anew.is_kept(second.key, UnixTime(1_001 + KEPT_SECONDS))
    assert not anew.is_kept(second.key, UnixTime(1_002 + KEPT_SECONDS))
    assert anew.expected() == []


def test_a_close_that_is_taken_back_keeps_nothing_until_the_next_one(journal: WorkspaceTable) -> None:
    """Its job may run again: it is handed on only when that is over, too."""
    workspaces = Workspaces(journal)
    workspaces.expect(RUNNING.key)
    workspaces.keep(RUNNING, UnixTime(2_000))
    assert workspaces.is_kept(RUNNING.key, UnixTime(2_000))
    workspaces.take_back(RUNNING.key)

    assert not workspaces.is_over(RUNNING.key)
    workspaces.keep(RUNNING, UnixTime(3_000))
    assert workspaces.is_kept(RUNNING.key, UnixTime(2_999 + KEPT_SECONDS))


def test_of_a_lease_that_was_opened_twice_the_last_serving_is_followed(journal: WorkspaceTable) -> None:
    """One that was given back, and came again, has left nothing worth having."""
    again = replace(RUNNING, opened_at=UnixTime(1_500))

    assert Workspaces(journal).followed(RUNNING.lease, ORDER.client, [again, RUNNING]) == again.key
