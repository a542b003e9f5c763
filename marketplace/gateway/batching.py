"""Requests that do one thing together: what waits while a batch is at work is the next batch.

Threads of its own do the work, so that the event loop goes on reading and understanding requests; the busier it is, the larger the batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

GATHERING_SECONDS = 0.002
"""Who has been answered comes again in a crowd: what is set to work beside another batch waits for so much of it."""

PATIENCE_SECONDS = 2.0
"""A batch takes milliseconds. Behind one that hangs nobody waits for longer: it is better to go alone then."""


class Batcher(Generic[Item, Answer]):
    """Called on one event loop. ``work`` answers each item of a batch, or raises for them all."""

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        most: int,
        at_once: int = 1,
        patience_seconds: float | None = PATIENCE_SECONDS,
    ) -> None:
        """``most``: of one batch; ``at_once``: so many batches are at work. Without ``patience_seconds`` everybody waits however long it takes."""
        self._work, self._most, self._at_once, self._patience_seconds = work, most, at_once, patience_seconds
        self._waiting = deque[tuple[Item, asyncio.Future[Answer | None]]]()
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=f"bourse-{name}")
        self._batches = 0
        """At work now."""
        self._is_stuck = False
        self._gathering: asyncio.TimerHandle | None = None

    async def ask(self, item: Item) -> Answer | None:
        """The item's answer; None where a batch before it hangs. Raises what the work raises."""
        if self._is_stuck:
            return None
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._go_on()
        return await future

    def _go_on(self) -> None:
        """Set to work on what waits: at once where nothing is at work; beside other batches once it has gathered for a moment, as they come in crowds."""
        if not self._waiting or self._batches == self._at_once:
            return
        if self._batches == 0:
            self._begin()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHERING_SECONDS, self._begin)

    def _begin(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if not self._waiting or self._batches == self._at_once:
            return
        loop = asyncio.get_running_loop()
        batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        self._batches += 1
        patience = self._patience_seconds
        timer = None if patience is None else loop.call_later(patience, self._give_up)
        working = loop.run_in_executor(self._threads, self._work, [item for item, _ in batch])
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
        self._batches -= 1
        self._is_stuck = False
        if error := done.exception():
            for future in asked:
                if not future.done():
                    future.set_exception(error)
        else:
            for future, answer in zip(asked, done.result(), strict=True):
                _tell(future, answer)
        self._go_on()


def _tell(future: asyncio.Future[Answer | None], answer: Answer | None) -> None:
    """Unless who asked is gone."""
    if not future.done():
        future.set_result(answer)
