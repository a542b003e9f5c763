"""`python -m scripts.bench.regret`: what a misreport is worth by each way to price a fill, and how near prices are to the duals.

On generated markets one agent after another misreports, all others being truthful, and the engine clears again: a provider asks more than its
cost for all of its offers, a client bids less than its value in all of its orders. Who is placed where depends on reports and not on the price
rule, so one clearing serves all rules. An agent's regret is the best that it could have gained, knowing all other reports.

Two measures tell how much of that is luck. *Noise*: what truthful agents would gain by the luckiest of as many draws of the lots that break ties.
*Thumb*: what the best single misreport gains on average, when nobody knows the others' reports.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
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
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.tables.columns import ColumnReader
from scripts.bench import rules
from scripts.bench.columns import Columns, Ints, columns_of
from scripts.bench.duals import dual_interval, tiers_of
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
LARGEST, OTHERS, UNPLACED = 12, 14, 5
"""Agents of each side asked on each market: those who trade the most GPUs, some of the others with a place, and some without."""

Floats = NDArray[np.float64]
Utilities = Mapping[tuple[str, str], Ints]
"""By side and rule: of each account, per hour in token units."""


class Bourse:
    """One market, cleared again and again with other reports. What everybody really wants is what the snapshot says."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.truth, self.reader = snapshot, ColumnReader()
        self.columns = columns_of(snapshot)
        self.tiers = tiers_of(self.columns)
        self.plan, self.placed, self.utilities = self.cleared(snapshot.view, self.columns)
        self.surplus = self.columns.surplus(self.placed.orders, self.placed.offers)

    def traded(self, side: str) -> Ints:
        """GPUs that each account has of the truthful plan, or sells in it."""
        orders, offers = self.placed.orders, self.placed.offers
        found = np.zeros(len(self.columns.balance), np.int64)
        np.add.at(
            found,
            self.columns.client[orders] if side == "clients" else self.columns.provider[offers],
            self.columns.gpus[orders],
        )
        return found

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
        for rule, price in prices_by(reported, self.tiers, placed).items():
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
    parser.add_argument("--seeds", type=int, default=3, help="so many markets of each kind (default: 3)")
    parser.add_argument("--write", action="store_true", help="write figures and plot all the same")
    return parser


@dataclass(frozen=True)
class Sample:
    """Agents that were asked, of so many like them; and what each gains by each misreport (rows and columns), by rule."""

    count: int
    who: Ints
    gains: Mapping[str, Floats]

    def best(self, rule: str) -> Floats:
        """What each gains by its best misreport, or by none."""
        return np.asarray(np.maximum(0.0, self.gains[rule].max(axis=1)))

    def total(self, values: NDArray[Any]) -> float:
        """The sum over all of them of what is known of those who were asked."""
        return float(values.mean()) * self.count


def _add_regrets(tally: Tally, bourse: Bourse, kind: str, rng: np.random.Generator) -> None:
    """What a sample of agents gains, scaled to all of them."""
    luck, totals = bourse.luck(), dict.fromkeys(rules.RULES, 0.0)
    for side in rules.SIDES:
        samples = list(_samples(bourse, side, rng))
        agents = sum(sample.count for sample in samples)
        for rule in rules.RULES:
            best = sum(one.total(one.best(rule)) for one in samples)
            by_factor = [sum(one.total(one.gains[rule][:, n]) for one in samples) for n in range(len(FACTORS[side]))]
            found = {
                "regret": best,
                "thumb": max(0.0, *by_factor),
                "noise": float(luck[side, rule].sum()),
                "worst": max(float(one.best(rule).max()) for one in samples),
            }
            for measure, units in found.items():
                tally.add(rules.key(measure, rule, side), units / bourse.surplus)
            tally.add(rules.key("able", rule, side), sum(one.total(one.best(rule) > 0) for one in samples) / agents)
            totals[rule] += best / bourse.surplus
        if side == "clients":
            beside = bourse.has_orders_left_out & (bourse.traded(side) > 0)
            units = sum(one.total(one.best(rules.DEFAULT) * beside[one.who]) for one in samples)
            tally.add(rules.other_key("regret_left_out"), units / bourse.surplus)
    for rule, total in totals.items():
        tally.add(rules.total_key(rule), total)
        tally.add(rules.total_key(rule, kind), total)
        tally.add(rules.share_key(rule), float(bourse.utilities["clients", rule].sum()) / bourse.surplus)


def _samples(bourse: Bourse, side: str, rng: np.random.Generator) -> Iterable[Sample]:
    """The agents that trade the most, some of the others with a place, and some of those without."""
    traded = bourse.traded(side)
    every = rng.permutation(np.unique(bourse.columns.client if side == "clients" else bourse.columns.provider))
    every = every[np.argsort(-traded[every], kind="stable")]
    placed, unplaced = every[traded[every] > 0], every[traded[every] == 0]
    for alike, most in ((placed[:LARGEST], LARGEST), (placed[LARGEST:], OTHERS), (unplaced, UNPLACED)):
        who = rng.permutation(alike)[:most]
        gains = [bourse.gains(side, int(one)) for one in who]
        if gains:
            yield Sample(len(alike), who, {rule: np.array([one[rule] for one in gains]) for rule in rules.RULES})


def _add_duals(tally: Tally, bourse: Bourse) -> None:
    """How far the prices of tiers are from the interval of the duals, by GPUs sold."""
    columns, tiers, placed = bourse.columns, bourse.tiers, bourse.placed
    row = {offer: n for n, offer in enumerate(columns.offer_ids)}
    of_tier = np.zeros(tiers.reaches.shape[1], np.int64)
    for listed in bourse.plan.prices:
        of_tier[tiers.of[row[listed.first_offer]]] = listed.price
    tier, gpus = tiers.of[placed.offers], columns.gpus[placed.orders]
    price = of_tier[tier]
    lowest, highest = (end[tier] for end in dual_interval(columns))
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
