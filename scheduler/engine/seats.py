"""The hall: what there is to sit on at the prices of the last auction. Elders, who are seated first so that nobody waits for ever, who comes
last, and who prefers a region.

Elders and groups (``groups``) must be worth their seats: the auction is held once without groups, and whoever cannot pay the prices that came
of it is not seated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from marketplace.domain.units import BPS_WHOLE
from scheduler.engine.columns import ranked, sizes_of
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.facts import Facts
from scheduler.engine.market import NEVER, NOWHERE, Bools, Ints, gpus_on
from scheduler.engine.pools import Pools, asked_of, lowest_of, within_limits

PREFERRING = 1_000_000
"""Effort in units of some 500 ns for moving orders to regions that they prefer. Usual markets need a tenth of it at most."""

Seating = Mapping[int, int]
"""Rows of orders, and the offer that each sits on."""


@dataclass
class Hall:
    """What there is to sit on, and what it costs: room and price of each offer, in ticks."""

    facts: Facts
    pools: Pools
    limit: Ints
    room: Ints
    price: Ints

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

    def cheapest(self, rows: Ints) -> Ints:
        """What each of these orders would have to pay for a GPU at least; NEVER where no offer has room for it."""
        least, size_of = self._least(rows)
        return np.asarray(least[self.pools.demand[rows], size_of[self.facts.orders["gpus"][rows]]])

    def affordable(self, rows: Ints) -> Ints:
        """Those of these orders that could pay that."""
        least, size_of = self._least(rows)
        can = within_limits(rows, self.pools.demand, self.facts.orders["gpus"], size_of, self.limit, least)
        return np.asarray(rows[can])

    def _least(self, rows: Ints) -> tuple[Ints, Ints]:
        """The least cost of each demand and size; and the place of each number of GPUs among the sizes of these orders."""
        pools, gpus = self.pools, self.facts.orders["gpus"]
        sizes, size_of = sizes_of(gpus[rows], int(self.room.max(initial=0)))
        asked = asked_of(rows, pools.demand, gpus, size_of, len(pools.shard), len(sizes))
        cost = self.cost(np.arange(len(self.room)))
        least = lowest_of(
            sizes, asked, pools.accepts_from, pools.accepts, pools.members_from, pools.members, cost, self.room
        )
        return least, size_of

    def can_pay(self, rows: Iterable[int], seating: Seating) -> bool:
        """Whether each of these orders can pay for where it sits."""
        return all(self.cost(np.array([seating[row]]))[0] <= self.limit[row] for row in rows)

    def take(self, seating: Seating) -> None:
        for row, offer in seating.items():
            self.room[offer] -= self.facts.orders["gpus"][row]

    def cost_of(self, seating: Seating) -> int:
        gpus = self.facts.orders["gpus"][list(seating)]
        return int((gpus * self.cost(np.array(list(seating.values()), np.int64))).sum())

    def cost(self, offers: Ints) -> Ints:
        """What a GPU costs there: the clearing price, and never less than the ask."""
        return np.asarray(np.maximum(self.price[offers], self.facts.offers["ask"][offers]))


# Elders ---------------------------------------------------------------------------------------------------------------


def seat_elders(hall: Hall, standing: Ints, seats: Ints) -> dict[int, int]:
    """Seat those of ``standing`` that have waited beyond patience, the longest first, where their limits meet the prices.

    ``seats``: where each order sits without them. A small share of the seats goes to them, of those in which no other elder sits.
    """
    orders, snapshot = hall.facts.orders, hall.facts.snapshot
    since, sitting = orders["accepted_at"], np.nonzero(seats >= 0)[0]
    is_old = since + snapshot.policy.patience_seconds < snapshot.now.timestamp
    kept, elders = sitting[is_old[sitting]], standing[is_old[standing]]
    hall.room -= gpus_on(seats[kept], orders["gpus"][kept], len(hall.room))
    elders = hall.affordable(elders)
    most = max(1, len(sitting) * snapshot.policy.elders_per_thousand // 1_000)
    seated: dict[int, int] = {}
    in_vain: dict[tuple[int, int], int] = {}
    for row in elders[np.argsort(since[elders], kind="stable")].tolist():
        kind, limit = (int(hall.pools.demand[row]), int(orders["gpus"][row])), int(hall.limit[row])
        if len(seated) == most:
            break
        if limit <= in_vain.get(kind, -1):
            continue
        best, least = hall.best(row)
        if best != NOWHERE:
            seated[row] = best
            hall.take({row: best})
        else:
            in_vain[kind] = least - 1  # And it only gets dearer.
    return seated


def credit_of(snapshot: Snapshot, accepted_at: int, surplus: int) -> int:
    """What a market of this surplus may lose for an order that has waited since then."""
    policy, waited = snapshot.policy, snapshot.now.timestamp - accepted_at - snapshot.policy.patience_seconds
    times = 1 + waited // max(1, policy.credit_seconds) if waited > 0 else 0
    return surplus * policy.credit_bps * times // BPS_WHOLE


# Those who come last --------------------------------------------------------------------------------------------------


def served_last(facts: Facts) -> Bools:
    """The orders of clients whose fills keep failing by their own fault: money pulled, budgets spent, signatures withdrawn.

    The evidence is the contract's refusals (``BookView.faults``): it passes with time, and costs nobody else anything.
    """
    snapshot, names = facts.snapshot, facts.known.accounts.of
    struck = [
        names[client]
        for client, faults in snapshot.view.faults.items()
        if client in names and faults.count >= snapshot.policy.strikes and faults.is_recent(snapshot.now.number)
    ]
    return np.isin(facts.orders["client"], struck) if struck else np.zeros(facts.orders.rows, np.bool_)


def prefer(hall: Hall, seated: Ints) -> bool:
    """Move who prefers a region there, into room that nobody took, where it costs hardly more; whether anybody moved.

    Those of the highest limits choose first, while there is time.
    """
    facts, has_moved, effort = hall.facts, False, PREFERRING
    most_bps = 10_000 + facts.snapshot.policy.preference_bps
    choosing = np.nonzero((seated >= 0) & facts.orders["is_special"])[0]
    for row in choosing[np.argsort(-hall.limit[choosing], kind="stable")].tolist():
        spec = facts.columns.book[row].spec
        wanted = [facts.regions_met[name] for name in spec.constraints.prefer_regions if name in facts.regions_met]
        here, gpus = int(seated[row]), facts.orders["gpus"][row]
        if not wanted or facts.region[here] in wanted or spec.group is not None:
            continue
        if effort <= 0:
            break
        there, took = hall.choices(row), hall.fitting(row)
        effort -= 100 + took // 16
        there = there[np.isin(facts.region[there], wanted)]
        if len(there) and hall.cost(there[:1])[0] * 10_000 <= hall.cost(np.array([here]))[0] * most_bps:
            hall.room[here] += gpus
            hall.room[there[0]] -= gpus
            seated[row], has_moved = there[0], True
    return has_moved
