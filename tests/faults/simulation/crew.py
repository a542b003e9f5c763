"""Many seeds at once, each in a process of its own that has imported everything before."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed

from tests.faults.simulation.run import Outcome, simulate

FAILED_ONCE: tuple[int, ...] = (5, 103, 105, 106, 109, 110, 111, 112, 117, 118, 119)
"""Seeds that found something; they stay, with those among the thousands that `make deep` takes anyhow (1016, 1060, 1064, 1171, 1234)."""
SECONDS_FOR_A_SEED = 200
"""A seed takes ten; on a machine three times slower under load, a minute."""


def workers() -> int:
    """Two at least: half of a seed's time is the node's."""
    return max(2, os.cpu_count() or 2)


class Crew:
    """Seeds are run in the order in which they are given; ``outcome`` waits for one."""

    def __init__(self, seeds: Iterable[int]) -> None:
        # Forking would copy threads' locks in whatever state they are.
        self._pool = ProcessPoolExecutor(workers(), mp_context=multiprocessing.get_context("spawn"))
        self._running: dict[int, Future[Outcome]] = {seed: self._pool.submit(simulate, seed) for seed in seeds}

    def outcome(self, seed: int) -> Outcome:
        return self._running[seed].result(SECONDS_FOR_A_SEED * (1 + len(self._running) // workers()))

    def outcomes(self) -> Iterator[Outcome]:
        """All, as they come."""
        for done in as_completed(self._running.values()):
            yield done.result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
