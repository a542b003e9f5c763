"""The ways to price a fill that are compared, and what is measured of each, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RULES: dict[str, str] = {
    "clearing": "clearing price, the lowest (the engine)",
    "middle": "middle of the lowest and the highest",
    "upper": "clearing price, the highest",
    "ask": "pay as ask",
    "limit": "pay as limit",
}
DEFAULT = "clearing"
KINDS: dict[str, tuple[int, int]] = {"even": (1_000, 1_000), "scarce": (2_000, 400), "slack": (500, 2_000)}
"""Orders and offers of the markets that are drawn."""
SIDES = ("clients", "providers")
MEASURES: dict[str, str] = {
    "regret": "gain of {side} by their best misreports, each alone, percent of the surplus, {rule}",
    "able": "{side} that can gain by a misreport, percent, {rule}",
    "thumb": "gain of {side} by the best misreport that is the same for all of them, each alone, percent of the surplus, {rule}",
    "noise": "gain of {side} that report truthfully by the luckiest of other lots, percent of the surplus, {rule}",
    "worst": "largest gain of one of the {side} that were asked, percent of the surplus, {rule}",
}
GROUP = "prices"
OTHERS: dict[str, str] = {
    "dual_width": "from the lowest dual to the highest, percent of the price, by GPUs",
    "dual_below": "of prices below the lowest dual, percent of the price, by GPUs",
    "dual_above": "of prices above the highest dual, percent of the price, by GPUs",
    "dual_distance": "distance of prices from the interval of the duals, percent of the price, by GPUs",
    "dual_inside": "GPUs sold at prices inside the interval of the duals, percent",
    "regret_left_out": "of the clients' gain by clearing prices: that of clients who have orders left out beside their placed ones",
    "markets": "generated markets that prices were compared on",
}


def key(measure: str, rule: str, side: str) -> str:
    """The figure's key: ``prices.regret_clients_clearing``."""
    return f"{GROUP}.{measure}_{side}_{rule}"


def share_key(rule: str) -> str:
    return f"{GROUP}.share_clients_{rule}"


def total_key(rule: str, kind: str = "") -> str:
    """Of both sides, on all markets or on those of one kind."""
    return f"{GROUP}.regret_{kind or 'both'}_{rule}"


def error_key(rule: str) -> str:
    return f"{GROUP}.error_{rule}"


def other_key(name: str) -> str:
    return f"{GROUP}.{name}"


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    found = dict[str, str]()
    for rule, name in RULES.items():
        for measure, sentence in MEASURES.items():
            found |= {key(measure, rule, side): sentence.format(side=side, rule=name) for side in SIDES}
        both = f"gain of both sides by their best misreports, each alone, percent of the surplus, {name}"
        found[total_key(rule)] = both
        for kind, (orders, offers) in KINDS.items():
            found[total_key(rule, kind)] = f"{both}, {orders:,} orders on {offers:,} offers"
        if rule != DEFAULT:
            found[error_key(rule)] = f"standard error of its difference from that of the engine, {name}"
        found[share_key(rule)] = f"clients' part of the surplus, percent, {name}"
    return found | {other_key(name): sentence for name, sentence in OTHERS.items()}


def table(figures: Mapping[str, Any]) -> str:
    """The comparison in Markdown, a row for each rule, in percent of the surplus."""
    heads = ["clients gain", "providers gain", "both", *KINDS, "both, by thumb", "both, by luck", "clients' part"]
    text = f"| what a fill pays | {' | '.join(heads)} |\n|---|" + "---:|" * len(heads) + "\n"
    for rule, name in RULES.items():
        keys = [*(key("regret", rule, side) for side in SIDES), *(total_key(rule, kind) for kind in ("", *KINDS))]
        cells = [_value(figures, one) for one in keys]
        cells += [sum(_value(figures, key(one, rule, side)) for side in SIDES) for one in ("thumb", "noise")]
        cells.append(_value(figures, share_key(rule)))
        text += f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |\n"
    return text


def _value(figures: Mapping[str, Any], name: str) -> float:
    return float(figures[name]["value"]) if name in figures else float("nan")
