"""Who is seated before the auction: groups, all of their orders or none, and elders, so that nobody waits for ever.

Both must be worth their seats: the auction is held once without groups, and whoever cannot pay the prices that came of it is not seated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from marketplace.domain.book import BookOrder, RejectionReason
from scheduler.engine.columns import sizes_of
from scheduler.engine.facts import Facts
from scheduler.engine.market import NEVER, NOWHERE, Bools, Ints, gpus_on
from scheduler.engine.pools import Pools, asked_of, lowest_of, within_limits

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

    def choices(self, row: int) -> Ints:
        """The offers that could take this order at their prices, the cheapest first, then the best."""
        demand = int(self.pools.demand[row])
        if demand not in self._by_cost:
            offers = self.pools.offers_of(demand)
            self._by_cost[demand] = offers[np.argsort(self.cost(offers), kind="stable")]
        offers = self._by_cost[demand]
        fits = (self.room[offers] >= self.facts.orders["gpus"][row]) & (self.cost(offers) <= self.limit[row])
        return np.asarray(offers[fits])

    def best(self, row: int) -> int:
        """The first of these choices, or NOWHERE."""
        offers, gpus = self.pools.members_of(int(self.pools.demand[row])), self.facts.orders["gpus"][row]
        cost = self.cost(offers)
        fits = (self.room[offers] >= gpus) & (cost <= self.limit[row])
        if not fits.any():
            return NOWHERE
        cheapest = offers[fits & (cost == cost[fits].min())]
        return int(cheapest[self.pools.rank[cheapest].argmin()])

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


# Groups ---------------------------------------------------------------------------------------------------------------


def groups_of(book: Sequence[BookOrder], rows: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """The rows of each group by its first row; a group is of one client, and whole if it has all of its ranks once.

    A group that is not whole is told so by an empty tuple for each of its rows.
    """
    members = defaultdict[tuple[str, str, int], list[int]](list)
    for row in rows:
        group = book[row].spec.group
        if group is not None:
            members[book[row].signed.order.client, group.id, group.size].append(row)
    found: dict[int, tuple[int, ...]] = {}
    for (_, _, size), linked in members.items():
        ranks = sorted(group.rank for row in linked if (group := book[row].spec.group))
        if ranks == list(range(size)):
            found[min(linked)] = tuple(linked)
        else:
            found |= dict.fromkeys(linked, ())
    return found


def seat_groups(hall: Hall, groups: Iterable[tuple[int, ...]]) -> dict[int, int]:
    """Seat whole groups, each with the provider who can take all of it for least: elders first, then the highest limits."""
    seated, groups = dict[int, int](), list(groups)
    if not groups:
        return seated
    rows = np.array([row for linked in groups for row in linked], np.int64)
    finds_none = {row for row, cost in zip(rows.tolist(), hall.cheapest(rows), strict=True) if cost > hall.limit[row]}
    for linked in sorted(groups, key=lambda linked: _turn(hall, linked)):
        best = None if finds_none.intersection(linked) else _cheapest_together(hall, linked)
        if best is not None:
            hall.take(best)
            seated |= best
    return seated


def _turn(hall: Hall, linked: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
    """Elders by age, then the highest limits for a GPU, then the smallest ids."""
    rows, snapshot, orders = np.array(linked), hall.facts.snapshot, hall.facts.orders
    since, gpus = int(orders["accepted_at"][rows].max()), orders["gpus"][rows]
    is_elder = since + snapshot.policy.patience_seconds < snapshot.now.timestamp
    limit = int((gpus * np.maximum(0, hall.limit[rows])).sum() // gpus.sum())
    return since if is_elder else int(snapshot.now.timestamp), -limit, linked


def _cheapest_together(hall: Hall, linked: tuple[int, ...]) -> dict[int, int] | None:
    """Distinct offers of one provider for all orders of a group; the choosiest order chooses first."""
    providers = hall.facts.offers["provider"]
    choices = {row: hall.choices(row) for row in linked}
    enough = np.bincount(providers[np.unique(np.concatenate(list(choices.values())))]) >= len(linked)
    theirs = defaultdict[int, dict[int, list[int]]](dict)
    for row, offers in choices.items():
        for offer in offers[enough[providers[offers]]].tolist():
            theirs[int(providers[offer])].setdefault(row, []).append(offer)
    firsts = {who: {row: options[row][0] for row in options} for who, options in theirs.items()}
    least = {who: hall.cost_of(first) for who, first in firsts.items() if len(first) == len(linked)}
    best, cost = None, NEVER
    for who in sorted(least, key=lambda who: (least[who], sorted(firsts[who].items()))):
        # Even if each order had the cheapest machine for itself, this provider and all after it would cost more.
        if least[who] >= cost:
            break
        seating = _together(linked, theirs[who])
        if seating is not None and hall.cost_of(seating) < cost:
            best, cost = seating, hall.cost_of(seating)
    return best


def _together(linked: tuple[int, ...], options: Mapping[int, list[int]]) -> dict[int, int] | None:
    """A seat for each, no offer twice, or None: augmenting paths, so that one is found if there is one."""
    if len(options) < len(linked):
        return None
    taken: dict[int, int] = {}

    def seat(row: int, tried: set[int]) -> bool:
        for offer in options[row]:
            if offer not in tried:
                tried.add(offer)
                if offer not in taken or seat(taken[offer], tried):
                    taken[offer] = row
                    return True
        return False

    every = all(seat(row, set()) for row in sorted(linked, key=lambda row: (len(options[row]), row)))
    return {row: offer for offer, row in taken.items()} if every else None


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
        best = hall.best(row)
        if best != NOWHERE:
            seated[row] = best
            hall.take({row: best})
        else:
            in_vain[kind] = limit
    return seated


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

    Those of the highest limits choose first.
    """
    facts, has_moved = hall.facts, False
    most_bps = 10_000 + facts.snapshot.policy.preference_bps
    choosing = np.nonzero((seated >= 0) & facts.orders["is_special"])[0]
    for row in choosing[np.argsort(-hall.limit[choosing], kind="stable")].tolist():
        spec = facts.columns.book[row].spec
        wanted = [facts.regions_met[name] for name in spec.constraints.prefer_regions if name in facts.regions_met]
        here, gpus = int(seated[row]), facts.orders["gpus"][row]
        if not wanted or facts.region[here] in wanted or spec.group is not None:
            continue
        there = hall.choices(row)
        there = there[np.isin(facts.region[there], wanted)]
        if len(there) and hall.cost(there[:1])[0] * 10_000 <= hall.cost(np.array([here]))[0] * most_bps:
            hall.room[here] += gpus
            hall.room[there[0]] -= gpus
            seated[row], has_moved = there[0], True
    return has_moved


def group_reasons(groups: Mapping[int, tuple[int, ...]], apart: set[int]) -> dict[int, RejectionReason]:
    """Why rows of groups have no seat."""
    incomplete = {row: RejectionReason.GROUP_INCOMPLETE for row, linked in groups.items() if not linked}
    return incomplete | dict.fromkeys(apart, RejectionReason.GROUP_NOT_TOGETHER)
