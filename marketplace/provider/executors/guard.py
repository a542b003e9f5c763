"""Ends a job when it has to go: a thread that waits for the clock and for wishes, and for nothing that a job can touch.

The thread that watches the job (``watch``) reads its output and looks at its folders; whatever a job does to keep that
one busy, the time limit and the agent's word are in force here. Every end begins with SIGTERM and ends, after a grace,
with SIGKILL; only what would hurt the machine meanwhile (memory, a disk that fills up) ends at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from typing import Final

from marketplace.provider.executors.base import EndReason, Limits
from marketplace.provider.executors.usage import kill, terminate_command

ASK: Final = signal.SIGUSR1
"""What a supervisor is sent when its job is to end, with a grace."""
INSIST: Final = signal.SIGUSR2
"""What a supervisor is sent when its job is to end at once."""
HEARD: Final = (ASK, INSIST)
UNHEARD: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""What terminals and service managers send to all processes of an agent: not for a supervisor, which outlives it.

All of these are blocked when a supervisor is started, so that none comes before it can hear."""
_AGAIN_SECONDS: Final = 0.25
_STUCK_SECONDS: Final = 60.0
"""How long after the kill the watching thread may take to see the end; then the supervisor ends, and all with it."""


class GuardWishes:
    """Where ASK and INSIST arrive, from the first moment of a supervisor on; and by what the guard is woken."""

    def __init__(self) -> None:
        """Hear them from now on. Only in the process's main thread."""
        self.arrivals, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (*HEARD, *UNHEARD):
            signal.signal(number, _nothing_to_do)  # not SIG_IGN, which the job would inherit
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*HEARD, *UNHEARD))

    def wake(self) -> None:
        """Let whoever waits for wishes look at the clock again."""
        with contextlib.suppress(BlockingIOError):  # there is enough to wake up for
            os.write(self._wake, b"\0")

    def take(self) -> bytes:
        """The numbers of all signals that have come."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.arrivals, 4096)
        return b""


class Guard:
    """Carries out the first wish for a job's end, and makes what is left of it go faster if a later one says so."""

    def __init__(self, limits: Limits, outermost: int, wishes: GuardWishes) -> None:
        """``outermost`` is a handle of the sandbox's outermost process. The time limit counts from here."""
        self.reason: EndReason | None = None
        self.evidence = ""
        self.killed_at = float("inf")
        """When it was killed, by the machine's monotonic clock."""
        self._limits, self._target = limits, outermost
        self._first: int | None = None
        self._deadline = time.monotonic() + limits.wall_seconds
        self._kill_at = float("inf")
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._wishes = wishes

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="guard", daemon=True).start()

    def follow(self, first: int, handle: int | None) -> None:
        """Signal the sandbox's first process from now on: the kernel ends all others in it when that one ends."""
        with self._lock:
            self._first = first
            self._target = self._target if handle is None else handle

    def end(self, reason: EndReason, evidence: str, *, at_once: bool = False) -> None:
        """End the job. The first reason is the one that counts."""
        with self._lock:
            is_news = self.reason is None
            if is_news:
                self.reason, self.evidence = reason, evidence
                self._kill_at = time.monotonic() + self._limits.grace_seconds
            if at_once or (is_news and not self._is_told()):
                self._kill_at = time.monotonic()
        self._wishes.wake()

    def is_over(self) -> None:
        """Nothing is left to end."""
        self._over.set()
        self._wishes.wake()

    def _is_told(self) -> bool:
        return self._first is not None and terminate_command(self._first)

    def _run(self) -> None:
        arrivals = select.poll()
        arrivals.register(self._wishes.arrivals, select.POLLIN)
        while not self._over.is_set():
            next_at = min(self._kill_at, self._deadline if self.reason is None else self._kill_at)
            wait_seconds = min(max(0.0, next_at - time.monotonic()), 3600.0)
            if arrivals.poll(wait_seconds * 1000):
                self._take_wishes()
            self._look(time.monotonic())

    def _take_wishes(self) -> None:
        wishes = self._wishes.take()
        if ASK in wishes or INSIST in wishes:
            self.end(EndReason.KILLED, "its agent asked for it", at_once=INSIST in wishes)

    def _look(self, now: float) -> None:
        if self.reason is None and now >= self._deadline:
            self.end(EndReason.TIME_LIMIT, f"its {self._limits.wall_seconds} s are over")
        with self._lock:
            if now < self._kill_at or self._over.is_set():
                return
            self.killed_at = min(self.killed_at, now)
            kill(self._target)
            self._kill_at = now + _AGAIN_SECONDS
        if now > self.killed_at + _STUCK_SECONDS:
            os._exit(1)


def _nothing_to_do(number: int, frame: object) -> None:
    """Its number is in the pipe already."""
