"""The loop of every daemon: errors that may pass are waited out, others end the process, a stop is obeyed at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from marketplace.daemon import BACKOFF_LIMIT_SECONDS, RETRY_AFTER_LIMIT_SECONDS, UNEXPECTED_LIMIT, Stop, run_forever
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.wake import NextWake
from marketplace.running import permit_until
from marketplace.watchdog import Pulse


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
    """Doubling from a quarter of a second, capped, and forgotten after one success; each wait is between half and all of it."""
    stop = CountedStop()
    run_forever(steps(stop, *[ChainUnavailable("no node")] * 8, 0.0, ChainUnavailable("again")), "test", stop)

    most = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, BACKOFF_LIMIT_SECONDS, 0.25]
    assert [m / 2 <= waited <= m for waited, m in zip(stop.waits, most, strict=True)] == [True] * len(most)


def test_daemons_that_lost_one_neighbour_do_not_come_back_together() -> None:
    """Two daemons whose node went away at the same moment ask it again at different ones."""
    waits = []
    for _ in range(2):
        stop = CountedStop()
        run_forever(steps(stop, *[ChainUnavailable("no node")] * 5), "test", stop)
        waits.append(stop.waits)

    assert waits[0] != waits[1]


class Limited(ChainUnavailable):
    """A node that says when to come again."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("too many requests")
        self.retry_after_seconds = retry_after_seconds


def test_who_says_when_to_come_again_is_not_asked_before() -> None:
    """Up to a quarter later, so that not all come at once; who asks for an hour is asked again after two minutes."""
    stop = CountedStop()
    run_forever(steps(stop, Limited(30), Limited(3_600), Limited(0)), "test", stop)

    thirty, hour, none = stop.waits
    assert 30 <= thirty <= 37.5
    assert RETRY_AFTER_LIMIT_SECONDS <= hour <= 1.25 * RETRY_AFTER_LIMIT_SECONDS
    assert none <= 1.0


def test_a_pushed_wait_is_used_only_while_all_is_well() -> None:
    """A store that fails must not be what the back-off waits on."""
    pushed: list[float] = []
    stop = CountedStop()
    run_forever(steps(stop, 1.0, ChainUnavailable("no node")), "test", stop, wait=pushed.append)

    assert pushed == [1.0]
    assert len(stop.waits) == 1
    assert 0.125 <= stop.waits[0] <= 0.25


def test_a_bug_that_does_not_pass_ends_the_process() -> None:
    """After so many unexpected errors in a row the supervisor gets its chance."""
    stop = CountedStop()
    with pytest.raises(ZeroDivisionError):
        run_forever(steps(stop, *[ZeroDivisionError()] * UNEXPECTED_LIMIT), "test", stop)

    assert len(stop.waits) == UNEXPECTED_LIMIT - 1


def test_a_daemon_says_when_it_is_up_and_why_it_has_stopped() -> None:
    """One line after the first step that worked, one at the end, each with where it stands; a recovery is said, too."""
    stop, block = CountedStop(), [7]
    with capture_logs() as lines:
        run_forever(steps(stop, ChainUnavailable("no node"), 0.0, 0.0), "test", stop, about=lambda: {"block": block[0]})

    assert [line["event"] for line in lines] == ["test.step_failed", "test.recovered", "test.up", "test.stopped"]
    up, stopped = lines[2], lines[3]
    assert up["version"]
    assert (up["block"], stopped["block"], stopped["reason"]) == (7, 7, "asked to")


def test_a_long_step_ends_between_two_transactions() -> None:
    """Each is asked for: while the process should go on the loop is heard of; when it should not, the step ends, and that is no failure."""
    stop, pulse, asked = CountedStop(), Pulse(late_seconds=10), []
    permit = permit_until(stop, pulse, lambda: asked.append(1))

    def step() -> NextWake:
        pulse.pass_time(11)
        permit()
        assert not pulse.is_late
        stop.set()
        permit()
        raise AssertionError("not reached")

    with capture_logs() as lines:
        run_forever(step, "test", stop, pulse=pulse)

    assert asked == [1]
    assert [line["event"] for line in lines] == ["test.stopped"]


PROGRAM = """
import sys, threading, structlog
from marketplace.daemon import Stop, run_forever
from marketplace.domain.wake import NextWake
structlog.configure(processors=[structlog.processors.KeyValueRenderer(key_order=["event"])], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
begun = 0
def step():
    global begun
    begun += 1
    print("begun", flush=True)
    sys.stdin.readline()
    print("finished", flush=True)
    return NextWake.at_once()
run_forever(step, "test", Stop().on_signals())
print("out", begun, flush=True)
"""


class Program:
    """A daemon in a process of its own whose steps wait for a line of input."""

    def __init__(self, program: str = PROGRAM) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hears(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            os.kill(self.process.pid, number)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_step_is_finished_when_the_process_is_asked_to_end(first: signal.Signals) -> None:
    """No other step begins; a second signal, of either kind, changes nothing; the status is 0 and the log says what it was."""
    program = Program()
    assert program.hears() == "begun"
    program.kill(first)
    program.kill(signal.SIGTERM, signal.SIGINT)
    program.go_on()

    assert (program.hears(), program.hears()) == ("finished", "out 1")
    _, log = program.process.communicate(timeout=60)
    assert program.process.returncode == 0
    assert "test.stopped" in log
    assert "reason='SIG" in log


def test_hanging_up_ends_nothing() -> None:
    """SIGHUP is survived, however often it comes, and said once."""
    program = Program()
    for _ in range(3):
        assert program.hears() == "begun"
        program.kill(signal.SIGHUP)
        program.go_on()
        assert program.hears() == "finished"
    assert program.hears() == "begun"
    program.kill(signal.SIGTERM)
    program.go_on()
    _, log = program.process.communicate(timeout=60)

    assert program.process.returncode == 0
    assert log.count("hangup_ignored") == 1


GENTLE = """
import structlog, sys
from marketplace.daemon import GentleStop, run_forever
from marketplace.domain.wake import NextWake
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
stop = GentleStop()
stop.on_signals()
stop.may_ask()
def step():
    print("asked" if stop.is_asked else "hung up" if stop.take_hangup() else "working", flush=True)
    if sys.stdin.readline() == "done\\n":
        stop.leave()
    return NextWake.at_once()
run_forever(step, "test", stop)
print("out", stop.reason, flush=True)
"""


def test_who_has_work_to_finish_goes_on_after_the_first_signal_and_ends_at_the_second() -> None:
    """The first only asks; SIGHUP is heard and ends nothing; the second, of either kind, lets no other step begin."""
    program = Program(GENTLE)
    heard = [program.hears()]
    for number in (signal.SIGHUP, signal.SIGTERM):
        program.kill(number)
        program.go_on()
        heard.append(program.hears())
    program.kill(signal.SIGINT)
    program.go_on()

    assert heard == ["working", "hung up", "asked"]
    assert program.hears() == "out SIGINT"
    program.process.communicate(timeout=60)
    assert program.process.returncode == 0


def test_who_has_finished_its_work_ends_by_itself() -> None:
    """After one signal, without waiting for another, with status 0."""
    program = Program(GENTLE)
    assert program.hears() == "working"
    program.kill(signal.SIGTERM)
    program.go_on()
    assert program.hears() == "asked"
    assert program.process.stdin
    program.process.stdin.write("done\n")
    program.process.stdin.flush()

    assert program.hears() == "out SIGTERM"
    program.process.communicate(timeout=60)
    assert program.process.returncode == 0
