"""Folds warnings that repeat: said at once the first time, then once a minute with how often, and once more when they are over.

A neighbour that is away for six seconds is one thing that happens, not five hundred. Two warnings are the same where their event and
their reason are. A warning is over when somebody says so (a line with ``ends=<event>``, as the daemons' loop writes after a step that
worked), or when it has not come for a while.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog

AGAIN_SECONDS = 60.0
"""A warning that goes on is said so often."""
QUIET_SECONDS = 15.0
"""A warning that has not come for so long is over; longer where it says itself when it will be back (``again_in_seconds``)."""
SWEEP_SECONDS = 5.0
KEPT = 200
"""Different warnings that are remembered; beyond that the one that was silent longest is forgotten."""

_FOLDED = ("warning", "error", "critical")
_Key = tuple[str, str]
_Line = MutableMapping[str, Any]


@dataclass(slots=True)
class _Warning:
    first: float
    said: float
    last: float
    quiet_seconds: float
    times: int = 1
    unsaid: int = 0


class Folding:
    """A structlog processor, to stand behind ``add_log_level`` and before the rendering."""

    def __init__(self, *, clock: Callable[[], float] = monotonic, sweeps: bool = True) -> None:
        """``sweeps``: whether a thread looks for what has fallen silent; without, ``sweep`` is the caller's to call."""
        self._clock, self._sweeps = clock, sweeps
        self._lock = threading.Lock()
        self._open: OrderedDict[_Key, _Warning] = OrderedDict()
        self._is_sweeping = False

    def __call__(self, _logger: Any, _method: str, line: _Line) -> _Line:
        if "ends" in line:
            return self._ended(line)
        if line.get("level") not in _FOLDED:
            return line
        with self._lock:
            told = self._counted((str(line["event"]), _reason_of(line)), line)
        self._start_sweeping()
        if told is None:
            raise structlog.DropEvent
        return told

    def sweep(self) -> None:
        """Say of each warning that has fallen silent that it is over; one that came once needs no end."""
        now = self._clock()
        with self._lock:
            silent = [key for key, one in self._open.items() if now - one.last > one.quiet_seconds]
            repeated = [key for key in silent if self._open[key].times > 1]
            for key in set(silent) - set(repeated):
                del self._open[key]
        for event, reason in repeated:
            structlog.get_logger().info("recovered", ends=event, reason=reason)

    def _counted(self, key: _Key, line: _Line) -> _Line | None:
        """The line to write, if any."""
        now, known = self._clock(), self._open.get(key)
        quiet = QUIET_SECONDS + float(line.get("again_in_seconds") or 0.0)
        if known is None:
            self._open[key] = _Warning(now, now, now, quiet)
            if len(self._open) > KEPT:
                self._open.popitem(last=False)
            return line
        self._open.move_to_end(key)
        known.last, known.quiet_seconds = now, quiet
        known.times, known.unsaid = known.times + 1, known.unsaid + 1
        if now - known.said < AGAIN_SECONDS:
            return None
        line.update(times=known.unsaid, for_seconds=round(now - known.first, 1))
        known.said, known.unsaid = now, 0
        return line

    def _ended(self, line: _Line) -> _Line:
        """The line with what it is the end of; none where nothing was going on."""
        event, reason = str(line["ends"]), line.get("reason")
        with self._lock:
            keys = [key for key in self._open if key[0] == event and reason in (None, key[1])]
            over = [self._open.pop(key) for key in keys]
        if not over:
            raise structlog.DropEvent
        after = self._clock() if reason is None else max(one.last for one in over)
        line["after_seconds"] = round(after - min(one.first for one in over), 1)
        line["times"] = sum(one.times for one in over)
        return line

    def _start_sweeping(self) -> None:
        with self._lock:
            if self._is_sweeping or not self._sweeps or not self._open:
                return
            self._is_sweeping = True
        threading.Thread(target=self._keep_sweeping, name="folding", daemon=True).start()

    def _keep_sweeping(self) -> None:
        waiting = threading.Event()
        while True:
            waiting.wait(SWEEP_SECONDS)
            self.sweep()
            with self._lock:
                if not self._open:
                    self._is_sweeping = False
                    return


def _reason_of(line: _Line) -> str:
    """What tells this warning from others of its event: its reason, or the kind of its error. Texts vary, kinds do not."""
    if line.get("reason"):
        return str(line["reason"])
    if line.get("exc_info"):
        kind = sys.exc_info()[0]
        return kind.__name__ if kind else ""
    return str(line.get("error", "")).partition(":")[0]
