"""Requests that do one thing together: what waits while a batch is at work is the next batch.

A thread of its own does the work, so that the event loop goes on reading and understanding requests; the busier it is, the larger its batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

PATIENCE_SECONDS = 2.0
"""A batch takes milliseconds. Behind one that hangs nobody waits for longer: it is better to go alone then."""


class Batcher(Generic[Item, Answer]):
    """Called on one event loop. ``work`` answers each item of a batch, or raises for them all; it never runs twice at once."""

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        most: int,
        patience_seconds: float | None = PATIENCE_SECONDS,
    ) -> None:
        """``most``: of one batch. Without ``patience_seconds`` everybody waits however long it takes."""
        self._work, self._most, self._patience_seconds = work, most, patience_seconds
        self._waiting = deque[tuple[Item, asyncio.Future[Answer | None]]]()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"bourse-{name}")
        self._is_busy = self._is_stuck = False

    async def ask(self, item: Item) -> Answer | None:
        """The item's answer; None where a batch before it hangs. Raises what the work raises."""
        if self._is_stuck:
            return None
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._is_busy:
            self._begin()
        return await future

    def _begin(self) -> None:
        """Set to work on what waits."""
        loop = asyncio.get_running_loop()
        batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        self._is_busy = True
        patience = self._patience_seconds
        timer = None if patience is None else loop.call_later(patience, self._give_up)
        working = loop.run_in_executor(self._thread, self._work, [item for item, _ in batch])
        working.add_done_callback(lambda done: self._end([future for _, future in batch], done, timer))

    def _give_up(self) -> None:
        """What is at work will be answered; what waits for it goes alone."""
        self._is_stuck = True
        while self._waiting:
            _tell(self._waiting.popleft()[1], None)

    def _end(
        self,
        asked: Sequence[asyncio.Future[Answer | None]],
        done: asyncio.Future[Sequence[Answer]],
        timer: asyncio.TimerHandle | None,
    ) -> None:
        if timer is not None:
            timer.cancel()
        self._is_busy = self._is_stuck = False
        if error := done.exception():
            for future in asked:
                if not future.done():
                    future.set_exception(error)
        else:
            for future, answer in zip(asked, done.result(), strict=True):
                _tell(future, answer)
        if self._waiting:
            self._begin()


def _tell(future: asyncio.Future[Answer | None], answer: Answer | None) -> None:
    """Unless who asked is gone."""
    if not future.done():
        future.set_result(answer)
