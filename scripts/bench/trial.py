"""One market, cleared in every way and timed. Each trial runs in a process of its own, so that no cache is warm but those it warms itself."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from scheduler.engine.clear import clear
from scheduler.engine.columns import ColumnReader
from scheduler.engine.plan import Plan
from scheduler.engine.snapshot import Snapshot
from scripts.bench.baselines import BASELINES
from scripts.bench.bound import loose_bound, surplus_of, tight_bound
from scripts.bench.checking import broken_rules, broken_rules_at_once
from scripts.bench.columns import columns_of
from scripts.bench.exact import by_cp_sat, by_mip
from scripts.bench.generators import Uniform

T = TypeVar("T")
ENGINE = "engine"
EXACT = {"mip": by_mip, "cp_sat": by_cp_sat}
MOST_EXACT = 1_000_000
"""Pairs of an order and an offer up to which the optimum is looked for, and the plan checked fill by fill."""
POSTED = 1_000
"""Fills that a scheduler posts in one round (``scheduler.service``): they are made in the time that is measured. The rest of a plan is
told to later rounds and to its document by its columns."""
LATER_ROUNDS = 8
WARM_UP_SEED = 4_096


@dataclass(frozen=True, slots=True)
class Later:
    """Rounds soon after another, each on a market of which one in a hundred rows is another, and going on from the plan before it."""

    seconds: float
    """The median."""
    untold_seconds: float
    """The same where tables do not tell what has changed in them."""
    ratio: float
    """The surplus of the last one over the tight bound of its market: what quick rounds make of it after so many."""
    ratio_anew: float
    """The same of a round that begins from nothing on that market."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one market: what every way made of it, and how long it took. Surplus is per hour, in token units."""

    bound: int
    loose: int
    bound_seconds: float
    later: Later
    surplus: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    fills: int = 0
    broken: tuple[str, ...] = ()
    """What is wrong with the engine's plans."""

    def ratio(self, way: str) -> float:
        """The share of the tight bound that this way got."""
        return self.surplus[way] / self.bound if self.bound else 1.0

    def later_share(self) -> float:
        """The seconds of a later round over those of the first, which reads its whole book and begins from nothing."""
        return self.later.seconds / self.seconds[ENGINE]

    def untold_share(self) -> float:
        """The same where tables do not tell what has changed in them."""
        return self.later.untold_seconds / self.seconds[ENGINE]


def tried(market: Uniform, seed: int, solver_seconds: float) -> Trial:
    """Clear this market in every way. ``solver_seconds`` is the patience with the exact solvers; with 0 they are not asked."""
    snapshot = market.snapshot(seed)
    _warm_up(type(market))
    reader = ColumnReader()
    plan, engine_seconds = _timed(partial(round_of, snapshot, reader))
    later, broken = _later_rounds(market, plan, seed, reader)
    columns = columns_of(snapshot)
    bound, bound_seconds = _timed(partial(tight_bound, columns))
    is_small = len(columns.gpus) * len(columns.free) <= MOST_EXACT
    broken += broken_rules(snapshot, columns, plan.fills) if is_small else broken_rules_at_once(columns, plan.fills)
    trial = Trial(
        bound=bound,
        loose=loose_bound(columns),
        bound_seconds=bound_seconds,
        later=later,
        surplus={ENGINE: surplus_of(columns, plan.fills)},
        seconds={ENGINE: engine_seconds},
        fills=len(plan.fills),
        broken=tuple(broken),
    )
    for way, cleared in BASELINES.items():
        pairs, trial.seconds[way] = _timed(partial(cleared, columns))
        trial.surplus[way] = pairs.surplus(columns)
    for way, solved in EXACT.items() if is_small and solver_seconds else ():
        pairs, trial.seconds[way] = _timed(partial(solved, columns, solver_seconds))
        trial.surplus[way] = pairs.surplus(columns)
    return trial


def round_of(snapshot: Snapshot, reader: ColumnReader) -> Plan:
    """A whole round, from a snapshot to fills at their prices. A new reader has not seen the book before."""
    plan = clear(snapshot, reader=reader)
    if plan.fills[:POSTED] and not plan.prices:
        raise ValueError("a plan with fills has prices")
    return plan


def going_on(snapshot: Snapshot, plan: Plan, reader: ColumnReader) -> Plan:
    """A round that goes on from this plan. Reading the seats off that plan is part of it."""
    return round_of(replace(snapshot, former=plan.former()), reader)


def _later_rounds(market: Uniform, plan: Plan, seed: int, reader: ColumnReader) -> tuple[Later, list[str]]:
    """What becomes of the rounds after this plan, and what is wrong with theirs. None of the fills is opened: all stay on the book."""
    snapshot, seconds, untold_seconds, broken = plan.source, list[float](), list[float](), list[str]()
    untold_reader = ColumnReader()
    round_of(_untold(snapshot), untold_reader)
    for step in range(LATER_ROUNDS):
        snapshot, former = market.churned(snapshot, seed * LATER_ROUNDS + step), plan
        # The hash is kept with the plan. It was made when that round was written down, and is no part of this one.
        _ = former.sha256
        plan, taken = _timed(partial(going_on, snapshot, former, reader))
        seconds.append(taken)
        same, taken = _timed(partial(going_on, _untold(snapshot), former, untold_reader))
        untold_seconds.append(taken)
        columns = columns_of(snapshot)
        broken += broken_rules_at_once(columns, plan.fills)
        broken += [] if same.fills == plan.fills else ["the plan depends on what tables tell"]
    bound, anew = tight_bound(columns), round_of(snapshot, reader)
    ratios = [surplus_of(columns, each.fills) / bound if bound else 1.0 for each in (plan, anew)]
    return Later(statistics.median(seconds), statistics.median(untold_seconds), *ratios), broken


def _untold(snapshot: Snapshot) -> Snapshot:
    """The same, of tables that do not tell what has changed in them."""
    view = snapshot.view
    return replace(
        snapshot,
        view=replace(
            view,
            orders=tuple(view.orders),
            offers=tuple(view.offers),
            accounts=dict(view.accounts),
            reputations=dict(view.reputations),
        ),
    )


def _warm_up(kind: type[Uniform]) -> None:
    """Have all code compiled that a market of this kind runs through. Nothing of this market is in the measured one."""
    market, reader = kind(orders=300, offers=100), ColumnReader()
    snapshot = market.snapshot(WARM_UP_SEED)
    plan = round_of(snapshot, reader)
    later = market.churned(snapshot, WARM_UP_SEED)
    for each in (reader, ColumnReader()):
        going_on(later, plan, each)
    columns = columns_of(snapshot)
    for cleared in BASELINES.values():
        cleared(columns)


def say_nothing() -> None:
    """HiGHS prints notes of its own; a trial's process has nothing to say."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _timed(run: Callable[[], T]) -> tuple[T, float]:
    gc.collect()
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start
