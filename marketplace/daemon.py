"""The only loop, the only sleep, the only broad except.

A daemon is a ``step`` that does one unit of work and says what it waits for. Everything else about being a daemon is here:
stopping cleanly on SIGTERM, backing off from errors that may pass, and dying loudly from those that will not.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import structlog

from marketplace.domain.errors import MarketplaceError
from marketplace.domain.wake import NextWake

BACKOFF_FIRST_SECONDS = 0.25
BACKOFF_LIMIT_SECONDS = 8.0
UNEXPECTED_LIMIT = 20
"""After so many unexpected errors in a row the process ends: its supervisor starts a clean one."""

Step = Callable[[], NextWake]


class Stop(threading.Event):
    """Set when the process has been asked to end. Idle waits wait on it, so that they end at once."""

    def on_signals(self) -> Stop:
        """Set on SIGTERM and SIGINT. A second signal changes nothing: the first is being obeyed already."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.set())
        return self


def run_forever(step: Step, name: str, stop: Stop, *, wait: Callable[[float], object] | None = None) -> None:
    """Run ``step`` until ``stop`` is set. ``wait`` replaces the idle wait where work is pushed (a blocking pop, a new block)."""
    log = structlog.get_logger().bind(daemon=name)
    failures = unexpected = 0
    while not stop.is_set():
        try:
            wake = step()
            failures = unexpected = 0
        except MarketplaceError as error:
            failures += 1
            wake = NextWake(_backoff(failures))
            log.warning(
                f"{name}.step_failed", reason=error.reason, error=str(error), again_in_seconds=wake.within_seconds
            )
        except Exception:
            failures, unexpected = failures + 1, unexpected + 1
            wake = NextWake(_backoff(failures))
            log.exception(f"{name}.step_crashed", again_in_seconds=wake.within_seconds)
            if unexpected >= UNEXPECTED_LIMIT:
                raise
        if wake.within_seconds > 0 and not stop.is_set():
            (stop.wait if wait is None or failures else wait)(wake.within_seconds)


def _backoff(failures: int) -> float:
    """Doubling, capped. No jitter: every daemon talks to its own few neighbours, there is no herd to scatter."""
    return min(BACKOFF_LIMIT_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 16))
