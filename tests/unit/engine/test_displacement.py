"""Who would release a machine: those who lose least for each GPU, and nobody who need not go."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from scheduler.engine.arrays import NEVER, NOWHERE, Ints, Records
from scheduler.engine.auction.displacement import PAIR, displaced_by, first_to_free, least_loss, sort_by_loss
from scheduler.engine.auction.state import OFFER, ORDER, assign

HOP, PATH, ASK = 5, 7, 100
COUNTS = [1, 2, 3, 8, 40, 3_000]


class Machine:
    """One machine on which so many orders assign, some of them moved by this path already, or held; some have been quoted a place elsewhere."""

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.orders: Records = np.zeros(count, ORDER)
        self.orders["gpus"] = rng.choice([1, 2, 4, 8], count)
        self.orders["limit"] = ASK + rng.integers(0, 1 + count // 2, count) * 7
        self.orders["demand"] = rng.integers(0, 3, count)
        self.orders["size"] = np.searchsorted([1, 2, 4, 8], self.orders["gpus"])
        self.orders["offer"] = self.orders["next"] = self.orders["previous"] = self.orders["path"] = NOWHERE
        self.orders["path"][rng.random(count) < 0.1] = PATH
        self.orders["is_held"] = rng.random(count) < 0.1
        self.elsewhere: Ints = np.full((3, 4), NEVER, np.int64)
        self.elsewhere[1] = np.array([1, 2, 4, 8]) * (ASK + 30)
        self.offers: Records = np.zeros(1, OFFER)
        self.offers["first"], self.offers["ask"] = NOWHERE, ASK
        self.offers["room"] = int(self.orders["gpus"].sum()) + 3
        for order in range(count):
            assign(self.orders, self.offers, order, 0)
        self.displaced: Records = np.zeros(count + 1, PAIR)

    def loss(self, order: int) -> int:
        """What this order would lose, from the definition."""
        row = self.orders[order]
        gpus, limit = int(row["gpus"]), int(row["limit"])
        elsewhere = int(self.elsewhere[row["demand"], row["size"]])
        return max(0, min(gpus * limit, elsewhere) - gpus * ASK) + (gpus * ASK >> HOP) + 1

    def displaced_by(self, gpus: int) -> tuple[list[int], int]:
        n, loss = displaced_by(self.orders, self.offers, self.elsewhere, self.displaced, PATH, 0, gpus, HOP)
        return [int(row["order"]) for row in self.displaced[: max(0, n)]], loss

    def expected(self, gpus: int) -> tuple[list[int], int]:
        """By sorting once, in fractions: take until it is enough, then keep, from the last, who need not go."""
        short = gpus - int(self.offers["room"][0])
        may_go = [n for n, row in enumerate(self.orders) if row["path"] != PATH and not row["is_held"]]
        may_go.sort(key=lambda n: (Fraction(self.loss(n), int(self.orders["gpus"][n])), -n))
        going = list[int]()
        while may_go and self._freed(going) < short:
            going.append(may_go.pop(0))
        if self._freed(going) < short:
            return [], NEVER
        for order in reversed(going.copy()):
            if self._freed(going) - int(self.orders["gpus"][order]) >= short:
                going.remove(order)
        return going, sum(self.loss(n) for n in going)

    def _freed(self, rows: list[int]) -> int:
        return int(self.orders["gpus"][rows].sum())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", COUNTS)
def test_those_leave_who_lose_least_for_each_gpu_and_nobody_who_need_not(count: int, seed: int) -> None:
    """Whatever is asked for, from what is free to more than all; those of this path, and held ones, stay."""
    machine = Machine(count, seed)
    every = int(machine.orders["gpus"].sum()) + 3
    for gpus in sorted({1, 3, 4, 5, 6, 7, 9, 12, every // 4, every // 2, every * 3 // 4, every, every + 1}):
        assert machine.displaced_by(gpus) == machine.expected(gpus), gpus


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", COUNTS)
def test_one_sort_tells_the_loss_for_every_size(count: int, seed: int) -> None:
    """Quotes go from size to size through the same sorted displaced."""
    machine = Machine(count, seed)
    may_go = [n for n, row in enumerate(machine.orders) if row["path"] != PATH and not row["is_held"]]
    for at, order in enumerate(may_go):
        machine.displaced["order"][at], machine.displaced["value"][at] = order, machine.loss(order)
    sort_by_loss(machine.orders, machine.displaced, len(may_go))
    held = int(machine.orders["gpus"][may_go].sum())

    n, freed, loss, told = 0, 0, 0, {}
    for short in sorted({1, 2, 3, 5, 8, 13, held // 3, held // 2, held} - {0}):
        if short <= held:
            n, freed, loss = first_to_free(machine.orders, machine.displaced, short, n, freed, loss)
            told[3 + short] = least_loss(machine.orders, machine.displaced, short, n, freed, loss)

    assert told == {gpus: machine.expected(gpus)[1] for gpus in told}
    assert told or not held
