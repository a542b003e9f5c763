"""A loop that gets nowhere is noticed, said once, and in the end given up; one that waits or was suspended is not."""

from __future__ import annotations

import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from marketplace.watchdog import EXIT_STATUS, Pulse, Watchdog

HANGS = """
import threading
from marketplace import watchdog
watchdog._LOOK_SECONDS = 0.05
pulse = watchdog.Pulse(late_seconds=0.1, fatal_seconds=0.3)
def step_that_hangs():
    threading.Event().wait()
with watchdog.Watchdog(pulse, "test").watching():
    step_that_hangs()
"""


class Given(Exception):
    """Up."""


def give_up() -> None:
    raise Given


def test_a_step_that_hangs_is_said_once_and_then_given_up() -> None:
    """Late first, which /live tells; much later the process ends."""
    pulse = Pulse(late_seconds=10, fatal_seconds=100)
    dog = Watchdog(pulse, "test", end=give_up)
    with capture_logs() as lines:
        for _ in range(5):
            dog.look(2)
        assert (pulse.is_late, pulse.check()) == (False, None)
        for _ in range(45):
            dog.look(2)
        assert pulse.is_late
        with pytest.raises(Given):
            dog.look(2)

    assert [line["event"] for line in lines] == ["test.hangs", "test.given_up"]


def test_a_loop_that_waits_is_not_late() -> None:
    """What it said that it would wait is no silence; after the wait it is heard again, or late."""
    pulse = Pulse(late_seconds=10)
    dog = Watchdog(pulse, "test", end=give_up)
    pulse.beat(60)
    dog.look(69)
    assert not pulse.is_late
    with capture_logs() as lines:
        dog.look(2)
        assert pulse.is_late
        pulse.beat()
        dog.look(1)

    assert [line["event"] for line in lines] == ["test.hangs", "test.goes_on"]
    assert not pulse.is_late


def test_a_step_that_does_not_end_when_asked_to_is_given_up() -> None:
    """SIGTERM ends a process within a bound, also where its last step hangs."""
    dog = Watchdog(Pulse(), "test", is_stopping=lambda: True, stopping_seconds=5, end=give_up)
    dog.look(4)
    with pytest.raises(Given):
        dog.look(2)


def test_the_process_ends_with_the_stacks_of_its_threads_in_the_log() -> None:
    """Who reads the log sees where it hung, and the supervisor sees that it ended."""
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=120)

    assert ended.returncode == EXIT_STATUS
    assert "step_that_hangs" in ended.stderr
