"""Slow work beside the agent's step: each chore runs on a thread, at most once at a time, and hands its outcome to the step.

The pools share nothing: transactions (``money``), work on the machine (the sandbox, disk), pulls of images, and one for each gateway
(``gateways``). What hangs in one takes no place in another. A chore of the gateway has a deadline: after it nobody waits for it any more.
Chores decide nothing and write no journal, so a crash in the middle of one is a crash before it: the next start does it again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

import structlog

from marketplace.domain.errors import GatewayProblem, GatewayUnavailable
from marketplace.provider.isolation import fulfil

T = TypeVar("T")

MONEY_THREADS = 32
GATEWAY_THREADS = 16
MACHINE_THREADS = 8
IMAGE_THREADS = 4
SPARE_THREADS = 48
"""So many abandoned chores of one pool are replaced; beyond that the pool waits until one of them ends."""

_log = structlog.get_logger()

_Work = tuple[Future[Any], Callable[[], Any]]


class ChorePool:
    """Threads that keep no process alive. Whoever abandons a chore gets its place back, while the thread ends by itself."""

    def __init__(self, name: str = "chore", threads: int = MACHINE_THREADS) -> None:
        self._name, self._places = name, threads
        self._waiting: deque[_Work] = deque()
        self._changed = threading.Condition()
        self._idle = self._employed = 0
        self._abandoned: set[int] = set()
        self._is_closed = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            self._waiting.append((future, work))
            if self._idle < len(self._waiting) and self._employed < self._places + len(self._abandoned):
                self._employ()
            self._changed.notify()
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Nobody waits for this one any more: if it is under way, another thread takes its place."""
        with self._changed:
            if future.cancel() or future.done() or len(self._abandoned) >= SPARE_THREADS:
                return
            self._abandoned.add(id(future))
            if self._waiting:
                self._employ()

    def close(self) -> None:
        """Forget what waits; what runs ends by itself."""
        with self._changed:
            self._is_closed = True
            waiting = tuple(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for future, _ in waiting:
            future.cancel()

    def _employ(self) -> None:
        try:
            threading.Thread(target=self._serve, name=f"{self._name} {self._employed}", daemon=True).start()
        except RuntimeError as exc:
            # The machine gives no more threads: what waits is done by those that are there.
            _log.warning("chores.no_thread", pool=self._name, error=str(exc))
            return
        self._employed += 1

    def _serve(self) -> None:
        while (taken := self._next()) is not None:
            future, work = taken
            if future.set_running_or_notify_cancel():
                fulfil(future, work)
            with self._changed:
                if id(future) in self._abandoned:
                    self._abandoned.discard(id(future))
                    self._employed -= 1
                    return

    def _next(self) -> _Work | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            self._idle -= 1
            return self._waiting.popleft() if self._waiting else None


@dataclass(frozen=True, slots=True)
class ChorePools:
    """The pools of one agent. ``money`` sends transactions, and nothing else ever gets in there."""

    money: ChorePool
    machine: ChorePool
    images: ChorePool = field(default_factory=lambda: ChorePool("images", IMAGE_THREADS))
    """Pulls images, which takes minutes: nothing else waits behind one."""

    @classmethod
    def separate(cls) -> ChorePools:
        return cls(
            ChorePool("money", MONEY_THREADS),
            ChorePool("machine", MACHINE_THREADS),
        )

    def close(self) -> None:
        for pool in (self.money, self.machine, self.images):
            pool.close()


class Chore(Generic[T]):
    """One piece of slow work that may have to be done again.

    begin(work, block)   starts it unless it is under way; after a failure, not before the next block
    take(block)          its result, once; None while there is none; raises what the work raised, and GatewayUnavailable when it
                         was not done within the seconds that ``begin`` gave it: it is abandoned then
    """

    def __init__(self, pool: ChorePool) -> None:
        self._pool = pool
        self._future: Future[T] | None = None
        self._seconds: float | None = None
        self._until = float("inf")
        self._failed_in_block = -1

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun and its outcome has not been taken."""
        return self._future is not None

    @property
    def is_finished(self) -> bool:
        """Whether its outcome waits to be taken."""
        return self._future is not None and self._future.done()

    def begin(self, work: Callable[[], T], block: int, *, seconds: float | None = None) -> None:
        """``seconds``: of this machine's clock, from now on; None where it is never abandoned."""
        if self._future is None and block != self._failed_in_block:
            self._seconds, self._until = seconds, float("inf") if seconds is None else monotonic() + seconds
            self._future = self._pool.submit(work)

    def take(self, block: int) -> T | None:
        if self._future is None:
            return None
        if not self._future.done():
            self._abandon_if_late(block)
            return None
        future, self._future = self._future, None
        if future.exception() is not None:
            self._failed_in_block = block
        return future.result()

    def _abandon_if_late(self, block: int) -> None:
        if self._future is not None and monotonic() >= self._until:
            self._pool.abandon(self._future)
            self._future, self._failed_in_block = None, block
            raise GatewayUnavailable(f"the gateway has not answered within {self._seconds:.0f} s")

    def defer(self, block: int) -> None:
        """Its result was of no use: not again before the next block."""
        self._failed_in_block = block

    def forget(self) -> None:
        """Take no notice of what is under way any more."""
        if self._future is not None:
            self._pool.abandon(self._future)
        self._future = None


def distrusted(ask: Callable[[], T]) -> T:
    """What the gateway answers, or a typed problem where its answer makes no sense: it must not be able to stop the agent."""
    try:
        return ask()
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as exc:
        raise GatewayProblem(200, "Malformed", f"the gateway's answer makes no sense: {exc!r:.200}") from exc
