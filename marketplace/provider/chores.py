"""Slow work beside the agent's step: each chore runs on a thread, at most once at a time, and hands its outcome to the step.

Chores fetch, bundle, upload and wait for transactions. They decide nothing and write no journal, so a crash in the middle
of one is a crash before it: the next start does it again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from marketplace.domain.errors import GatewayProblem

T = TypeVar("T")

THREADS = 16


class ChorePool:
    """The threads. ``close`` leaves running chores to end by themselves and forgets the rest."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="chore")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        return self._threads.submit(work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Chore(Generic[T]):
    """One piece of slow work that may have to be done again.

    begin(work, block)   starts it unless it is under way; after a failure, not before the next block
    take(block)          its result, once; None while there is none; raises what the work raised
    """

    def __init__(self, pool: ChorePool) -> None:
        self._pool = pool
        self._future: Future[T] | None = None
        self._failed_in_block = -1

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun and its outcome has not been taken."""
        return self._future is not None

    @property
    def is_finished(self) -> bool:
        """Whether its outcome waits to be taken."""
        return self._future is not None and self._future.done()

    def begin(self, work: Callable[[], T], block: int) -> None:
        if self._future is None and block != self._failed_in_block:
            self._future = self._pool.submit(work)

    def take(self, block: int) -> T | None:
        if self._future is None or not self._future.done():
            return None
        future, self._future = self._future, None
        if future.exception() is not None:
            self._failed_in_block = block
        return future.result()

    def forget(self) -> None:
        """Take no notice of what is under way any more."""
        if self._future is not None:
            self._future.cancel()
        self._future = None


def distrusted(ask: Callable[[], T]) -> T:
    """What the gateway answers, or a typed problem where its answer makes no sense: it must not be able to stop the agent."""
    try:
        return ask()
    except (LookupError, TypeError, ValueError) as exc:
        raise GatewayProblem(200, "Malformed", f"the gateway's answer makes no sense: {exc!r}") from exc
