"""`python -m scripts.bench`: how near to the optimum the engine clears, and how fast, beside other ways to clear.

Without options it measures the published table on three markets, and writes docs/figures.json and docs/research/plots.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scripts.bench import sizes as s
from scripts.bench.generators import GENERATORS, Uniform, generator
from scripts.bench.plots import draw_plots
from scripts.bench.trial import Trial, say_nothing, tried
from scripts.bench.versions import versions
from scripts.deep import tables
from scripts.deep.figures import Measured, write_figures

COMMAND = "make bench"
SOLVER_SECONDS = 20.0
WIDTH = 112
"""Columns that the tables need."""
QUICK_SIZES = ((1_000, 1_000), (10_000, 1_000))

Trials = dict[tuple[str, s.Size], list[Trial]]


@dataclass(frozen=True, slots=True)
class Job:
    """One market to try."""

    name: str
    size: s.Size
    seed: int
    market: Uniform
    solver_seconds: float


def main(arguments: list[str]) -> int:
    """Measure, print, and write where the whole was measured. Fails when a plan breaks a rule."""
    options = _parser().parse_args(arguments)
    console = Console()
    console = console if console.width >= WIDTH else Console(width=WIDTH)
    trials = _measured(list(_jobs(options)), console)
    for table in _tables(trials):
        console.print(table)
    broken = [why for many in trials.values() for trial in many for why in trial.broken]
    if broken:
        console.print(f"[red]bench: {len(broken)} broken rules, the first: {broken[0]}[/red]")
        return 1
    if options.write or not arguments:
        write_figures(figures_of(trials), COMMAND)
        draw_plots(trials)
        tables.main([])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument(
        "--market", choices=GENERATORS, help="this market only (default: uniform at all sizes, the others at two)"
    )
    parser.add_argument("--sizes", help="orders x offers, such as 1kx1k,100kx10k")
    parser.add_argument("--seeds", type=int, default=3, help="so many markets of each size (default: 3)")
    parser.add_argument("--quick", action="store_true", help="the two smallest sizes, one seed, no exact solvers")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the generator")
    parser.add_argument("--solver-seconds", type=float, default=SOLVER_SECONDS, help="patience with each exact solver")
    parser.add_argument("--write", action="store_true", help="write figures and plots all the same")
    return parser


def _jobs(options: argparse.Namespace) -> Iterable[Job]:
    """The markets to try, the small ones first."""
    asked = tuple(s.size_of(text) for text in options.sizes.split(",")) if options.sizes else ()
    parameters = dict(one.split("=", 1) for one in options.set)
    names = [options.market] if options.market else ["uniform"] if asked or options.quick else list(s.MARKETS)
    for name in names:
        full = s.SIZES if name == "uniform" or options.market else s.OTHER_SIZES
        for size in asked or (QUICK_SIZES if options.quick else full):
            market = generator(name, *size, **parameters)
            for seed in range(1 if options.quick else options.seeds):
                yield Job(name, size, seed, market, 0.0 if options.quick else options.solver_seconds)


def _measured(jobs: list[Job], console: Console) -> Trials:
    """Run every job in a fresh process, one at a time: they would disturb each other's clocks."""
    found: Trials = {}
    columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    spawn = multiprocessing.get_context("spawn")
    with (
        Progress(*columns, console=console, transient=True) as progress,
        ProcessPoolExecutor(max_workers=1, mp_context=spawn, max_tasks_per_child=1, initializer=say_nothing) as pool,
    ):
        task = progress.add_task("", total=len(jobs))
        for job in jobs:
            progress.update(task, description=f"{job.name} {_shown(job.size)}, seed {job.seed}")
            found.setdefault((job.name, job.size), []).append(
                pool.submit(tried, job.market, job.seed, job.solver_seconds).result()
            )
            progress.advance(task)
    return found


def _shown(size: s.Size) -> str:
    return s.short(size).replace("_", " × ")


def _median(trials: Iterable[Trial], read: Callable[[Trial], float]) -> float:
    return statistics.median(read(trial) for trial in trials)


def _tables(trials: Trials) -> Iterable[Table]:
    """Medians of the seeds: surplus over the tight bound, then seconds."""
    ways = [way for way in s.WAYS if any(way in one.surplus for many in trials.values() for one in many)]
    surplus = _headed("surplus over the tight bound", *ways, "tight / loose", "bound $/h")
    seconds = _headed("seconds", "round", "bound", "fills")
    for (name, size), many in trials.items():
        median, place = partial(_median, many), (name, _shown(size))
        surplus.add_row(
            *place,
            *(f"{median(partial(Trial.ratio, way=way)):.4f}" if way in many[0].surplus else "" for way in ways),
            f"{median(lambda one: one.bound / one.loose if one.loose else 1.0):.3f}",
            f"{median(lambda one: one.bound) / 10**6:,.0f}",
        )
        seconds.add_row(
            *place,
            f"{median(lambda one: one.seconds['engine']):.3f}",
            f"{median(lambda one: one.bound_seconds):.3f}",
            f"{median(lambda one: one.fills):,.0f}",
        )
    return surplus, seconds


def _headed(title: str, *headings: str) -> Table:
    table = Table(
        "market", title=f"{title}, medians of the seeds", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0)
    )
    for heading in ("orders × offers", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def figures_of(trials: Trials) -> Measured:
    """The published figures, of what was measured."""
    values: dict[str, float] = {}
    for (name, size), many in trials.items():
        for way in many[0].surplus:
            values[s.ratio_key(way, size, name)] = round(_median(many, partial(Trial.ratio, way=way)), 4)
        values[s.seconds_key("engine", size, name)] = round(_median(many, lambda one: one.seconds["engine"]), 3)
        values[s.seconds_key("bound", size, name)] = round(_median(many, lambda one: one.bound_seconds), 3)
    values[s.SEEDS] = max(len(many) for many in trials.values())
    return Measured({key: value for key, value in values.items() if key in s.words()}, versions())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
