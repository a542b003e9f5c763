"""The loop of every daemon: errors that may pass are waited out, others end the process, a stop is obeyed at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from marketplace.daemon import BACKOFF_LIMIT_SECONDS, UNEXPECTED_LIMIT, Stop, run_forever
from marketplace.domain.errors import ChainUnavailable
from marketplace.domain.wake import NextWake


class CountedStop(Stop):
    """A stop that remembers how long it was asked to wait, and never really waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


def steps(stop: Stop, *outcomes: float | Exception) -> Callable[[], NextWake]:
    """A step that returns or raises these, one after the other, and then stops the daemon."""
    left = list(outcomes)

    def step() -> NextWake:
        if not left:
            stop.set()
            return NextWake.at_once()
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return NextWake(outcome)

    return step


def test_a_step_is_run_again_after_what_it_asked_for() -> None:
    """The step says how long it can wait; at once means at once."""
    stop = CountedStop()
    run_forever(steps(stop, 1.5, 0.0, 2.0), "test", stop)

    assert stop.waits == [1.5, 2.0]


def test_failures_are_waited_out_longer_each_time_up_to_a_limit() -> None:
    """Doubling from a quarter of a second, capped, and forgotten after one success."""
    stop = CountedStop()
    run_forever(steps(stop, *[ChainUnavailable("no node")] * 8, 0.0, ChainUnavailable("again")), "test", stop)

    assert stop.waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, BACKOFF_LIMIT_SECONDS, 0.25]


def test_a_pushed_wait_is_used_only_while_all_is_well() -> None:
    """A store that fails must not be what the back-off waits on."""
    stop, pushed = CountedStop(), []
    run_forever(steps(stop, 1.0, ChainUnavailable("no node")), "test", stop, wait=pushed.append)

    assert (pushed, stop.waits) == ([1.0], [0.25])


def test_a_bug_that_does_not_pass_ends_the_process() -> None:
    """After so many unexpected errors in a row the supervisor gets its chance."""
    stop = CountedStop()
    with pytest.raises(ZeroDivisionError):
        run_forever(steps(stop, *[ZeroDivisionError()] * UNEXPECTED_LIMIT), "test", stop)

    assert len(stop.waits) == UNEXPECTED_LIMIT - 1
