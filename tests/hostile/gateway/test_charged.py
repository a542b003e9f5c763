"""A gateway that lies on every answer makes a client neither fail, nor pay for more than it signed, nor sign what it would not."""

from __future__ import annotations

from marketplace.client import JobState
from tests.hostile.gateway.routes import Liar
from tests.integration.client.conftest import (
    Desk,
    Play,
    desk_behind,
    door,
    gateway,
    gateway_anvil,
    gateway_redis,
    offers,
    play,
)
from tests.integration.client.doorman import Answer, Doorman

__all__ = ["desk_behind", "door", "gateway", "gateway_anvil", "gateway_redis", "offers", "play"]

STEPS = 20


def test_a_client_lives_through_every_lie(desk_behind: Desk, door: Doorman, play: Play) -> None:
    """Twenty steps in which every answer is a lie: the job runs on under one order, nothing is signed, and the truth finishes it."""
    desk, liar = desk_behind, Liar()
    job = desk.market.submit(play.request())
    play.open(desk, job)
    play.pass_time(10)

    def lie(told: str, _: Answer) -> Answer:
        method, path = told.split(" ", 1)
        return Answer(*_said(liar, method, path))

    door.lies.append(lie)
    for _ in range(STEPS):
        play.pass_time(1)
        desk.step()
    assert liar.told >= STEPS
    assert job.state is JobState.RUNNING
    assert len(job.orders) == 1
    assert desk.signatures_sent() == []

    door.lies.clear()
    play.hand_in(job, 5)
    for _ in range(STEPS):
        if not job.is_terminal:
            play.pass_time(1)
            desk.step()

    assert job.state is JobState.SUCCEEDED
    assert len(desk.signatures_sent()) == 1


def _said(liar: Liar, method: str, path: str) -> tuple[int, str, bytes]:
    status, body = liar(method, path)
    return status, "application/json", body
