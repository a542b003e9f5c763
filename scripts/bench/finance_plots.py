"""Plots of the thirty days, and of what may be drawn before them. Equal runs give equal files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from marketplace.chain.constants import PRESETS, Preset
from marketplace.chain.vaults import usual_terms
from marketplace.domain.finance import DrawStanding, LendingLimits, limit_of, share_rounded_down, share_rounded_up
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.units import Bps, Seconds, TokenUnits
from marketplace.domain.vaults import VIRTUAL_SHARES
from scripts.bench.finance_ledger import Ledger
from scripts.bench.finance_month import Month, Sample
from scripts.bench.finance_stage import BEGIN, DAY, DOLLAR, GPUS, MONTH, PRICE
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

_NOTHING = TokenUnits(0)
_WINDOWS = PRESETS[Preset.L2].in_units(6)
_UNTIL_DECIDED = _WINDOWS.claim_grace + _WINDOWS.challenge_window + _WINDOWS.ruling_window
"""From the end of metering on, at most (V-3)."""


def draw_finance(month: Month, folder: Path = PLOTS) -> list[Path]:
    """Cash flows by day, what stands behind two loans, the share's price, who waits to leave, who got what of the rent, and what may be drawn."""
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    ledger, drawn = month.stage.explainer.ledger, {}
    drawn["flows"] = _flows(ledger)
    drawn["coverage"] = _coverage(month.samples)
    drawn["price"] = _price(month.samples)
    drawn["queue"] = _queue(month.samples)
    drawn["shares"] = _shares(ledger)
    drawn["frontier"] = _frontier()
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


def _queue(samples: Sequence[Sample]) -> Figure:
    """Plot 4: shares that asked out, were filled, and wait, by what they cost at the beginning."""
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    axes, days = figure.add_subplot(), [_days(one) for one in samples]
    for label, colour, shares in (
        ("asked", "#555555", [one.asked for one in samples]),
        ("filled", "#0b6e4f", [one.asked - one.pending for one in samples]),
        ("pending", "#b3261e", [one.pending for one in samples]),
    ):
        axes.step(days, [one / VIRTUAL_SHARES / DOLLAR for one in shares], where="post", label=label, color=colour)
    axes.set_xlabel("day")
    axes.set_ylabel("dollars, at the first price")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _frontier() -> Figure:
    """Plot 7: after a day that was served and paid for, with no prepayment, the most that a company's owner is paid ahead (V-5, V-6)."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    bonds = range(0, 10_001, 250)
    for place, beta in enumerate((0, 5_000), start=1):
        axes = figure.add_subplot(1, 2, place)
        for days, colour in ((5, "#b3261e"), (10, "#c58b00"), (20, "#3b6ea5"), (30, "#0b6e4f")):
            rates = [100 * _advance_rate(Bps(bond), Seconds(days * DAY), Bps(beta)) for bond in bonds]
            axes.plot([bond / 100 for bond in bonds], rates, color=colour, label=f"{days} days")
        axes.set_title(f"beta {beta // 100} %", fontsize=9)
        axes.set_xlabel("bond, percent of the price")
        axes.set_ylim(0, 70)
        axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize=8, title="guaranteed", title_fontsize=8)
    figure.supylabel("paid ahead, percent of the price", fontsize=9)
    return figure


def _advance_rate(bond_bps: Bps, min_seconds: Seconds, beta_bps: Bps) -> float:
    """Of the price of a month, what a first draw brings the owner on the second day, by the usual terms: as the contract would say."""
    terms = replace(usual_terms(ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, Seconds(60 * DAY)), beta_bps=beta_bps)
    limits = LendingLimits(**{one.name: getattr(terms, one.name) for one in fields(LendingLimits)})
    total, first, sure = (earned_rounded_down(PRICE, GPUS, seconds) for seconds in (MONTH, Seconds(DAY), min_seconds))
    plenty = TokenUnits(1_000 * total)
    most, _ = limit_of(
        DrawStanding(
            is_pinned=True, is_early=False, due=TokenUnits(max(0, sure - first)), income=TokenUnits(total - first),
            unearned=_NOTHING, bond=share_rounded_down(total, bond_bps), balance=first, unshared=first,
            principal=_NOTHING, interest=_NOTHING, reserve=_NOTHING, cover=_NOTHING, rate_bps=Bps(0),
            seconds_left=Seconds(MONTH - DAY + _UNTIL_DECIDED), cash=plenty, assets=plenty, lent=_NOTHING, lent_to_obligor=_NOTHING,
        ),
        limits,
    )  # fmt: skip
    return (most - share_rounded_up(most, limits.reserve_bps)) / total


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
