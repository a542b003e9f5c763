"""Watches a loop: whether it still takes steps, and when to give a process up that does not.

A loop *beats* when it begins to wait and when a step has got somewhere. Silence is counted in what the watchdog itself saw pass:
a process that was suspended, or a machine that slept, has not been silent.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

import structlog

LATE_SECONDS = 90.0
"""A step that gets nowhere for so long hangs: it has waited longer than any of its neighbours may take to answer."""
FATAL_SECONDS = 600.0
"""After so long the process ends: its supervisor starts a clean one."""
STOPPING_SECONDS = 60.0
"""How long the step that runs when the process is asked to end may take."""
EXIT_STATUS = 70
_LOOK_SECONDS = 1.0


class Pulse:
    """What a loop says of itself. Threads may share it."""

    def __init__(self, *, late_seconds: float = LATE_SECONDS, fatal_seconds: float = FATAL_SECONDS) -> None:
        self._lock = threading.Lock()
        self._late_seconds, self._fatal_seconds = late_seconds, fatal_seconds
        self._silence = 0.0
        self.failure: str | None = None
        """Why the last step failed; None while steps work, and before the first."""

    def beat(self, within_seconds: float = 0.0) -> None:
        """Something got done, and nothing need be heard for ``within_seconds``."""
        with self._lock:
            self._silence = -within_seconds

    def pass_time(self, seconds: float) -> None:
        with self._lock:
            self._silence += seconds

    @property
    def silence_seconds(self) -> float:
        """How long something is overdue."""
        return max(0.0, self._silence)

    @property
    def is_late(self) -> bool:
        return self._silence > self._late_seconds

    @property
    def is_lost(self) -> bool:
        return self._silence > self._fatal_seconds

    def check(self) -> str | None:
        """A ``Check``: whether the loop turns and its steps work."""
        if self.is_late:
            return f"a step has not got anywhere for {int(self.silence_seconds)} s"
        return self.failure


def _stderr() -> TextIO:
    """The process's own: what stands in its place may be no file."""
    assert sys.__stderr__, "daemons have one"
    return sys.__stderr__


def _end() -> None:
    """At once, without unwinding what hangs."""
    faulthandler.dump_traceback(_stderr(), all_threads=True)
    os._exit(EXIT_STATUS)


class Watchdog:
    """Looks at one pulse. ``end`` ends the process."""

    def __init__(
        self,
        pulse: Pulse,
        name: str,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        stopping_seconds: float = STOPPING_SECONDS,
        end: Callable[[], None] = _end,
    ) -> None:
        self._pulse, self._name, self._is_stopping, self._end = pulse, name, is_stopping, end
        self._stopping_left = stopping_seconds
        self._has_said = False

    def look(self, elapsed_seconds: float) -> None:
        """See what has become of the pulse in this time; say once that it is late, and end the process when it is lost."""
        self._pulse.pass_time(elapsed_seconds)
        log = structlog.get_logger()
        if self._pulse.is_late != self._has_said:
            self._has_said = self._pulse.is_late
            if self._has_said:
                log.error(f"{self._name}.hangs", silent_seconds=int(self._pulse.silence_seconds))
            else:
                log.info(f"{self._name}.goes_on", ends=f"{self._name}.hangs")
        if self._is_stopping():
            self._stopping_left -= elapsed_seconds
        if self._pulse.is_lost or self._stopping_left < 0:
            log.critical(
                f"{self._name}.given_up", silent_seconds=int(self._pulse.silence_seconds), stopping=self._is_stopping()
            )
            self._end()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look every second while the block runs, in a thread of its own."""
        done = threading.Event()
        thread = threading.Thread(target=self._keep_looking, args=(done,), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _keep_looking(self, done: threading.Event) -> None:
        """Where even this thread cannot run, as while native code keeps the interpreter, faulthandler's own one ends the process.

        That one knows the clock only: a process that was suspended for as long as is fatal is started anew.
        """
        before = monotonic()
        while not done.wait(_LOOK_SECONDS):
            now = monotonic()
            self.look(min(now - before, 2 * _LOOK_SECONDS))
            before = now
            faulthandler.dump_traceback_later(FATAL_SECONDS, exit=True, file=_stderr())
        faulthandler.cancel_dump_traceback_later()
