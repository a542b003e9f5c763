"""What a round says of an order reaches its client, and stays in its summary."""

from __future__ import annotations

from dataclasses import replace

from marketplace.client import JobState
from marketplace.domain.book import Explanation, RejectionReason
from tests.integration.client.conftest import Desk, Play
from tests.integration.gateway.conftest import Gateway


def test_a_summary_tells_why_a_job_waits_and_why_it_was_placed_there(desk: Desk, play: Play, gateway: Gateway) -> None:
    """What a round says is kept as long as it matters: the reasons while it waits, the choice when it runs, for good."""
    job = desk.market.submit(play.request())
    waits = Explanation(job.id, gateway.chain.head(), None, {RejectionReason.OUTBID: 2}, "2 offers went to others")
    gateway.board.explain([waits])
    desk.step()
    waiting = job.explain().explanation
    play.open(desk, job)
    unexplained = job.explain().explanation
    gateway.board.explain([replace(waits, placed_on=play.offer.id, reasons={}, nearest_miss="the cheapest of 2")])
    desk.step()
    play.pass_time(5)
    play.hand_in(job, 1)
    desk.step()
    placed = job.explain().explanation

    assert (waiting.nearest_miss if waiting else "") == "2 offers went to others"
    assert unexplained is None
    assert placed is not None
    assert (job.state, placed.placed_on, placed.nearest_miss) == (
        JobState.SUCCEEDED,
        play.offer.id,
        "the cheapest of 2",
    )
