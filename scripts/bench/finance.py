"""`make bench PART=finance`: thirty days of companies, lenders and a thief on a fresh anvil, every token unit explained. Five minutes of CPU."""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path

import structlog

from marketplace.chain.devnet import anvil_binary
from scripts.bench import finance_words as w
from scripts.bench.finance_agents import agents_around
from scripts.bench.finance_month import Month, play
from scripts.bench.finance_plots import draw_finance
from scripts.bench.finance_stage import thirty_days
from scripts.deep import tables
from scripts.deep.figures import Measured, Number, write_figures

SEED = 7


def main(arguments: list[str]) -> int:
    """Play, print, and write figures, plots and the ledger. 1 where a unit is unexplained or something did not come out as it must."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.finance", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help=f"other hours, keys and addresses (default: {SEED})")
    parser.add_argument("--quick", action="store_true", help="write no figures and no plots")
    parser.add_argument(
        "--explain", type=Path, default=Path("out/bench/explain.csv"), help="where every movement is written"
    )
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with thirty_days(options.seed) as stage, agents_around(stage) as agents:
        month = play(stage, agents, options.seed)
        jobs = {name: one.jobs for name, one in agents.attended.items()}
        unexplained = stage.explainer.ledger.unexplained(stage.said())
    stage.explainer.ledger.write(options.explain)
    values = _values(month, sum(map(abs, unexplained.values())))
    wrong = [*month.wrong, *(f"{account}: {amount} units unexplained" for account, amount in unexplained.items())]
    print(*(f"refused  {line}" for line in month.refused), f"jobs in sessions: {jobs}", sep="\n")
    print(*(f"{name} {value}" for name, value in values.items()), f"every movement: {options.explain}", sep="\n")
    print(*(f"wrong    {line}" for line in wrong), sep="\n", end="\n" if wrong else "")
    if not options.quick and not wrong:
        write_figures(Measured(values, {"anvil": _anvil_version()}), w.COMMAND)
        draw_finance(month)
        tables.main([])
    return 1 if wrong else 0


def _values(month: Month, unexplained: int) -> dict[str, Number]:
    """The figures of a month."""
    rates: dict[str, Number] = {}
    total = month.rents["bonded"].total
    for name, whole, net in (("strict", w.RATE_0, w.RATE_0_NET), ("obligors", w.RATE_50, w.RATE_50_NET)):
        paid, beyond = month.advance[name]
        rates |= {whole: round(100 * paid / total, 1), net: round(100 * beyond / total, 1)}
    gas = month.stage.gas
    return {
        w.MOVEMENTS: len(month.stage.explainer.ledger.movements),
        w.UNEXPLAINED: unexplained,
        w.THIEF_GAIN: max(month.gains.values()),
        w.RUN_GAIN: month.run_gain,
        **rates,
        w.GAS_DRAW: max(gas["vault draw"]),
        w.GAS_COLLECT: round(statistics.median(gas["vault collect"])),
        w.GAS_SIGNATURE: month.signature_gas,
        w.NAIVE_LOSS: month.naive.loss() if month.naive else 0,
    }


def _anvil_version() -> str:
    said = subprocess.run([str(anvil_binary()), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", said)
    return found[0] if found else "0.0"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
