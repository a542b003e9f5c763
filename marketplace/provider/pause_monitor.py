"""Whether this process lived all the time: one that was stopped, or slept with its machine, watched nobody's job meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LOOK_SECONDS = 0.5
BOUND_SECONDS = 3.0
"""A machine under load is late by less; what is longer is a lapse."""


def _clock() -> float:
    """Goes on while the machine sleeps. How long nobody watched; never evidence for a charge, only against one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PauseMonitor:
    """Notices that the whole process stood still.

    .start()          a thread that does nothing but look at the clock
    .has_lapsed()     whether it stood still for longer than the bound since it was asked last
    """

    def __init__(self, clock: Callable[[], float] = _clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._has_lapsed = False
        self._end = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._look_on, name="pause-monitor", daemon=True).start()

    def close(self) -> None:
        self._end.set()

    def look(self) -> None:
        """One look at the clock."""
        now = self._clock()
        with self._lock:
            self._has_lapsed = self._has_lapsed or now - self._looked_at > BOUND_SECONDS
            self._looked_at = now

    def has_lapsed(self) -> bool:
        self.look()
        with self._lock:
            lapsed, self._has_lapsed = self._has_lapsed, False
        return lapsed

    def _look_on(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            self.look()
