"""The prices that competition allows, from the linear program itself: the lowest and the highest dual of every tier of a market.

The program is the tight bound's (``bound``): GPUs may be split, but go only where the whole gang had room. Its dual has a price p for every tier
(offers of one kind with equally many GPUs free) and is worth Σ gpus × max(0, limit − the lowest p that the order can have) +
Σ free × max(0, p − ask). All p at which that is least are prices at which nobody has a reason to complain; there is a lowest and a highest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from scripts.bench.bound import fillable
from scripts.bench.columns import NOBODY, Columns, Ints

Floats = NDArray[np.float64]
Bounds = list[tuple[float, float | None]]
SLACK = 1e-6
"""How much worse than the least the dual may be, in units of the dearest price: a solver's last digit."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """Offers of one kind with equally many GPUs free, and groups of orders that may go to the same tiers."""

    of: Ints
    """Of each offer: its tier."""
    group: Ints
    """Of each order: its group, by demand and GPUs."""
    reaches: NDArray[np.bool_]
    """Whether a group (row) may go to a tier (column)."""


def tiers_of(columns: Columns) -> Tiers:
    """The tiers and groups of a market without pinned orders."""
    if (columns.pinned != NOBODY).any():
        raise ValueError("an order for one offer alone would be a group of its own")
    places, of = np.unique(np.stack((columns.kind, columns.free)), axis=1, return_inverse=True)
    asks, group = np.unique(np.stack((columns.demand, columns.gpus)), axis=1, return_inverse=True)
    reaches = columns.accepts[asks[0]][:, places[0]] & (asks[1][:, None] <= places[1][None, :])
    return Tiers(of.reshape(-1), group.reshape(-1), reaches)


def dual_interval(columns: Columns) -> tuple[Floats, Floats]:
    """The lowest and the highest price of each tier, in token units; no lower than 0 and no higher than the dearest limit or ask."""
    tiers = tiers_of(columns)
    unit = float(max(columns.limit.max(initial=1), columns.ask.max(initial=1)))
    count, groups = tiers.reaches.shape[1], tiers.reaches.shape[0]
    orders, offers = len(columns.gpus), len(columns.ask)
    # Variables: p of tiers, q of groups (the lowest p they reach), u of orders, v of offers.
    q, u, v = count, count + groups, count + groups + orders
    of_group, of_tier = np.nonzero(tiers.reaches)
    reach, order, offer = np.arange(len(of_group)), np.arange(orders), np.arange(offers)
    entries = [
        (reach, q + of_group, 1.0), (reach, of_tier, -1.0),  # q <= p
        (len(reach) + order, u + order, -1.0), (len(reach) + order, q + tiers.group, -1.0),  # limit - q <= u
        (len(reach) + orders + offer, v + offer, -1.0), (len(reach) + orders + offer, tiers.of, 1.0),  # p - ask <= v
    ]  # fmt: skip
    limits = np.concatenate([np.zeros(len(reach)), -columns.limit / unit, columns.ask / unit])
    cost = np.concatenate([np.zeros(count + groups), columns.gpus, fillable(columns)]).astype(np.float64)
    bounds: Bounds = [(0.0, 1.0)] * (count + groups) + [(0.0, None)] * (orders + offers)
    rows = _stacked(entries, (len(limits), len(cost)))
    least = _least(cost, rows, limits, bounds)
    tied = _stacked(
        [*entries, (np.full(len(cost), len(limits)), np.arange(len(cost)), cost)], (len(limits) + 1, len(cost))
    )
    most = np.append(limits, cost @ least + SLACK)
    prices = np.where(np.arange(len(cost)) < count, 1.0, 0.0)
    low, high = (_least(sign * prices, tied, most, bounds)[:count] * unit for sign in (1.0, -1.0))
    return low, high


def _stacked(entries: list[tuple[Ints, Ints, Any]], shape: tuple[int, int]) -> coo_array:
    values = np.concatenate([np.broadcast_to(value, row.shape) for row, _, value in entries])
    return coo_array(
        (values, (np.concatenate([row for row, _, _ in entries]), np.concatenate([at for _, at, _ in entries]))),
        shape=shape,
    ).tocsr()


def _least(cost: Floats, rows: Any, limits: Floats, bounds: Bounds) -> Floats:
    found = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
    if not found.success:
        raise RuntimeError(f"the program was not solved: {found.message}")
    return np.asarray(found.x)
