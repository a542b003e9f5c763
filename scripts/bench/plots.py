"""Two plots for the documents: surplus and time against the size of the market. Equal figures give equal files."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.bench import sizes as s
from scripts.bench.trial import Trial
from scripts.deep.figures import ROOT

PLOTS = ROOT / "docs" / "research" / "plots"
LINES: dict[str, tuple[str, str]] = {
    "engine": ("#0b6e4f", "-"),
    "largest": ("#c58b00", "--"),
    "greedy": ("#3b6ea5", "--"),
    "fifo": ("#b3261e", ":"),
}
"""Colour and stroke of each way."""

Trials = Mapping[tuple[str, s.Size], Sequence[Trial]]


def draw_plots(trials: Trials, folder: Path = PLOTS) -> list[Path]:
    """Draw both, of the uniform market."""
    # Names inside the file are hashes of this word instead of random ones, text stays text, and no date is written.
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
    even = {size: many for (name, size), many in trials.items() if name == "uniform"}
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _drawn(even, _surplus, folder / "clearing-surplus.svg"),
        _drawn(even, _seconds, folder / "clearing-seconds.svg"),
    ]


Sized = Mapping[s.Size, Sequence[Trial]]


def _drawn(trials: Sized, draw: Callable[[Figure, Sized], Axes], path: Path) -> Path:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = draw(figure, trials)
    axes.set_xticks(range(len(trials)), [f"{orders:,}\n× {offers:,}" for orders, offers in trials])
    axes.set_xlabel("orders × offers")
    axes.legend(frameon=False, fontsize=8, ncols=2)
    figure.savefig(path, metadata={"Date": None})
    return path


def _surplus(figure: Figure, trials: Sized) -> Axes:
    """The last tenth has a panel of its own: there the ways that are any good differ."""
    lower = figure.add_subplot(2, 1, 2)
    upper = figure.add_subplot(2, 1, 1, sharex=lower)
    upper.tick_params(labelbottom=False)
    for axes, low, high in ((upper, 0.9, 1.0), (lower, 0.0, 0.9)):
        for way, (colour, stroke) in LINES.items():
            _line(axes, trials, partial(Trial.ratio, way=way), label=s.WAYS[way], color=colour, linestyle=stroke)
        axes.set_ylim(low, high)
        axes.grid(axis="y", alpha=0.3)
    figure.supylabel("surplus over the tight bound", fontsize=9)
    return lower


def _seconds(figure: Figure, trials: Sized) -> Axes:
    axes = figure.add_subplot()
    _line(axes, trials, lambda one: one.seconds["engine"], label="a whole round", color="#0b6e4f", linestyle="-")
    _line(axes, trials, lambda one: one.bound_seconds, label="the bound alone", color="#555555", linestyle=":")
    axes.set_yscale("log")
    axes.set_ylabel("seconds, on two cores")
    axes.grid(axis="y", alpha=0.3)
    return axes


def _line(axes: Axes, trials: Sized, read: Callable[[Trial], float], label: str, color: str, linestyle: Any) -> None:
    """The medians, with a bar from the least to the most of the seeds."""
    seen = [[read(one) for one in many] for many in trials.values()]
    medians = [statistics.median(values) for values in seen]
    below = [middle - min(values) for middle, values in zip(medians, seen, strict=True)]
    above = [max(values) - middle for middle, values in zip(medians, seen, strict=True)]
    axes.errorbar(
        range(len(seen)), medians, yerr=[below, above], marker="o", markersize=3.5, capsize=2, label=label,
        color=color, linestyle=linestyle,
    )  # fmt: skip
