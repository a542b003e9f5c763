"""Several gateways, each by itself: what one refuses or hangs over is done at the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from time import monotonic

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import GatewayProblem
from marketplace.provider.gateways import MOST_BLOCKS_BETWEEN, AtEach, GatewayLine, InTurn

REFUSED = GatewayProblem(413, "TooLarge", "no")


@pytest.fixture
def lines() -> Iterator[tuple[GatewayLine, GatewayLine]]:
    """Two that nothing is ever sent to."""
    first, second = (GatewayLine.to(GatewayApi(f"http://127.0.0.1:{port}")) for port in (1, 2))
    yield first, second
    for line in (first, second):
        line.close_pools()
        line.api.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for threads of ours."""
    deadline, pause = monotonic() + 30, threading.Event()
    while not condition():
        assert monotonic() < deadline
        pause.wait(0.001)


def test_one_that_hangs_holds_up_no_other(lines: tuple[GatewayLine, GatewayLine]) -> None:
    """What the second has done is there while nothing has come of the first."""
    never, places = threading.Event(), AtEach[str](lines)
    places.begin(lambda line: line.url if line is lines[1] else str(never.wait(60)), 1, seconds=60)
    until(lambda: places.is_finished)
    (answer,) = places.answers(1)

    assert (answer.line, answer.found) == (lines[1], lines[1].url)
    assert not places.is_quiet
    never.set()


def test_what_is_large_is_offered_more_and_more_seldom(lines: tuple[GatewayLine, GatewayLine]) -> None:
    """A gateway that always refuses is asked 1, 2, 4 … blocks later, and never more than so many: it cannot have all our line."""
    offered, places = list[int](), AtEach[str](lines[:1], is_large=True)

    def refuse(block: int) -> str:
        offered.append(block)
        raise REFUSED

    for block in range(200):
        places.begin(lambda _, block=block: refuse(block), block, seconds=60)  # type: ignore[misc]
        until(lambda: places.is_quiet)
        assert all(answer.problem is REFUSED for answer in places.answers(block))
    gaps = [after - before for before, after in pairwise(offered)]

    assert gaps[:5] == [1, 2, 4, 8, 16]
    assert set(gaps[5:]) == {MOST_BLOCKS_BETWEEN}


def test_what_is_done_once_goes_from_one_to_the_next(lines: tuple[GatewayLine, GatewayLine]) -> None:
    """Begun at the one that is preferred, and in the same block at the other where that one refuses."""
    asked, turns = list[GatewayLine](), InTurn[bool](lines)

    def ask(line: GatewayLine) -> bool:
        asked.append(line)
        if line is lines[1]:
            raise REFUSED
        return True

    turns.prefer(lines[1])
    turns.begin(ask, 1, seconds=60)
    until(lambda: turns.is_quiet)
    with pytest.raises(GatewayProblem):
        turns.take(1)
    assert not turns.has_failed_everywhere
    turns.begin(ask, 1, seconds=60)
    until(lambda: turns.is_quiet)

    assert turns.take(1) is True
    assert asked == [lines[1], lines[0]]
    turns.pass_on(1)
    assert turns.has_failed_everywhere
