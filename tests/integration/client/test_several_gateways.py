"""Several gateways of one market: who is away gives way, and one that lies alone makes nobody silent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.client import JobState, Market
from marketplace.domain.errors import GatewayUnavailable
from marketplace.domain.units import Seconds
from tests.integration.client.conftest import ROOTS, Desk, Line, Play
from tests.integration.client.doorman import Doorman, doorman
from tests.integration.client.test_postman import REFUSAL
from tests.integration.gateway.conftest import CLIENT, Gateway


@pytest.fixture
def doors(gateway: Gateway) -> Iterator[tuple[Doorman, Doorman]]:
    with doorman(gateway.url) as first, doorman(gateway.url) as second:
        yield first, second


@pytest.fixture
def desk(gateway: Gateway, doors: tuple[Doorman, Doorman], tmp_path: Path) -> Iterator[Desk]:
    """A client that knows two gateways."""
    market = Market.connect(
        doors[0].url, [gateway.chain.rpc_url], CLIENT, tmp_path, address_book=gateway.book, other_gateways=(doors[1].url,),
        roots=ROOTS,
    )  # fmt: skip

    def again() -> Desk:
        raise NotImplementedError

    yield Desk(market, Line(), again)
    market.close()


def test_an_order_goes_to_the_one_that_answers(desk: Desk, doors: tuple[Doorman, Doorman], play: Play) -> None:
    """The preferred gateway is away: files, order and receipt go through the other one; with both away the order waits."""
    doors[0].is_away = True
    job = desk.market.submit(play.request())
    assert job.is_posted
    play.open(desk, job)
    play.pass_time(5)
    play.hand_in(job, 3)
    desk.step()
    desk.step()

    assert job.state is JobState.SUCCEEDED
    doors[1].is_away = True
    with pytest.raises(GatewayUnavailable):
        desk.market.api.classes()


def test_a_refusal_is_one_gateways_word(desk: Desk, doors: tuple[Doorman, Doorman], play: Play) -> None:
    """The other one is asked, and takes it."""
    doors[0].answer("POST /v1/orders", 422, REFUSAL)

    assert desk.market.submit(play.request()).is_posted
    assert any(told.startswith("POST /v1/orders") for told in doors[1].seen)


def test_a_beat_at_any_gateway_is_a_sign_of_life(desk: Desk, doors: tuple[Doorman, Doorman], play: Play) -> None:
    """One of them shows an old beat for ever: the other one's counts, and nothing is ordered again."""
    job = desk.market.submit(play.request(max_time=Seconds(120), silent_after=Seconds(15)))
    play.open(desk, job)
    play.api.heartbeat()
    old: list[dict[str, object]] = []

    def hide(told: dict[str, list[dict[str, object]]]) -> None:
        old.append(told["heartbeats"][0])
        told["heartbeats"][0] = old[0]

    doors[0].tell("GET /v1/heartbeats", hide)
    for _ in range(5):
        play.api.heartbeat()
        play.keep_silent(desk, 4)

    assert (job.state, len(job.orders)) == (JobState.RUNNING, 1)
