"""`python -m scripts.bench.regret`: what a misreport is worth by each way to price a fill, and how near prices are to the duals.

On generated markets one agent after another misreports, all others being truthful, and the engine clears again: a provider asks more than its
cost for all of its offers, a client bids less than its value in all of its orders. Who sits where depends on reports and not on the price
rule, so one clearing serves all rules. An agent's regret is the best that it could have gained, knowing all other reports.

Two measures tell how much of that is luck. *Noise*: what truthful agents would gain by the luckiest of as many draws of the lots that break ties.
*Thumb*: what the best single misreport gains on average, when nobody knows the others' reports.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from marketplace.domain.book import BookView
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.clear import clear
from scheduler.engine.columns import Reader
from scheduler.engine.plan import Plan
from scheduler.engine.snapshot import Snapshot
from scripts.bench import rules
from scripts.bench.columns import Columns, Ints, columns_of
from scripts.bench.duals import dual_interval, nodes_of
from scripts.bench.ends import Placed, prices_by
from scripts.bench.generators import GENERATORS, generator
from scripts.bench.regret_plot import draw_regret
from scripts.bench.versions import versions
from scripts.deep import tables
from scripts.deep.figures import Measured, write_figures

COMMAND = "make bench PART=regret"
MARKETS = ("uniform", "trace")
FACTORS: Mapping[str, tuple[float, ...]] = {
    "clients": (0.98, 0.95, 0.9, 0.8, 0.6),
    "providers": (1.02, 1.05, 1.1, 1.2, 1.5),
}
SAMPLE: Mapping[bool, int] = {True: 24, False: 6}
"""Agents of each side asked on each market, with and without a place."""

Floats = NDArray[np.float64]
Utilities = Mapping[tuple[str, str], Ints]
"""By side and rule: of each account, per hour in token units."""


class Bourse:
    """One market, cleared again and again with other reports. What everybody really wants is what the snapshot says."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.truth, self.reader = snapshot, Reader()
        self.columns = columns_of(snapshot)
        self.nodes = nodes_of(self.columns)
        self.plan, self.placed, self.utilities = self.cleared(snapshot.view, self.columns)
        self.surplus = self.columns.surplus(self.placed.orders, self.placed.offers)

    @property
    def has_orders_left_out(self) -> NDArray[np.bool_]:
        """Of each account."""
        is_left_out = np.ones(len(self.columns.client), np.bool_)
        is_left_out[self.placed.orders] = False
        return np.isin(np.arange(len(self.columns.balance)), self.columns.client[is_left_out])

    def cleared(self, view: BookView, reported: Columns) -> tuple[Plan, Placed, Utilities]:
        """The plan of these reports, and what it is really worth to each account by each rule."""
        plan = clear(replace(self.truth, view=view), reader=self.reader)
        orders, offers = reported.rows_of(plan.fills)
        placed = Placed(orders, offers, np.array([fill.price for fill in plan.fills], np.int64))
        true, accounts, found = self.columns, len(self.columns.balance), dict[tuple[str, str], Ints]()
        for rule, price in prices_by(reported, self.nodes, placed).items():
            for side, who, margin in (
                ("clients", true.client[orders], true.limit[orders] - price),
                ("providers", true.provider[offers], price - true.ask[offers]),
            ):
                found[side, rule] = np.zeros(accounts, np.int64)
                np.add.at(found[side, rule], who, true.gpus[orders] * margin)
        return plan, placed, found

    def gains(self, side: str, who: int) -> Mapping[str, Floats]:
        """What this account gains by each misreport, by rule."""
        found = [self._misreported(side, who, factor) for factor in FACTORS[side]]
        return {
            rule: np.array([utilities[side, rule][who] - self.utilities[side, rule][who] for utilities in found], float)
            for rule in rules.RULES
        }

    def _misreported(self, side: str, who: int, factor: float) -> Utilities:
        view, columns = self.truth.view, self.columns
        if side == "clients":
            limit = np.where(columns.client == who, (columns.limit * factor).astype(np.int64), columns.limit)
            shaded = {columns.order_ids[n]: int(limit[n]) for n in np.nonzero(columns.client == who)[0].tolist()}
            orders = tuple(
                replace(row, signed=replace(row.signed, order=replace(row.signed.order, max_price=PricePerGpuHour(shaded[row.id]))))
                if row.id in shaded else row for row in view.orders
            )  # fmt: skip
            return self.cleared(replace(view, orders=orders), replace(columns, limit=limit))[2]
        ask = np.where(columns.provider == who, (columns.ask * factor).astype(np.int64), columns.ask)
        padded = {columns.offer_ids[n]: int(ask[n]) for n in np.nonzero(columns.provider == who)[0].tolist()}
        offers = tuple(
            replace(row, price=PricePerGpuHour(padded[row.id])) if row.id in padded else row for row in view.offers
        )
        return self.cleared(replace(view, offers=offers), replace(columns, ask=ask))[2]

    def luck(self) -> Mapping[tuple[str, str], Ints]:
        """What each account gains by the luckiest of other draws of the lots."""
        view, best = self.truth.view, {key: np.zeros_like(utility) for key, utility in self.utilities.items()}
        for draw in range(len(FACTORS["clients"])):
            block = replace(view.block, hash=Bytes32(f"0x{draw + 1:02x}{view.block.hash[4:]}"))
            for key, utility in self.cleared(replace(view, block=block), self.columns)[2].items():
                best[key] = np.maximum(best[key], utility - self.utilities[key])
        return best


@dataclass
class Tally:
    """Means over markets of shares of each market's surplus."""

    shares: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, share: float) -> None:
        self.shares.setdefault(name, []).append(share)

    def percents(self) -> dict[str, float]:
        found = {name: round(100 * float(np.mean(shares)), 2) for name, shares in self.shares.items()}
        return found | {rules.error_key(rule): self._error(rule) for rule in rules.RULES if rule != rules.DEFAULT}

    def _error(self, rule: str) -> float:
        """The standard error of the difference from the default rule, in percent: the rules were tried on the same misreports."""
        ours, theirs = (np.array(self.shares[rules.total_key(one)]) for one in (rules.DEFAULT, rule))
        error = float(np.std(theirs - ours, ddof=min(1, len(ours) - 1))) / float(np.sqrt(len(ours)))
        return round(100 * error, 2)


def main(arguments: list[str]) -> int:
    """Measure, print, and write where the whole was measured."""
    options = _parser().parse_args(arguments)
    tally = Tally()
    jobs = [
        (name, kind, seed)
        for name in options.market or MARKETS
        for kind in rules.KINDS
        for seed in range(options.seeds)
    ]
    for name, kind, seed in track(jobs, "markets", console=Console(stderr=True), transient=True):
        bourse = Bourse(generator(name, *rules.KINDS[kind]).snapshot(seed))
        _add_regrets(tally, bourse, kind, np.random.default_rng(seed))
        _add_duals(tally, bourse)
    values = tally.percents() | {rules.other_key("markets"): len(jobs)}
    _print(values)
    if options.write or not arguments:
        write_figures(Measured(values, versions()), COMMAND)
        draw_regret(values)
        tables.main([])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.regret", description=__doc__)
    parser.add_argument("--market", choices=GENERATORS, action="append", help="on this market only")
    parser.add_argument("--seeds", type=int, default=2, help="so many markets of each kind (default: 2)")
    parser.add_argument("--write", action="store_true", help="write figures and plot all the same")
    return parser


def _add_regrets(tally: Tally, bourse: Bourse, kind: str, rng: np.random.Generator) -> None:
    """What a sample of agents gains, scaled to all of them."""
    luck, totals = bourse.luck(), dict.fromkeys(rules.RULES, 0.0)
    for side in rules.SIDES:
        found = [_asked(bourse, side, has_place, rng) for has_place in SAMPLE]
        for rule in rules.RULES:
            parts = [(len(everybody), np.array([gains[rule] for _, gains in asked])) for everybody, asked in found]
            best = sum(_scaled(count, np.maximum(0.0, gains.max(axis=1))) for count, gains in parts if len(gains))
            able = sum(_scaled(count, gains.max(axis=1) > 0) for count, gains in parts if len(gains))
            common = max(
                sum(_scaled(count, gains[:, n]) for count, gains in parts if len(gains))
                for n in range(len(FACTORS[side]))
            )
            worst = max(float(gains.max()) for _, gains in parts if len(gains))
            tally.add(rules.key("regret", rule, side), best / bourse.surplus)
            tally.add(rules.key("able", rule, side), able / sum(count for count, _ in parts))
            tally.add(rules.key("thumb", rule, side), max(0.0, common) / bourse.surplus)
            tally.add(rules.key("noise", rule, side), float(luck[side, rule].sum()) / bourse.surplus)
            tally.add(rules.key("worst", rule, side), max(0.0, worst) / bourse.surplus)
            totals[rule] += best / bourse.surplus
        if side == "clients":
            beside, (everybody, asked) = bourse.has_orders_left_out, found[0]
            mine = [max(0.0, gains[rules.DEFAULT].max()) * float(beside[who]) for who, gains in asked]
            tally.add(rules.other_key("regret_left_out"), _scaled(len(everybody), np.array(mine)) / bourse.surplus)
    for rule, total in totals.items():
        tally.add(rules.total_key(rule), total)
        tally.add(rules.total_key(rule, kind), total)
        tally.add(rules.share_key(rule), float(bourse.utilities["clients", rule].sum()) / bourse.surplus)


def _asked(
    bourse: Bourse, side: str, has_place: bool, rng: np.random.Generator
) -> tuple[Ints, Sequence[tuple[int, Mapping[str, Floats]]]]:
    """All agents of one side with a place, or without; and the gains of a sample of them."""
    columns, placed = bourse.columns, bourse.placed
    every = np.unique(columns.client if side == "clients" else columns.provider)
    seated = columns.client[placed.orders] if side == "clients" else columns.provider[placed.offers]
    everybody = every[np.isin(every, seated) == has_place]
    sample = rng.permutation(everybody)[: SAMPLE[has_place]]
    return everybody, [(who, bourse.gains(side, who)) for who in sample.tolist()]


def _scaled(count: int, sample: NDArray[Any]) -> float:
    """The sum over all of so many agents, of which these were asked."""
    return float(sample.mean()) * count


def _add_duals(tally: Tally, bourse: Bourse) -> None:
    """How far the prices of nodes are from the interval of the duals, by GPUs sold."""
    columns, nodes, placed = bourse.columns, bourse.nodes, bourse.placed
    row = {offer: n for n, offer in enumerate(columns.offer_ids)}
    of_node = np.zeros(nodes.reaches.shape[1], np.int64)
    for listed in bourse.plan.prices:
        of_node[nodes.of[row[listed.first_offer]]] = listed.price
    node, gpus = nodes.of[placed.offers], columns.gpus[placed.orders]
    price = of_node[node]
    lowest, highest = (end[node] for end in dual_interval(columns))
    below, above = np.maximum(0.0, lowest - price), np.maximum(0.0, price - highest)
    whole = float((gpus * price).sum())
    off = {"width": highest - lowest, "below": below, "above": above, "distance": below + above}
    for name, distance in off.items():
        tally.add(rules.other_key(f"dual_{name}"), float((gpus * distance).sum()) / whole)
    is_inside = (below < 1.0) & (above < 1.0)
    tally.add(rules.other_key("dual_inside"), float(gpus[is_inside].sum()) / float(gpus.sum()))


def _print(values: Mapping[str, float]) -> None:
    console = Console(width=112)
    for title, rows in _tables(values):
        table = Table(title, *(f"{side}" for side in rules.RULES), box=SIMPLE, padding=(0, 1, 0, 0))
        for name, cells in rows:
            table.add_row(name, *(f"{cell:.2f}" for cell in cells))
        console.print(table)
    console.print({name: values[rules.other_key(name)] for name in rules.OTHERS})


def _tables(values: Mapping[str, float]) -> Iterable[tuple[str, list[tuple[str, list[float]]]]]:
    for side in rules.SIDES:
        yield (
            f"{side}, % of surplus",
            [(name, [values[rules.key(name, rule, side)] for rule in rules.RULES]) for name in rules.MEASURES],
        )
    totals = [
        (kind or "all", [values[rules.total_key(rule, kind)] for rule in rules.RULES]) for kind in ("", *rules.KINDS)
    ]
    errors = [values.get(rules.error_key(rule), 0.0) for rule in rules.RULES]
    shares = [values[rules.share_key(rule)] for rule in rules.RULES]
    yield "regret of both sides", [*totals, ("± of the difference", errors), ("clients' part", shares)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
