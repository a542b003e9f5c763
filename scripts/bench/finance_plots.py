"""Four plots of the thirty days. Equal runs give equal files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from scripts.bench.finance_ledger import Ledger
from scripts.bench.finance_month import Month, Sample
from scripts.bench.finance_stage import BEGIN, DAY, DOLLAR
from scripts.bench.plots import PLOTS

COLOURS = {
    "running costs": "#c58b00", "what is owed": "#0b6e4f", "the backer": "#3b6ea5", "the rest to the owner": "#9bbf9b", "the client": "#b3261e",
    "the company": "#0b6e4f", "the arbiter": "#555555",
}  # fmt: skip
SHOWN = ("good", "outage", "silent", "terminated", "dead", "grief")
_PARTS = {
    "waterfall 2: running costs": "running costs", "waterfall 3: what is owed": "what is owed",
    "waterfall 3: the backer's share of interest": "the backer", "waterfall 4: the rest to the owner": "the rest to the owner",
}  # fmt: skip


def draw_finance(month: Month, folder: Path = PLOTS) -> list[Path]:
    """Cash flows by day, what stands behind two loans, the share's price, and who got what of the rent."""
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    ledger, drawn = month.stage.explainer.ledger, {}
    drawn["flows"] = _flows(ledger)
    drawn["coverage"] = _coverage(month.samples)
    drawn["price"] = _price(month.samples)
    drawn["shares"] = _shares(ledger)
    paths = []
    for name, figure in drawn.items():
        paths.append(folder / f"finance-{name}.svg")
        figure.savefig(paths[-1], metadata={"Date": None})
    return paths


def _flows(ledger: Ledger) -> Figure:
    """Plot 1: what the waterfall gave to whom, of all companies together."""
    by_day: dict[str, dict[int, float]] = {part: defaultdict(float) for part in _PARTS.values()}
    for one in ledger.movements:
        if one.rule in _PARTS:
            by_day[_PARTS[one.rule]][(one.time - BEGIN) // DAY] += one.amount / DOLLAR
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.add_subplot()
    below: dict[int, float] = defaultdict(float)
    for part, amounts in by_day.items():
        days = sorted(amounts)
        axes.bar(
            days, [amounts[day] for day in days], bottom=[below[day] for day in days], color=COLOURS[part], label=part
        )
        for day in days:
            below[day] += amounts[day]
    axes.set_xlabel("day")
    axes.set_ylabel("dollars collected")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _coverage(samples: Sequence[Sample]) -> Figure:
    """Plot 2: a loan whose client disputes without ground, and one whose operator dies."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    for n, name in enumerate(("grief", "dead"), start=1):
        axes = figure.add_subplot(1, 2, n)
        seen = [(_days(one), one.marks[name]) for one in samples if one.marks.get(name, (0,))[0]]
        for part, (label, colour) in enumerate((("owed", "#b3261e"), ("due", "#3b6ea5"), ("covered", "#0b6e4f"))):
            axes.step(
                [day for day, _ in seen],
                [marks[part] / DOLLAR for _, marks in seen],
                where="post",
                label=label,
                color=colour,
            )
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("day")
        axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.supylabel("dollars", fontsize=9)
    return figure


def _price(samples: Sequence[Sample]) -> Figure:
    """Plot 3: the price of a share, and when nobody may enter."""
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    axes, days = figure.add_subplot(), [_days(one) for one in samples]
    axes.step(days, [one.price for one in samples], where="post", color="#0b6e4f")
    for begin, end in pairwise(samples):
        if begin.is_shut:
            axes.axvspan(_days(begin), _days(end), color="#b3261e", alpha=0.12, linewidth=0)
    axes.set_xlabel("day")
    axes.set_ylabel("price of a share; red: nobody enters")
    axes.grid(axis="y", alpha=0.3)
    return figure


def _shares(ledger: Ledger) -> Figure:
    """Plot 5: of the price of each lease, who had what at the end."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for place, name in enumerate(SHOWN):
        total = ledger.sums(f"lease/{name}")[0]
        left = 0.0
        for part, amount in _ends_of(ledger, name).items():
            axes.barh(place, 100 * amount / total, left=left, color=COLOURS[part])
            left += 100 * amount / total
    axes.set_yticks(range(len(SHOWN)), SHOWN)
    axes.invert_yaxis()
    handles = [Patch(color=COLOURS[part], label=part) for part in ("the company", "the client", "the arbiter")]
    axes.legend(handles=handles, frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    axes.set_xlabel("of 100 dollars that went into a lease, bonds and stakes included")
    return figure


def _ends_of(ledger: Ledger, name: str) -> dict[str, int]:
    """Where the money of a lease went. Whoever lends on it is paid out of the company's part."""
    found: dict[str, int] = defaultdict(int)
    for one in ledger.movements:
        if one.giver != f"lease/{name}":
            continue
        part = "the company" if "company" in one.taker else "the arbiter" if "arbiter" in one.taker else "the client"
        found[part] += one.amount
    return found


def _days(sample: Sample) -> float:
    return (sample.time - BEGIN) / DAY
