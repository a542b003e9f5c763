"""The pause monitor: a process that stood still knows it afterwards."""

from __future__ import annotations

import pytest

from marketplace.provider.pause_monitor import BOUND_SECONDS, LOOK_SECONDS, PauseMonitor


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("stood_still", "has_lapsed"), [(LOOK_SECONDS, False), (BOUND_SECONDS + 1, True)])
def test_a_long_stop_is_a_lapse(stood_still: float, has_lapsed: bool) -> None:
    """A process that was held for longer than the bound has watched nobody's job; a moment's delay is none."""
    clock = Clock()
    monitor = PauseMonitor(clock)
    clock.now += stood_still

    assert monitor.has_lapsed() is has_lapsed
    assert not monitor.has_lapsed()


def test_steps_that_are_far_apart_are_no_lapse() -> None:
    """As long as somebody looks at the clock in between, the process lived."""
    clock = Clock()
    monitor = PauseMonitor(clock)
    for _ in range(10):
        clock.now += BOUND_SECONDS
        monitor.look()

    assert not monitor.has_lapsed()
