"""Warnings that repeat are one thing that happens: a line at its beginning, one a minute, one at its end."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from marketplace.repeated_warnings import KEPT, QUIET_SECONDS, Folding


class Log(list[dict[str, Any]]):
    """The lines that were written, and the clock that they were written by."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.folding = Folding(clock=lambda: self.now, sweeps=False)

    def keep(self, _: object, __: str, line: MutableMapping[str, Any]) -> str:
        self.append(dict(line))
        return ""


@pytest.fixture
def lines() -> Iterator[Log]:
    log = Log()
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.add_log_level, log.folding, log.keep], logger_factory=structlog.ReturnLoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(0), cache_logger_on_first_use=False,
    )  # fmt: skip
    yield log
    structlog.configure(**before)


def warn(reason: str = "StoreUnavailable", event: str = "gateway.failed", **more: Any) -> None:
    structlog.get_logger().warning(event, reason=reason, **more)


def test_an_outage_is_one_line_and_one_when_it_is_over(lines: Log) -> None:
    """Five hundred warnings in six seconds: the first is written at once, the rest are a number in the last line."""
    for n in range(500):
        lines.now = n * 6 / 500
        warn(path=f"/v1/orders/{n}")
    lines.folding.sweep()
    assert len(lines) == 1
    lines.now = 6 + QUIET_SECONDS + 1
    lines.folding.sweep()
    lines.folding.sweep()

    assert [(line["event"], line["level"]) for line in lines] == [("gateway.failed", "warning"), ("recovered", "info")]
    assert (lines[1]["ends"], lines[1]["reason"]) == ("gateway.failed", "StoreUnavailable")
    assert (lines[1]["times"], lines[1]["after_seconds"]) == (500, 6.0)


def test_an_outage_that_goes_on_is_said_once_a_minute(lines: Log) -> None:
    """With how often it came since the last line, and since when it goes on."""
    for second in range(181):
        lines.now = float(second)
        warn()

    assert [line.get("times") for line in lines] == [None, 60, 60, 60]
    assert lines[-1]["for_seconds"] == 180


def test_other_reasons_and_other_events_are_other_warnings(lines: Log) -> None:
    """A second fault is not hidden behind the first; information is never folded."""
    for _ in range(3):
        warn()
        warn("ChainUnavailable")
        warn(event="order.unreadable")
        structlog.get_logger().warning("serving.stuck", error="ChainUnavailable: no node answers")
        structlog.get_logger().warning("serving.stuck", error="ChainUnavailable: the node does not know block 7 yet")
        structlog.get_logger().info("round.posted")

    assert [line["event"] for line in lines].count("round.posted") == 3
    assert len(lines) == 3 + 4


def test_who_knows_that_it_is_over_says_so(lines: Log) -> None:
    """A line with ``ends`` says what it is the end of, for all reasons together; where nothing was going on it is not written."""
    log = structlog.get_logger()
    log.info("scheduler.recovered", ends="scheduler.step_failed")
    warn("ChainUnavailable", "scheduler.step_failed")
    lines.now = 2.0
    warn("StoreUnavailable", "scheduler.step_failed")
    lines.now = 5.0
    log.info("scheduler.recovered", ends="scheduler.step_failed")
    log.info("scheduler.recovered", ends="scheduler.step_failed")

    assert [line["event"] for line in lines] == ["scheduler.step_failed"] * 2 + ["scheduler.recovered"]
    assert (lines[-1]["times"], lines[-1]["after_seconds"]) == (2, 5.0)


def test_one_warning_needs_no_end(lines: Log) -> None:
    """What came once and not again is forgotten without a word, and is said at once when it comes again."""
    warn()
    lines.now = QUIET_SECONDS + 1
    lines.folding.sweep()
    warn()

    assert [line["event"] for line in lines] == ["gateway.failed"] * 2


def test_who_says_when_it_comes_back_is_not_taken_for_silent(lines: Log) -> None:
    """A daemon that waits for a minute, as its node asked it to, has not recovered meanwhile."""
    warn(again_in_seconds=60.0)
    warn(again_in_seconds=60.0)
    lines.now = QUIET_SECONDS + 50
    lines.folding.sweep()

    assert len(lines) == 1


def test_a_flood_of_different_warnings_is_not_remembered_for_ever(lines: Log) -> None:
    """Memory is bounded: the one that was silent longest is forgotten, and would be said again."""
    for number in range(KEPT + 1):
        warn(f"reason {number}")
    warn(f"reason {KEPT}")
    warn("reason 0")

    assert len(lines) == KEPT + 2


def test_crashes_are_folded_by_their_kind(lines: Log) -> None:
    """An exception's line carries its traceback once."""
    for n in range(3):
        try:
            {}[n]  # type: ignore[index]
        except KeyError:
            structlog.get_logger().exception("indexer.step_crashed")

    assert len(lines) == 1
