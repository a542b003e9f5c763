"""What `make bench PART=budgets` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

COMMAND = "make bench PART=budgets"
ORDERS, OFFERS = 250, 100
SHARES, SEEDS = (0.05, 0.1, 0.2, 0.4), 5
"""Of what all orders of a client would lock at their limits, the client has so much."""
RATIO, OVER_GREEDY = "clearing.budget_ratio_250", "clearing.budget_over_greedy"


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    place = f"{ORDERS} orders on {OFFERS} offers, clients short of money"
    return {
        RATIO: f"surplus by the engine, over the best that HiGHS finds where everybody pays only the ask, {place}, mean",
        OVER_GREEDY: f"the same over greedy at the engine's prices, {place}, mean",
    }
