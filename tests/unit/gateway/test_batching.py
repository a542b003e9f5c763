"""Requests that do one thing together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from marketplace.domain.errors import StoreUnavailable
from marketplace.gateway.batching import Batcher

PATIENCE_SECONDS = 0.05


class Work:
    """Doubles numbers, once it is let; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_end, self.is_twice_at_work = threading.Event(), threading.Event()

    def __call__(self, batch: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(batch))
        if len(self.batches) == 2:
            self.is_twice_at_work.set()
        assert self.may_end.wait(30)
        return [2 * number for number in batch]


def test_what_waits_while_a_batch_is_at_work_is_the_next_batch() -> None:
    """Each gets its own answer, and no batch is larger than it may be."""
    work = Work()

    async def asked() -> list[int | None]:
        together = Batcher("test", work, most=3, patience_seconds=None)
        waiting = [asyncio.ensure_future(together.ask(number)) for number in range(6)]
        await asyncio.sleep(0)
        work.may_end.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(asked()) == [0, 2, 4, 6, 8, 10]
    assert work.batches == [[0], [1, 2, 3], [4, 5]]


def test_beside_a_batch_at_work_another_is_when_it_has_gathered() -> None:
    """As many at once as are said, the second with all that came meanwhile; a third waits for one of them."""
    work = Work()

    async def asked() -> list[int | None]:
        together = Batcher("test", work, most=3, at_once=2, patience_seconds=None)
        waiting = [asyncio.ensure_future(together.ask(number)) for number in range(6)]
        assert await asyncio.to_thread(work.is_twice_at_work.wait, 30)
        assert work.batches == [[0], [1, 2, 3]]
        work.may_end.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(asked()) == [0, 2, 4, 6, 8, 10]
    assert work.batches == [[0], [1, 2, 3], [4, 5]]


def test_nobody_waits_behind_a_batch_that_hangs() -> None:
    """Who waits and who comes goes alone; the batch itself is answered when it ends, and then all is as before."""
    work = Work()

    async def asked() -> list[int | None]:
        together = Batcher("test", work, most=3, patience_seconds=PATIENCE_SECONDS)
        hanging = asyncio.ensure_future(together.ask(1))
        await asyncio.sleep(0)  # it begins
        behind, later = await together.ask(2), await together.ask(3)
        work.may_end.set()
        return [await hanging, behind, later, await together.ask(4)]

    assert asyncio.run(asked()) == [2, None, None, 8]


def test_what_goes_wrong_is_told_to_all_of_a_batch() -> None:
    """And not to those of the next one."""
    is_broken = [True, False]

    def work(batch: Sequence[int]) -> Sequence[int]:
        if is_broken.pop(0):
            raise StoreUnavailable("journal")
        return batch

    async def asked() -> int | None:
        together = Batcher("test", work, most=3)
        with pytest.raises(StoreUnavailable):
            await together.ask(1)
        return await together.ask(2)

    assert asyncio.run(asked()) == 2
