"""Who is placed before others or after them: overdue orders, so that nobody waits for ever; who comes last; and who prefers a region.

Overdue orders and groups (``groups``) must be worth their GPUs: whoever cannot pay the prices of the auction is not placed.
"""

from __future__ import annotations

import numpy as np

from marketplace.domain.units import BPS_WHOLE
from scheduler.engine.arrays import NOWHERE, Bools, Ints, gpus_on
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.matching.supply import Supply
from scheduler.engine.tables.facts import Facts

PREFERRING = 1_000_000
"""Effort in units of some 500 ns for moving orders to regions that they prefer. Usual markets need a tenth of it at most."""


# Overdue orders -------------------------------------------------------------------------------------------------------


def overdue_placements(supply: Supply, left_out: Ints, assigned: Ints) -> dict[int, int]:
    """Place those of ``left_out`` that have waited beyond patience, the longest first, where their limits meet the prices.

    ``assigned``: the offer of each order without them. Only a small share of the placements goes to them, and none that another overdue order has.
    """
    orders, snapshot = supply.facts.orders, supply.facts.snapshot
    since, placed = orders["accepted_at"], np.nonzero(assigned >= 0)[0]
    is_overdue = since + snapshot.policy.patience_seconds < snapshot.now.timestamp
    kept, overdue = placed[is_overdue[placed]], left_out[is_overdue[left_out]]
    supply.room -= gpus_on(assigned[kept], orders["gpus"][kept], len(supply.room))
    overdue = overdue[supply.cheapest(overdue) <= supply.limit[overdue]]
    most = max(1, len(placed) * snapshot.policy.elders_per_thousand // 1_000)
    found: dict[int, int] = {}
    in_vain: dict[tuple[int, int], int] = {}
    for row in overdue[np.argsort(since[overdue], kind="stable")].tolist():
        gang, limit = (int(supply.pools.demand[row]), int(orders["gpus"][row])), int(supply.limit[row])
        if len(found) == most:
            break
        if limit <= in_vain.get(gang, -1):
            continue
        best, least = supply.best(row)
        if best != NOWHERE:
            found[row] = best
            supply.take({row: best})
        else:
            in_vain[gang] = least - 1  # And it only gets dearer.
    return found


def credit_of(snapshot: Snapshot, accepted_at: int, surplus: int) -> int:
    """What a market of this surplus may lose for an order that has waited since then."""
    policy, waited = snapshot.policy, snapshot.now.timestamp - accepted_at - snapshot.policy.patience_seconds
    times = 1 + waited // max(1, policy.credit_seconds) if waited > 0 else 0
    return surplus * policy.credit_bps * times // BPS_WHOLE


# Those who come last, and preferred regions ---------------------------------------------------------------------------


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


def move_to_preferred(supply: Supply, assigned: Ints) -> bool:
    """Move who prefers a region there, into room that nobody took, where it costs hardly more; whether anybody moved.

    Those of the highest limits choose first, while there is time.
    """
    facts, has_moved, effort = supply.facts, False, PREFERRING
    most_bps = 10_000 + facts.snapshot.policy.preference_bps
    choosing = np.nonzero((assigned >= 0) & facts.orders["is_special"])[0]
    for row in choosing[np.argsort(-supply.limit[choosing], kind="stable")].tolist():
        spec = facts.columns.book[row].spec
        wanted = [facts.regions_met[name] for name in spec.constraints.prefer_regions if name in facts.regions_met]
        here, gpus = int(assigned[row]), facts.orders["gpus"][row]
        if not wanted or facts.region[here] in wanted or spec.group is not None:
            continue
        if effort <= 0:
            break
        there, took = supply.choices(row), supply.fitting(row)
        effort -= 100 + took // 16
        there = there[np.isin(facts.region[there], wanted)]
        if len(there) and supply.cost(there[:1])[0] * 10_000 <= supply.cost(np.array([here]))[0] * most_bps:
            supply.room[here] += gpus
            supply.room[there[0]] -= gpus
            assigned[row], has_moved = there[0], True
    return has_moved
