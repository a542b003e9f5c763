"""The only loop, the only sleep, the only broad except.

A daemon is a ``step`` that does one unit of work and says what it waits for. Everything else about being a daemon is here:
stopping cleanly on SIGTERM, backing off from errors that may pass, and dying loudly from those that will not.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version

import structlog

from marketplace.domain.errors import MarketplaceError, Stopping
from marketplace.domain.wake import NextWake
from marketplace.watchdog import Pulse, Watchdog

BACKOFF_FIRST_SECONDS = 0.25
BACKOFF_LIMIT_SECONDS = 8.0
RETRY_AFTER_LIMIT_SECONDS = 120.0
"""Who asks us to stay away for longer is asked again after this."""
UNEXPECTED_LIMIT = 20
"""After so many unexpected errors in a row the process ends: its supervisor starts a clean one."""

Step = Callable[[], NextWake]
About = Callable[[], Mapping[str, object]]
"""What the lines at the start and at the end say beside version and reason: where the daemon stands, in whose name. Must not raise."""


class Stop(threading.Event):
    """Set when the process has been asked to end. Idle waits wait on it, so that they end at once."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""
        """Which signal it was; empty where none was needed."""
        self._is_hung_up = self._has_told = False

    def on_signals(self) -> Stop:
        """Set on SIGTERM and SIGINT; a second one changes nothing: the first is being obeyed already. SIGHUP is survived."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_end)
        signal.signal(signal.SIGHUP, self._on_hangup)
        return self

    def done(self) -> None:
        """The process ends: a further signal, while Python takes itself apart, must not make a failure of it."""
        if self.reason:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)

    def was_hung_up(self) -> bool:
        """Whether a SIGHUP has come, once: later ones are not worth a line."""
        is_news = self._is_hung_up and not self._has_told
        self._has_told = self._has_told or is_news
        return is_news

    def _on_end(self, number: int, _frame: object) -> None:
        if not self.reason:
            self.reason = signal.Signals(number).name
            # Not here: the loop that was interrupted may hold the event's own lock.
            threading.Thread(target=self.set, daemon=True).start()

    def _on_hangup(self, _number: int, _frame: object) -> None:
        self._is_hung_up = True


class GentleStop(Stop):
    """A stop for who has something to finish first: the first SIGTERM or SIGINT asks to leave, a second one ends at once.

    ``is_asked`` after the first. Until ``may_ask`` there is nothing to finish, and the first ends at once as well.
    SIGHUP is heard as often as it comes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._may_ask = False
        self._asked = ""

    @property
    def is_asked(self) -> bool:
        """Whether a signal has asked to leave."""
        return bool(self._asked)

    def may_ask(self) -> None:
        """From now on somebody heeds ``is_asked``."""
        self._may_ask = True

    def leave(self, reason: str = "") -> None:
        """All is finished, or as much as could be: the loop ends. ``reason`` stands where no signal has asked for it."""
        self.reason = self.reason or self._asked or reason
        self.set()

    def take_hangup(self) -> bool:
        """Whether a SIGHUP has come since this was asked last."""
        was_hung_up, self._is_hung_up = self._is_hung_up, False
        return was_hung_up

    @property
    def has_hangup(self) -> bool:
        """Whether ``take_hangup`` has something to take."""
        return self._is_hung_up

    def was_hung_up(self) -> bool:
        return False

    def _on_end(self, number: int, frame: object) -> None:
        if self._asked or not self._may_ask:
            super()._on_end(number, frame)
            return
        self._asked = signal.Signals(number).name


def run_forever(
    step: Step,
    name: str,
    stop: Stop,
    *,
    wait: Callable[[float], object] | None = None,
    pulse: Pulse | None = None,
    about: About = dict,
) -> None:
    """Run ``step`` until ``stop`` is set; a step that runs then is finished, and no other begins.

    ``wait`` replaces the idle wait where work is pushed (a blocking pop, a new block). ``pulse`` is beaten, for who watches the loop.
    One line says when the daemon is up, after its first step that worked, and one why it has stopped.
    """
    loop = _Loop(step, name, pulse or Pulse(), about)
    reason = "crashed"
    try:
        with Watchdog(loop.pulse, name, is_stopping=stop.is_set).watching():
            while not stop.is_set():
                wake = loop.once()
                loop.pulse.beat(wake.within_seconds)
                if wake.within_seconds > 0 and not stop.is_set():
                    (stop.wait if wait is None or loop.failures else wait)(wake.within_seconds)
                    loop.pulse.beat()
                if stop.was_hung_up():
                    loop.log.info(f"{name}.hangup_ignored")
        reason = stop.reason or "asked to"
    finally:
        stop.done()
        loop.log.info(f"{name}.stopped", reason=reason, **about())


class _Loop:
    """What one daemon's loop remembers from step to step."""

    def __init__(self, step: Step, name: str, pulse: Pulse, about: About) -> None:
        self._step, self._name, self._about = step, name, about
        self.pulse, self.log = pulse, structlog.get_logger().bind(daemon=name)
        self.failures = self._unexpected = 0
        self._warned: set[str] = set()
        self._is_up = False

    def once(self) -> NextWake:
        """One step, and what to wait for after it. Raises what the process should end of."""
        try:
            wake = self._step()
        except Stopping:
            return NextWake.at_once()
        except MarketplaceError as error:
            wake = self._failed(f"{error.reason}: {error}", error, "step_failed")
            self.log.warning(
                f"{self._name}.step_failed", reason=error.reason, error=str(error), again_in_seconds=wake.within_seconds
            )
            return wake
        except Exception as error:
            self._unexpected += 1
            wake = self._failed(f"{type(error).__name__}: {error}", error, "step_crashed")
            self.log.exception(f"{self._name}.step_crashed", again_in_seconds=wake.within_seconds)
            if self._unexpected >= UNEXPECTED_LIMIT:
                raise
            return wake
        self._succeeded()
        return wake

    def _succeeded(self) -> None:
        for warning in sorted(self._warned):
            self.log.info(f"{self._name}.recovered", ends=warning)
        self._warned.clear()
        self.failures = self._unexpected = 0
        self.pulse.failure = None
        if not self._is_up:
            self._is_up = True
            self.log.info(f"{self._name}.up", version=version("compute-bourse"), **self._about())

    def _failed(self, why: str, error: Exception, event: str) -> NextWake:
        self.failures += 1
        self._warned.add(f"{self._name}.{event}")
        self.pulse.failure = why
        return NextWake(_backoff(self.failures, getattr(error, "retry_after_seconds", None)))


def _backoff(failures: int, retry_after_seconds: float | None = None) -> float:
    """Doubling, capped, and between half and all of it: the daemons of a market lose their node at the same moment.

    Who said when to come again is not asked before, and up to a quarter later.
    """
    most = min(BACKOFF_LIMIT_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, 16))
    asked = min(retry_after_seconds or 0.0, RETRY_AFTER_LIMIT_SECONDS)
    return max(most * random.uniform(0.5, 1.0), asked * random.uniform(1.0, 1.25))
