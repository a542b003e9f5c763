"""No round can be worth more than this: the market with splittable GPUs, solved as a flow of least cost.

GPUs flow from orders to offers. An arc from the source brings at most an order's GPUs at minus its limit, an arc to the sink takes at most an
offer's free GPUs at its ask; between them orders that ask for the same, in gangs of one size, are one node, and so are offers of one kind. What
the flow earns is what whole gangs cannot surpass, because every plan of whole gangs is such a flow.

*Tight*: a kind's node has a level for every number of free GPUs. A gang enters at the first level that is large enough for it and may go up,
never down: no gang takes parts of offers that are each too small for it. An offer takes no more GPUs than sizes of gangs add up to.
*Loose*: without levels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

from marketplace.domain.fills import Fill
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.columns import NOBODY, Columns, Ints, columns_of

SOURCE, SINK = 0, 1
PLENTY = 2**40
"""More GPUs than any market has."""


def ratio(snapshot: Snapshot, fills: Iterable[Fill]) -> float:
    """What these fills are worth, as a share of the tight bound of their market; 1 where there is nothing to win."""
    columns = columns_of(snapshot)
    most = tight_bound(columns)
    return surplus_of(columns, fills) / most if most else 1.0


def surplus_of(columns: Columns, fills: Iterable[Fill]) -> int:
    """GPUs × (limit − ask) per hour of these fills together, in token units."""
    return columns.surplus(*columns.rows_of(fills))


def tight_bound(columns: Columns) -> int:
    """The most that a round can be worth, per hour in token units, where gangs need room on one offer. Balances are not looked at."""
    return _solved(columns, np.maximum(columns.free, 0), columns.gpus, fillable(columns))


def loose_bound(columns: Columns) -> int:
    """The same without gangs: every GPU may go anywhere."""
    return _solved(columns, np.ones_like(columns.free), np.ones_like(columns.gpus), columns.free)


def fillable(columns: Columns) -> Ints:
    """The most GPUs of each offer that whole gangs can take: the largest sum of sizes of gangs that its kind may serve."""
    most = columns.free.copy()
    groups = np.unique(np.stack([columns.demand, columns.gpus]), axis=1)
    for kind in np.unique(columns.kind).tolist():
        sizes = np.unique(groups[1, columns.accepts[groups[0], kind]]).tolist()
        here = np.flatnonzero(columns.kind == kind)
        reached = [True]
        for total in range(1, int(columns.free[here].max()) + 1):
            reached.append(any(size <= total and reached[total - size] for size in sizes))
        sums = np.maximum.accumulate(np.where(reached, np.arange(len(reached)), 0))
        most[here] = sums[columns.free[here]]
    return most


def _solved(columns: Columns, level: Ints, entry: Ints, capacity: Ints) -> int:
    """What the best flow earns. Offers stand on a level of their kind; orders enter at the first level that is not below their entry."""
    arcs = _Arcs()
    width = int(max(level.max(initial=0), entry.max(initial=0))) + 1
    levels = np.unique(columns.kind * width + level)
    groups, group = np.unique(columns.demand * width + entry, return_inverse=True)
    first_level, first_group = 2, 2 + len(levels)
    first_pinned = first_group + len(groups)
    level_node = first_level + np.searchsorted(levels, columns.kind * width + level)

    # Orders bring their GPUs: to their group, or to the one offer that they are for.
    free_to_go = columns.pinned == NOBODY
    may_go = ~free_to_go & columns.accepts[columns.demand, columns.kind[columns.pinned]]
    may_go &= columns.gpus <= columns.free[columns.pinned]
    pinned_offers, pinned = np.unique(columns.pinned[may_go], return_inverse=True)
    arcs.add(SOURCE, first_group + group[free_to_go], columns.gpus[free_to_go], -columns.limit[free_to_go])
    arcs.add(SOURCE, first_pinned + pinned, columns.gpus[may_go], -columns.limit[may_go])

    # Groups may go to every kind that they accept, and there upwards.
    of_group, of_kind = np.nonzero(columns.accepts[groups // width])
    wanted = of_kind * width + groups[of_group] % width
    place = np.searchsorted(levels, wanted)
    is_there = levels[np.minimum(place, len(levels) - 1)] // width == of_kind
    is_there &= place < len(levels)
    arcs.add(first_group + of_group[is_there], first_level + place[is_there], PLENTY, 0)
    upwards = np.flatnonzero(levels[1:] // width == levels[:-1] // width)
    arcs.add(first_level + upwards, first_level + upwards + 1, PLENTY, 0)

    # Offers take GPUs off the market.
    leaves = level_node.copy()
    leaves[pinned_offers] = first_pinned + np.arange(len(pinned_offers))
    arcs.add(level_node[pinned_offers], leaves[pinned_offers], PLENTY, 0)
    arcs.add(leaves, SINK, capacity, columns.ask)
    return arcs.most_earned(int(columns.gpus.sum()))


@dataclass(slots=True)
class _Arcs:
    """A network, arc by arc: tail, head, capacity, cost of one unit."""

    rows: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, *columns: Ints | int) -> None:
        self.rows.append(
            np.stack(np.broadcast_arrays(*(np.asarray(column, dtype=np.int64) for column in columns)), -1).reshape(
                -1, 4
            )
        )

    def most_earned(self, units: int) -> int:
        """What so many units earn at best between source and sink. They may also go past the market, for nothing."""
        rows = np.concatenate([*self.rows, np.array([[SOURCE, SINK, units, 0]])])
        # Arcs between the same nodes at the same cost are one arc.
        ways, way = np.unique(rows[:, [0, 1, 3]], axis=0, return_inverse=True)
        room = np.zeros(len(ways), dtype=np.int64)
        np.add.at(room, way.reshape(-1), rows[:, 2])
        flow = SimpleMinCostFlow()
        flow.add_arcs_with_capacity_and_unit_cost(
            ways[:, 0].astype(np.int32), ways[:, 1].astype(np.int32), np.minimum(room, PLENTY), ways[:, 2]
        )
        flow.set_nodes_supplies(np.array([SOURCE, SINK], dtype=np.int32), np.array([units, -units]))
        status = flow.solve()
        if status != flow.OPTIMAL:
            raise RuntimeError(f"the flow was not solved: {status}")
        return -int(flow.optimal_cost())
