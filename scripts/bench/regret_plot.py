"""One plot for the documents: what misreports are worth, by price rule. Equal figures give equal files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from scripts.bench import rules
from scripts.bench.plots import PLOTS

COLOURS = {"clients": "#3b6ea5", "providers": "#c58b00"}


def draw_regret(values: Mapping[str, float], folder: Path = PLOTS) -> Path:
    """Bars of the regret of both sides for each rule, and a mark where luck alone would come to."""
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes, at = figure.add_subplot(), np.arange(len(rules.RULES))
    for n, side in enumerate(rules.SIDES):
        place = at + (n - 0.5) * 0.38
        gains, noise = ([values[rules.key(name, rule, side)] for rule in rules.RULES] for name in ("regret", "noise"))
        axes.bar(place, gains, 0.36, color=COLOURS[side], label=f"{side}, by their best misreports")
        axes.scatter(place, noise, marker="_", color="black", label="by luck alone" if n else None)
    axes.set_xticks(at, [fill(name, 17) for name in rules.RULES.values()], fontsize=7.5)
    axes.set_ylabel("gain, percent of the surplus")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "prices-regret.svg"
    figure.savefig(path, metadata={"Date": None})
    return path
