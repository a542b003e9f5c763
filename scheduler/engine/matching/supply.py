"""What could be had at the prices of a clearing: room and price of each offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scheduler.engine.arrays import NEVER, NOWHERE, Ints, ranked, sizes_of
from scheduler.engine.matching.pools import Pools, asked_of, lowest_of
from scheduler.engine.tables.facts import Facts
from scheduler.engine.tables.ticks import TickColumn

Placements = Mapping[int, int]
"""Rows of orders, and the offer that each is placed on."""


@dataclass
class Supply:
    """What is to be had, and what it costs: room and price of each offer."""

    facts: Facts
    pools: Pools
    limit: TickColumn
    """Of each order."""
    room: Ints
    price: TickColumn

    def __post_init__(self) -> None:
        self._by_cost: dict[int, Ints] = {}

    @cached_property
    def provider(self) -> Ints:
        """Of each offer: its provider, numbered from 0."""
        return ranked(self.facts.offers["provider"])[1]

    @cached_property
    def _by_provider(self) -> list[Ints]:
        return np.split(np.argsort(self.provider, kind="stable"), np.cumsum(np.bincount(self.provider))[:-1])

    def offers_by(self, provider: int) -> Ints:
        """All offers of this provider."""
        return self._by_provider[provider]

    def choices(self, row: int) -> Ints:
        """The offers that could take this order at their prices, the cheapest first, then the best."""
        demand = int(self.pools.demand[row])
        if demand not in self._by_cost:
            offers = self.pools.offers_of(demand)
            self._by_cost[demand] = offers[np.argsort(self.cost(offers), kind="stable")]
        offers = self._by_cost[demand]
        fits = (self.room[offers] >= self.facts.orders["gpus"][row]) & (self.cost(offers) <= self.limit[row])
        return np.asarray(offers[fits])

    def fitting(self, row: int) -> int:
        """How many offers ``choices`` had to look at for this order, which was asked for them before."""
        return len(self._by_cost.get(int(self.pools.demand[row]), ()))

    def best(self, row: int) -> tuple[int, int]:
        """The first of these choices, or NOWHERE; and the least cost of an offer with room for it, or NEVER."""
        offers, gpus = self.pools.members_of(int(self.pools.demand[row])), self.facts.orders["gpus"][row]
        offers = offers[self.room[offers] >= gpus]
        cost = self.cost(offers)
        least = int(cost.min(initial=NEVER))
        if least > self.limit[row]:
            return NOWHERE, least
        cheapest = offers[cost == least]
        return int(cheapest[self.pools.rank[cheapest].argmin()]), least

    def cheapest(self, rows: Ints) -> TickColumn:
        """What each of these orders would have to pay for a GPU at least; NEVER where no offer has room for it."""
        pools, gpus = self.pools, self.facts.orders["gpus"]
        sizes, size_of = sizes_of(gpus[rows], int(self.room.max(initial=0)))
        asked = asked_of(rows, pools.demand, gpus, size_of, len(pools.shard), len(sizes))
        cost = self.cost(np.arange(len(self.room)))
        least = lowest_of(
            sizes, asked, pools.accepts_from, pools.accepts, pools.members_from, pools.members, cost, self.room
        )
        return TickColumn(least[pools.demand[rows], size_of[gpus[rows]]])

    def can_pay(self, rows: Iterable[int], placements: Placements) -> bool:
        """Whether each of these orders can pay for where it is placed."""
        return all(self.cost(np.array([placements[row]]))[0] <= self.limit[row] for row in rows)

    def take(self, placements: Placements) -> None:
        for row, offer in placements.items():
            self.room[offer] -= self.facts.orders["gpus"][row]

    def cost_of(self, placements: Placements) -> int:
        gpus = self.facts.orders["gpus"][list(placements)]
        return int((gpus * self.cost(np.array(list(placements.values()), np.int64))).sum())

    def cost(self, offers: Ints) -> TickColumn:
        """What a GPU costs there: the clearing price, and never less than the ask."""
        return TickColumn(np.maximum(self.price[offers], self.facts.offers["ask"][offers]))
