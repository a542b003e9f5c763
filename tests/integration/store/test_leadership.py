"""One leads, the others stand by: on a real Redis, with clocks of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import LeadLost, StoreUnavailable
from marketplace.domain.wake import NextWake
from marketplace.services.leadership import MARGIN, BoardLead, Led, Permit
from marketplace.store.board import Board
from marketplace.store.redis_server import RedisHandle, start_redis

SECONDS = 600.0
"""A lead on the board runs out long after the test: what is told by our own clock is told without waiting."""


class Candidate:
    """A daemon that may lead, with a clock that a test moves: for the others it was suspended, or has died."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self.now = 0.0
        self.board = Board(url)
        self.lead = BoardLead(self.board.leads, "test", seconds=seconds, elapsed=lambda: self.now)
        self.begun: list[Permit] = []
        self.steps = 0
        self.head: BlockRef | None = None
        self.led = Led(self.lead, self.begin, "test")

    def begin(self, permit: Permit) -> Candidate:
        self.begun.append(permit)
        return self

    def step(self) -> NextWake:
        self.steps += 1
        self.begun[-1]()
        return NextWake(0.5)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisHandle]:
    handle = start_redis(tmp_path / "redis")
    yield handle
    if handle.is_alive:
        handle.stop()


@pytest.fixture
def pair(redis: RedisHandle) -> Iterator[tuple[Candidate, Candidate]]:
    pair = Candidate(redis.url), Candidate(redis.url)
    yield pair
    for one in pair:
        one.board.close()


def forget(redis: RedisHandle) -> None:
    """As when the time of the lead is over: the key is gone."""
    with Redis.from_url(redis.url) as client:
        client.flushall()


def test_one_acts_and_the_other_waits(pair: tuple[Candidate, Candidate]) -> None:
    """Also when both ask again and again; who stands by says so and is asked again a second later."""
    first, second = pair
    for _ in range(5):
        assert first.led.step() == NextWake(0.5)
        assert second.led.step() == NextWake(1.0)
        first.now += SECONDS / 2

    assert (first.steps, second.steps) == (5, 0)
    assert (first.led.role, second.led.role) == ("leader", "standby")
    assert (first.led.check(), second.led.check()) == (None, "another leads; this one stands by")
    assert len(first.begun) == 1


def test_who_ends_is_followed_at_once(pair: tuple[Candidate, Candidate]) -> None:
    """A lead that is given back need not run out; one that is not ours cannot be given back."""
    first, second = pair
    first.led.step()
    second.lead.leave()
    second.led.step()
    assert second.steps == 0
    first.lead.leave()
    second.led.step()

    assert second.steps == 1


def test_who_dies_is_followed_when_its_lead_runs_out(redis: RedisHandle) -> None:
    """The key ends by itself."""
    first, second = Candidate(redis.url, seconds=1.5), Candidate(redis.url)
    first.led.step()
    with Redis.from_url(redis.url) as client:
        left = client.pttl("{bourse}:lead:test")
        client.blpop(["never"], timeout=2)
    second.led.step()

    assert 0 < left <= 1_500  # type: ignore[operator]
    assert second.steps == 1


def test_who_was_suspended_notices_before_it_acts(pair: tuple[Candidate, Candidate], redis: RedisHandle) -> None:
    """In the middle of a step: its permit is refused, and the step after it stands by. The other goes on."""
    first, second = pair
    first.led.step()
    forget(redis)
    second.led.step()
    first.now += SECONDS * (1 - 1 / MARGIN)
    with pytest.raises(LeadLost):
        first.begun[-1]()

    assert first.led.step() == NextWake(1.0)
    assert first.led.role == "standby"
    assert second.led.step() == NextWake(0.5)


def test_who_leads_again_begins_anew(pair: tuple[Candidate, Candidate], redis: RedisHandle) -> None:
    """Another has acted meanwhile: nothing that was remembered holds, and a permit of the first term is worth nothing in the second."""
    first, second = pair
    first.led.step()
    forget(redis)
    second.led.step()
    first.now += SECONDS
    first.led.step()
    second.lead.leave()
    first.led.step()

    assert len(first.begun) == 2
    first.begun[1]()
    with pytest.raises(LeadLost):
        first.begun[0]()


def test_a_wiped_board_forgets_who_leads(pair: tuple[Candidate, Candidate], redis: RedisHandle) -> None:
    """Two may act for a moment, until the first one asks: then it stands by. That is why nothing rests on the lead alone."""
    first, second = pair
    first.led.step()
    forget(redis)
    second.led.step()
    first.led.step()
    assert (first.steps, second.steps) == (2, 1)
    first.now += SECONDS / 3
    first.led.step()

    assert (first.led.role, second.led.role) == ("standby", "leader")


def test_who_takes_what_was_forgotten_begins_anew(pair: tuple[Candidate, Candidate], redis: RedisHandle) -> None:
    """Its own lead, wiped and taken again: another may have led, and ended, in between."""
    first, _ = pair
    first.led.step()
    forget(redis)
    first.now += SECONDS / 3
    first.led.step()

    assert (first.lead.term, len(first.begun), first.steps) == (2, 2, 2)


def test_without_a_board_a_lead_lasts_as_long_as_it_was_given(
    pair: tuple[Candidate, Candidate], redis: RedisHandle
) -> None:
    """A short outage ends no term; after the time is over nobody acts: the board may have given it to another."""
    first, second = pair
    first.led.step()
    redis.kill()
    first.now += SECONDS * (1 - 1 / MARGIN) - 1
    first.led.step()
    assert first.steps == 2
    first.now += 1
    with pytest.raises(StoreUnavailable):
        first.led.step()
    with pytest.raises(StoreUnavailable):
        first.begun[-1]()
    with pytest.raises(StoreUnavailable):
        second.led.step()

    assert (first.steps, second.steps) == (2, 0)


def test_a_long_step_keeps_its_lead(redis: RedisHandle) -> None:
    """It is renewed beside the step while the loop lives, and given back at the end."""
    board, other = Board(redis.url), Board(redis.url)
    lead, rival = BoardLead(board.leads, "test", seconds=3), BoardLead(other.leads, "test", seconds=3)
    with lead.kept(lambda: True):
        assert lead.hold()
        with Redis.from_url(redis.url) as client:
            for _ in range(2):  # twice as long as it was given for
                client.blpop(["never"], timeout=3)
        assert not rival.hold()
        assert lead.is_held

    assert rival.hold()
    rival.leave()
    board.close()
    other.close()
