"""A gateway whose journal was restored from a backup: what it has forgotten, its clients post again out of their journals."""

from __future__ import annotations

import sqlite3

from marketplace.client import Job, JobState
from marketplace.client.posting import AGAIN_AFTER_SECONDS
from tests.integration.client.conftest import Desk, Play
from tests.integration.gateway.conftest import Gateway


def _forget(gateway: Gateway, job: Job) -> None:
    """The journal as it was before the order was accepted."""
    with sqlite3.connect(gateway.journal_file, timeout=20) as connection:
        connection.execute("DELETE FROM answers WHERE key = ?", (job.orders[-1],))
        gone = connection.execute("DELETE FROM orders WHERE id = ?", (job.orders[-1],))
        assert gone.rowcount == 1
    connection.close()


def _is_known(play: Play, job: Job) -> bool:
    told = play.gateway.http.get(f"/v1/orders/{job.orders[-1]}")
    return told.status_code == 200 and told.json()["state"] == "book"


def test_a_forgotten_order_comes_back(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Accepted yesterday, forgotten today, waiting still: one step brings it back to the book, with the same signature, and it is served."""
    job, other = (desk.market.submit(play.request()) for _ in range(2))
    desk.step()
    _forget(gateway, job)
    assert not _is_known(play, job)

    desk.step()
    posted = len(desk.line.sent("POST", "/v1/orders"))
    desk.step()

    assert _is_known(play, job)
    assert posted == len(desk.line.sent("POST", "/v1/orders")) == 3
    assert job.note == ""
    play.open(desk, job)
    assert (job.state, other.state) == (JobState.RUNNING, JobState.SUBMITTED)


def test_a_restarted_client_brings_it_back_too(desk: Desk, play: Play, gateway: Gateway) -> None:
    """All that it takes is in the journal."""
    job = desk.market.submit(play.request())
    _forget(gateway, job)

    desk.again().step()

    assert _is_known(play, job)


def test_an_order_that_is_not_taken_again_waits_and_is_not_pressed(desk: Desk, play: Play, gateway: Gateway) -> None:
    """What the gateway says is noted, the job is not given up for it, and it is tried again after a while and not with every step."""
    job = desk.market.submit(play.request())
    _forget(gateway, job)
    desk.line.busy["POST /v1/orders"] = 422

    for _ in range(3):
        desk.step()
    first = len(desk.line.sent("POST", "/v1/orders"))
    note = job.note
    play.pass_time(AGAIN_AFTER_SECONDS)
    desk.step()
    later = len(desk.line.sent("POST", "/v1/orders"))
    desk.line.busy.clear()
    play.pass_time(AGAIN_AFTER_SECONDS)
    desk.step()

    assert (first, later) == (2, 3)
    assert "has forgotten it" in note
    assert job.state is JobState.SUBMITTED
    assert _is_known(play, job)
    assert job.note == ""


def test_what_is_served_is_not_posted_again(desk: Desk, play: Play, gateway: Gateway) -> None:
    """The chain has it: the gateway's memory does not matter any more."""
    job = desk.market.submit(play.request())
    play.open(desk, job)
    _forget(gateway, job)

    desk.step()

    assert job.state is JobState.RUNNING
    assert len(desk.line.sent("POST", "/v1/orders")) == 1
