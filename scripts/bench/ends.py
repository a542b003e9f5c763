"""What the fills of a plan would pay by other rules: as asked, as offered, and at the other end of the prices that competition allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scripts.bench.columns import Columns, Ints
from scripts.bench.duals import Tiers

NEVER = np.int64(1) << 60


@dataclass(frozen=True, slots=True)
class Placed:
    """A plan in columns: rows of orders and of offers side by side, and what the engine has them pay."""

    orders: Ints
    offers: Ints
    paid: Ints


def prices_by(columns: Columns, tiers: Tiers, placed: Placed) -> Mapping[str, Ints]:
    """What each fill pays by each rule (``rules.RULES``), in token units for a GPU-hour."""
    ask, limit = columns.ask[placed.offers], columns.limit[placed.orders]
    lowest = np.zeros(tiers.reaches.shape[1], np.int64)
    np.maximum.at(lowest, tiers.of[placed.offers], placed.paid)
    upper = np.clip(highest_prices(columns, tiers, placed, lowest)[tiers.of[placed.offers]], placed.paid, limit)
    return {"clearing": placed.paid, "middle": (placed.paid + upper) // 2, "upper": upper, "ask": ask, "limit": limit}


def highest_prices(columns: Columns, tiers: Tiers, placed: Placed, lowest: Ints) -> Ints:
    """The most that leaves nobody with a reason to complain, of each tier: the engine's rules seen from the other side.

    No higher than any limit that pays it, than the ask of a machine there on which nothing was sold, and than the price of any tier where one
    who pays it could have gone; but never below the lowest price.
    """
    tier, group = tiers.of[placed.offers], tiers.group[placed.orders]
    price = np.full(len(lowest), NEVER)
    np.minimum.at(price, tier, columns.limit[placed.orders])
    is_unsold = columns.free > 0
    is_unsold[placed.offers] = False
    np.minimum.at(price, tiers.of[is_unsold], columns.ask[is_unsold])
    pairs = np.unique(np.stack((group, tier)), axis=1)
    of_group, of_tier = np.nonzero(tiers.reaches)
    starts = np.searchsorted(of_group, np.arange(len(tiers.reaches)))
    is_reaching = tiers.reaches.any(axis=1)
    price = np.maximum(price, lowest)
    while True:
        cheapest = np.full(len(tiers.reaches), NEVER)
        cheapest[is_reaching] = np.minimum.reduceat(price[of_tier], starts[is_reaching])
        lower = price.copy()
        np.minimum.at(lower, pairs[1], cheapest[pairs[0]])
        lower = np.maximum(lower, lowest)
        if (lower == price).all():
            return price
        price = lower
