"""`python -m scripts.bench.chain`: how fast the chain is read and written, and what a market costs in node calls. About five minutes.

Both sides of a comparison are measured in one run, taking turns, on the same anvil. The calls are those of real processes.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterable

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from marketplace.telemetry import configure_logging
from scripts.bench import chain_calls, chain_events, chain_projection, chain_sends
from scripts.bench import chain_words as w
from scripts.bench.chain_network import PROCESSES
from scripts.bench.versions import versions_of
from scripts.deep import tables
from scripts.deep.faults import anvil_version
from scripts.deep.figures import Measured, Number, write_figures

QUICK = 10
"""What `--quick` divides the sizes by."""
QUICK_IDLE_BLOCKS = 10
WIDTH = 120
LIBRARIES = ("redis", "sqlalchemy", "web3")

Values = dict[str, Number]


def main(arguments: list[str]) -> int:
    """Measure, print, and write unless only a look was asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.chain", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything; print only")
    parser.add_argument("--part", choices=PARTS, help="only this one; print only")
    options = parser.parse_args(arguments)
    configure_logging("bench", level=logging.ERROR)
    console, begun = Console(), time.monotonic()
    console = console if console.width >= WIDTH else Console(width=WIDTH)
    values: Values = {}
    for name in [options.part] if options.part else PARTS:
        console.print(f"[dim]{time.monotonic() - begun:4.0f} s  {name} …[/]")
        gc.collect()
        values |= PARTS[name](QUICK if options.quick else 1, console)
    console.print(_figures(values))
    if not (options.quick or options.part):
        write_figures(Measured(values, versions_of(LIBRARIES) | {"anvil": anvil_version()}), w.COMMAND)
        tables.main([])
    return 0


def _events(divisor: int, console: Console) -> Values:
    found = chain_events.measured(w.LEASES // divisor)
    console.print(
        f"        {2 * w.LEASES // divisor:,} events in {found['blocks']:.0f} blocks: {found['ours']:.3f} s here, {found['web3']:.3f} s with web3"
    )
    return {w.EVENTS_RATIO: round(found["web3"] / found["ours"], 1)}


def _projection(divisor: int, console: Console) -> Values:
    found = chain_projection.measured(w.EVENTS // divisor)
    console.print(f"        {found['events']:,.0f} events in {found['seconds']:.2f} s")
    return {w.PROJECTION: round(found["events"] / found["seconds"])}


def _sends(_: int, console: Console) -> Values:
    found = chain_sends.measured(w.TRANSACTIONS)
    console.print(f"        {w.TRANSACTIONS}: {found['batches']:.2f} s at once, {found['one by one']:.2f} s one by one")
    return {w.SENDS_RATIO: round(found["one by one"] / found["batches"], 1)}


def _calls(divisor: int, console: Console) -> Values:
    idle = QUICK_IDLE_BLOCKS if divisor > 1 else chain_calls.IDLE_BLOCKS
    cost = chain_calls.measured(w.ORDERS // divisor, idle, lambda sentence: console.print(f"        {sentence}"))
    console.print(_by_method(f"node calls in {cost.idle.blocks} blocks, nothing to do", cost.idle))
    console.print(_by_method(f"node calls in {cost.busy.blocks} blocks, {cost.orders} orders", cost.busy))
    return dict(cost.figures())


PARTS: dict[str, Callable[[int, Console], Values]] = {
    "events": _events,
    "projection": _projection,
    "sends": _sends,
    "calls": _calls,
}


def _by_method(title: str, counted: chain_calls.Counted) -> Table:
    """One row for each method, one column for each process."""
    table = Table("method", title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for process in (*PROCESSES, "together"):
        table.add_column(process, justify="right", no_wrap=True)
    for method in (*sorted({method for _, method in counted.calls}), ""):
        numbers = [counted.of(process, method) for process in PROCESSES]
        table.add_row(method or "all", *(str(number) if number else "" for number in numbers), str(sum(numbers)))
    per_block = [f"{counted.of(process) / counted.blocks:.2f}" for process in PROCESSES]
    table.add_row("a block", *per_block, f"{counted.calls.total() / counted.blocks:.2f}")
    return table


def _figures(values: Values) -> Table:
    table = Table("figure", title="chain", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("value", justify="right")
    table.add_column("bar", justify="right", no_wrap=True)
    for key, value in values.items():
        mark = "[red]" if w.missed(key, value) else ""
        table.add_row(w.words()[key], f"{mark}{value:,}", _bar(key))
    return table


def _bar(key: str) -> str:
    bars: Iterable[str] = (
        *(f"≥ {bar:,}" for name, bar in w.AT_LEAST.items() if name == key),
        *(f"≤ {bar:,}" for name, bar in w.AT_MOST.items() if name == key),
    )
    return "".join(bars)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
