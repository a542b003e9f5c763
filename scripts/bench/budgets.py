"""`python -m scripts.bench.budgets`: how near to the optimum a round comes whose clients are short of money. Some minutes.

The yardstick is more than any round can reach that has one price for equal machines: HiGHS has everybody pay the ask of its own offer, so that
money goes furthest. Greedy is the engine without an auction: the highest limits first, nobody gives way, the same prices and the same count.
"""

from __future__ import annotations

import argparse
import statistics
import sys

from scheduler.engine.auction.bidding import highest_first
from scheduler.engine.clear import clear
from scripts.bench import budget_words as b
from scripts.bench.bound import surplus_of
from scripts.bench.columns import columns_of
from scripts.bench.exact import by_mip
from scripts.bench.generators import Uniform
from scripts.bench.versions import versions
from scripts.deep import tables
from scripts.deep.figures import Measured, write_figures

SOLVER_SECONDS = 60.0


def market(share: float) -> Uniform:
    """Three models in two regions, five orders to a client, jobs of various lengths."""
    return Uniform(
        orders=b.ORDERS, offers=b.OFFERS, models=3, regions=2, bursts_per_client=5, client_money=share, seconds_spread=1.0
    )  # fmt: skip


def ratios(share: float, seed: int, solver_seconds: float = SOLVER_SECONDS) -> tuple[float, float]:
    """Of one market: the engine's surplus over the yardstick, and over greedy."""
    snapshot = market(share).snapshot(seed)
    columns = columns_of(snapshot)
    engine, greedy = (surplus_of(columns, plan.fills) for plan in (clear(snapshot), clear(snapshot, highest_first)))
    return engine / by_mip(columns, solver_seconds).surplus(columns), engine / greedy


def main(arguments: list[str]) -> int:
    """Measure, print, and write unless another number of seeds than the published was asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.budgets", description=__doc__)
    parser.add_argument("--seeds", type=int, default=b.SEEDS, help=f"markets of each kind (default: {b.SEEDS})")
    options = parser.parse_args(arguments)
    found = list[tuple[float, float]]()
    for share in b.SHARES:
        found += (here := [ratios(share, seed) for seed in range(options.seeds)])
        told = (statistics.mean(column) for column in zip(*here, strict=True))
        print(f"money for {share:.0%}: {' '.join(f'{value:.4f}' for value in told)}", flush=True)
    optimum, greedy = (round(statistics.mean(column), 4) for column in zip(*found, strict=True))
    print(
        f"in all: {optimum} of the yardstick, {greedy} times greedy; the least {min(one for _, one in found):.4f} times"
    )
    if options.seeds == b.SEEDS:
        write_figures(Measured({b.RATIO: optimum, b.OVER_GREEDY: greedy}, versions()), b.COMMAND)
        tables.main([])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
