"""The sizes of the published table, and what is measured of each, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Size = tuple[int, int]
"""Orders and offers."""

SIZES: tuple[Size, ...] = ((1_000, 1_000), (10_000, 1_000), (10_000, 10_000), (100_000, 1_000), (100_000, 10_000))
OTHER_SIZES: tuple[Size, ...] = ((10_000, 1_000), (100_000, 10_000))
"""Those at which other markets than the uniform one are tried."""
SMALLEST = SIZES[0]

WAYS: dict[str, str] = {
    "engine": "the engine",
    "fifo": "first come, first served",
    "greedy": "greedy, highest limit first",
    "largest": "greedy, largest gang first",
    "mip": "HiGHS (MIP)",
    "cp_sat": "CP-SAT",
}
EXACT_WAYS = ("mip", "cp_sat")
MARKETS: dict[str, str] = {"uniform": "", "trace": "like a cluster's log: ", "thin": "many small markets: "}
GROUP = "clearing"


def short(size: Size) -> str:
    """A size as options and keys have it: ``100k_10k``."""
    return "_".join(f"{count // 1_000}k" if count % 1_000 == 0 else str(count) for count in size)


def size_of(text: str) -> Size:
    """Read ``100kx10k``."""
    orders, _, offers = text.partition("x")
    return _count(orders), _count(offers)


def _count(text: str) -> int:
    return int(text[:-1]) * 1_000 if text.endswith("k") else int(text)


def ratio_key(way: str, size: Size, market: str = "uniform") -> str:
    """The figure's key: ``clearing.fifo_ratio_100k_10k``; neither the engine nor the uniform market is named."""
    parts = [market if market != "uniform" else "", way if way != "engine" else "", "ratio", short(size)]
    return f"{GROUP}.{'_'.join(part for part in parts if part)}"


def seconds_key(way: str, size: Size, market: str = "uniform") -> str:
    return ratio_key(way, size, market).replace("ratio", "seconds")


SEEDS = f"{GROUP}.seeds"


def measured(market: str) -> list[tuple[Size, str]]:
    """The sizes and ways that the full run measures of this market."""
    sizes = SIZES if market == "uniform" else OTHER_SIZES
    ways = [way for way in WAYS if way not in EXACT_WAYS]
    exact = [(SMALLEST, way) for way in EXACT_WAYS] if SMALLEST in sizes else []
    return [(size, way) for size in sizes for way in ways] + exact


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    found = dict[str, str]()
    for market, prefix in MARKETS.items():
        for size, way in measured(market):
            place = f"{size[0]:,} orders on {size[1]:,} offers"
            found[ratio_key(way, size, market)] = f"{prefix}surplus by {WAYS[way]}, over the tight bound, {place}"
            if way == "engine":
                found[seconds_key(way, size, market)] = f"{prefix}seconds of the whole round, {place}"
                found[seconds_key("bound", size, market)] = f"{prefix}seconds of the bound, solved as a flow, {place}"
    found[SEEDS] = "markets drawn of each size; the figures are medians"
    return found


def table(figures: Mapping[str, Any]) -> str:
    """The published table in Markdown."""
    text = f"| market | orders × offers | {' | '.join(WAYS[way] for way in WAYS)} | seconds, round | seconds, bound |\n"
    text += "|---|---|" + "---:|" * (len(WAYS) + 2) + "\n"
    for market in MARKETS:
        for size in SIZES if market == "uniform" else OTHER_SIZES:
            cells = [_cell(figures, ratio_key(way, size, market), 4) for way in WAYS]
            cells += [_cell(figures, seconds_key(way, size, market), 3) for way in ("engine", "bound")]
            text += f"| {market} | {size[0]:,} × {size[1]:,} | {' | '.join(cells)} |\n"
    return text


def _cell(figures: Mapping[str, Any], key: str, decimals: int) -> str:
    return f"{figures[key]['value']:.{decimals}f}" if key in figures else ""
