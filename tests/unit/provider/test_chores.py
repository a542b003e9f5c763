"""Chores: done once, taken once, and abandoned where nobody should wait for them any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from marketplace.domain.errors import GatewayProblem, GatewayUnavailable
from marketplace.provider.chores import GATEWAY_THREADS, Chore, ChorePool, ChorePools, distrusted

PATIENCE_SECONDS = 30


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a chore that hangs waits for, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def taken(chore: Chore[str], block: int) -> str | None:
    """The chore's result, waited for."""
    deadline = threading.Event()
    for _ in range(PATIENCE_SECONDS * 100):
        if chore.is_finished:
            break
        deadline.wait(0.01)
    return chore.take(block)


def test_outcome_is_taken_once() -> None:
    """A result is handed over once, and the chore may then be begun again."""
    chore: Chore[str] = Chore(ChorePool())
    chore.begin(lambda: "done", 1)

    assert taken(chore, 1) == "done"
    assert chore.take(1) is None
    assert not chore.is_under_way


def test_failure_waits_for_the_next_block() -> None:
    """What failed is raised where it is taken, and not begun again before the next block."""
    chore: Chore[str] = Chore(ChorePool())
    chore.begin(lambda: str(1 // 0), 7)
    with pytest.raises(ZeroDivisionError):
        taken(chore, 7)
    chore.begin(lambda: "too early", 7)
    assert not chore.is_under_way
    chore.begin(lambda: "again", 8)

    assert taken(chore, 8) == "again"


def test_abandoned_chores_give_their_places_back(never: threading.Event) -> None:
    """A gateway that never answers takes no place: chores that are past their deadline are abandoned, and others are done."""
    pool = ChorePool("gateway", 2)
    hanging: list[Chore[str]] = [Chore(pool) for _ in range(5)]
    for chore in hanging:
        chore.begin(lambda: str(never.wait()), 1, seconds=0)
    for chore in hanging:
        with pytest.raises(GatewayUnavailable, match="within 0 s"):
            chore.take(1)
    another: Chore[str] = Chore(pool)
    another.begin(lambda: "answered", 1)

    assert taken(another, 1) == "answered"


def test_a_pool_that_hangs_holds_up_no_other(never: threading.Event) -> None:
    """However many requests to a gateway hang, a transaction is sent at once."""
    pools, gateway = ChorePools.separate(), ChorePool("gateway", GATEWAY_THREADS)
    for _ in range(200):
        gateway.submit(never.wait)
    sending: Chore[str] = Chore(pools.money)
    sending.begin(lambda: "sent", 1)

    assert taken(sending, 1) == "sent"
    pools.close()
    gateway.close()


@pytest.mark.parametrize("raised", [RecursionError(), MemoryError(), UnicodeError(), KeyError("x"), OverflowError()])
def test_whatever_an_answer_breaks_is_the_gateways_problem(raised: Exception) -> None:
    """An answer that breaks its reader becomes one typed error."""

    def ask() -> None:
        raise raised

    with pytest.raises(GatewayProblem, match="makes no sense"):
        distrusted(ask)
