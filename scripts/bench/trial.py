"""One market, cleared in every way and timed. Each trial runs in a process of its own, so that no cache is warm but those it warms itself."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
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
"""Fills that a scheduler posts in one round (``scheduler.service``): they are made in the time that is measured."""
WARM_UP_SEED = 4_096


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one market: what every way made of it, and how long it took. Surplus is per hour, in token units."""

    bound: int
    loose: int
    bound_seconds: float
    surplus: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    fills: int = 0
    broken: tuple[str, ...] = ()
    """What is wrong with the engine's plans."""

    def ratio(self, way: str) -> float:
        """The share of the tight bound that this way got."""
        return self.surplus[way] / self.bound if self.bound else 1.0


def tried(market: Uniform, seed: int, solver_seconds: float) -> Trial:
    """Clear this market in every way. ``solver_seconds`` is the patience with the exact solvers; with 0 they are not asked."""
    snapshot = market.snapshot(seed)
    _warm_up(type(market))
    plan, engine_seconds = _timed(partial(round_of, snapshot))
    columns = columns_of(snapshot)
    bound, bound_seconds = _timed(partial(tight_bound, columns))
    is_small = len(columns.gpus) * len(columns.free) <= MOST_EXACT
    broken = broken_rules(snapshot, columns, plan.fills) if is_small else broken_rules_at_once(columns, plan.fills)
    trial = Trial(
        bound=bound,
        loose=loose_bound(columns),
        bound_seconds=bound_seconds,
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


def round_of(snapshot: Snapshot) -> Plan:
    """A whole round, from a snapshot to fills at their prices."""
    plan = clear(snapshot)
    if plan.fills[:POSTED] and not plan.prices:
        raise ValueError("a plan with fills has prices")
    return plan


def _warm_up(kind: type[Uniform]) -> None:
    """Have all code compiled that a market of this kind runs through. Nothing of this market is in the measured one."""
    snapshot = kind(orders=300, offers=100).snapshot(WARM_UP_SEED)
    round_of(snapshot)
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
