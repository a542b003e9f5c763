"""Figures in documents: `python -m scripts.deep.tables` puts them where they are quoted; with --check it only says which are not fresh.

A block `<!-- figures:begin gas -->` … `<!-- figures:end -->` is filled with a table of all figures of that group (or of several: `gas halmos`), and
`<!-- figure:gas.single_job -->` … `<!-- /figure -->` with one value. `<!-- gas:begin -->` … `<!-- gas:end -->` is filled with all that the gas snapshot says,
`<!-- clearing:begin -->` … `<!-- clearing:end -->` with the table of the bench, `<!-- prices:begin -->` … `<!-- prices:end -->` with that of price rules,
`<!-- rounds:begin -->`, `<!-- ten_million:begin -->` with those of scale, and `<!-- steps:begin -->` with how often a step of the crowd around a vault
did its verb.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bench import (
    api_words,
    budget_words,
    chain_words,
    exec_words,
    finance_words,
    flood_words,
    page_words,
    rules,
    sizes,
    ten_million,
    whole_rounds,
)
from scripts.deep.figures import ROOT, Number, read_figures
from scripts.gas_snapshot import committed

WORDS = {
    "gas.fill_100x100": "gas of a fill, batch of 100, 100 clients and 100 providers",
    "gas.receipt_100x100": "gas of a receipt, batch of 100, 100 clients and 100 providers",
    "gas.fill_10x10": "gas of a fill, batch of 100, 10 clients and 10 providers",
    "gas.receipt_10x10": "gas of a receipt, batch of 100, 10 clients and 10 providers",
    "gas.single_job": "gas of one job alone: opened and settled in two transactions",
    "gas.task_of_100": "gas of a task, one of a hundred on a lease that is opened and settled alone",
    "invariants.calls": "random calls of the invariant campaigns",
    "invariants.violations": "of them, violations of an invariant",
    "finance.invariant_calls": "random steps of the crowd around a vault",
    "finance.violations": "of them, violations of an invariant",
    "violations.cases": "valid fills and settlements of which one thing was broken",
    "violations.accepted": "of them, accepted",
    "attacks.tests": "tests of attacks",
    "halmos.proofs": "properties proven for every value (halmos)",
    "slither.high_medium_open": "open findings of high or medium impact (slither)",
    "mutation.solidity_percent": "mutants of the contracts that a test caught, percent of those that are another program",
    "mutation.solidity_mutants": "mutants that compile, of the sample",
    "mutation.solidity_equivalent": "of them, the same program written otherwise",
    "mutation.finance_percent": "mutants of companies, arbiter and vaults that a test caught, percent of those that are another program",
    "mutation.finance_mutants": "mutants of these that compile, of the sample",
    "mutation.finance_equivalent": "of them, the same program written otherwise",
    "coverage.contracts_lines_percent": "lines of the contracts that tests reach, percent",
    "coverage.contracts_branches_percent": "branches of the contracts that tests reach, percent",
    "coverage.python_branches_percent": "branches of domain, engine, client and chain that their tests reach, percent",
    "mutation.python_percent": "mutants of domain, transactions and services that a test caught, percent",
    "mutation.python_mutants": "of so many",
    "escapes.tried": "ways out of the sandbox and bombs, tried in each kind of sandbox",
    "escapes.succeeded": "of them, successful",
    "exec.escapes_tried": "ways out tried from jobs in images, from what has entered a job, and by ssh",
    "exec.escapes": "of them, successful",
    "exec.image_jobs": "jobs in images, to each kind of end",
    "exec.sessions": "sessions that somebody sat at by ssh",
    "exec.leaks": "processes, mounts, groups, files and descriptors that they left behind",
    "exec.fuzzed_images": "random images that were unpacked or refused, in an hour",
    "exec.fuzz_escapes": "of them, ones that changed a file outside of their tree",
    "faults.seeds": "seeds of the simulation of faults",
    "faults.kinds": "kinds of faults, kills and reorganisations that they met",
    "faults.units_lost": "token units lost or made in them",
    "faults.doubled": "things done twice in them",
    "kills.total": "processes of a running network killed with kill -9",
    "kills.lost_or_doubled": "jobs, transactions and units lost or doubled by that",
    "floods.honest_p99_ratio": "times as long as when it is quiet that one honest request in a hundred takes beside 256 connections in the way",
    "hostile.gateway_lies": "lies of a gateway, field by field, all refused or harmless",
    "hostile.provider_lies": "lies of a provider to who is to sign for it, all refused or harmless",
    "hostile.client_lies": "lies of a client to who is to run its job, all refused or harmless",
    "hostile.units_lost": "token units that a provider or a client lost where every answer of a gateway was a lie",
    "api.schemathesis_cases": "requests that schemathesis made of OpenAPI, signed where parties may, with all its checks",
    "api.schemathesis_failures": "of them, failures",
    **sizes.words(),
    **budget_words.words(),
    **rules.words(),
    **ten_million.words(),
    **whole_rounds.words(),
    **flood_words.words(),
    **chain_words.words(),
    **api_words.words(),
    **exec_words.words(),
    **finance_words.words(),
    **page_words.words(),
}
BLOCK = re.compile(r"(<!-- figures:begin ([\w ]+) -->\n)(.*?)(<!-- figures:end -->)", re.DOTALL)
QUOTE = re.compile(r"(<!-- figure:([\w.]+) -->)(.*?)(<!-- /figure -->)", re.DOTALL)

SNAPSHOT = re.compile(r"(<!-- gas:begin -->\n)(.*?)(<!-- gas:end -->)", re.DOTALL)
PRICES = re.compile(r"(<!-- prices:begin -->\n)(.*?)(<!-- prices:end -->)", re.DOTALL)
CLEARING = re.compile(r"(<!-- clearing:begin -->\n)(.*?)(<!-- clearing:end -->)", re.DOTALL)

ROUNDS = re.compile(r"(<!-- rounds:begin -->\n)(.*?)(<!-- rounds:end -->)", re.DOTALL)
STEPS_OF_CROWD = ROOT / "tests/solidity/finance/invariants/steps.json"
STEPS = re.compile(r"(<!-- steps:begin -->\n)(.*?)(<!-- steps:end -->)", re.DOTALL)
TEN_MILLION = re.compile(r"(<!-- ten_million:begin -->\n)(.*?)(<!-- ten_million:end -->)", re.DOTALL)


def documents(root: Path = ROOT) -> list[Path]:
    """Every document that may quote figures."""
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("tests/**/README.md")])


def rendered(text: str, figures: Mapping[str, Any]) -> str:
    """The document with every block and quote as the figures say."""
    text = BLOCK.sub(lambda found: found[1] + _table(found[2].split(), figures) + found[4], text)
    text = SNAPSHOT.sub(lambda found: found[1] + _gas_tables(committed()) + found[3], text)
    text = CLEARING.sub(lambda found: found[1] + sizes.table(figures) + found[3], text)
    text = PRICES.sub(lambda found: found[1] + rules.table(figures) + found[3], text)
    text = ROUNDS.sub(lambda found: found[1] + ten_million.rounds_table(figures) + found[3], text)
    text = TEN_MILLION.sub(lambda found: found[1] + ten_million.table(figures) + found[3], text)
    text = STEPS.sub(lambda found: found[1] + _steps() + found[3], text)
    return QUOTE.sub(lambda found: found[1] + _number(figures[found[2]]["value"]) + found[4], text)


def main(arguments: list[str]) -> int:
    """Render all documents, or check that they are rendered."""
    figures = read_figures()
    stale = [path for path in documents() if rendered(text := path.read_text(encoding="utf-8"), figures) != text]
    if "--check" not in arguments:
        for path in stale:
            path.write_text(rendered(path.read_text(encoding="utf-8"), figures), encoding="utf-8")
    for path in stale:
        print(f"{'stale' if '--check' in arguments else 'wrote'}: {path.relative_to(ROOT)}")
    return 1 if stale and "--check" in arguments else 0


def _table(groups: list[str], figures: Mapping[str, Any]) -> str:
    rows = [
        f"| {WORDS[key]} | {_number(entry['value'])} | `{entry['command']}` | {entry['date']} |\n"
        for key, entry in sorted(figures.items(), key=lambda item: list(WORDS).index(item[0]))
        if key.partition(".")[0] in groups
    ]
    return "| figure | value | measured by | on |\n|---|---:|---|---|\n" + "".join(rows)


def _steps() -> str:
    """How often each step did its verb, as its campaign noted it; an empty table until one has run."""
    counts = json.loads(STEPS_OF_CROWD.read_text(encoding="utf-8")) if STEPS_OF_CROWD.exists() else {}
    rows = "".join(f"| {step} | {_number(count)} |\n" for step, count in counts.items())
    return "| step | did its verb |\n|---|---:|\n" + rows


def _gas_tables(gas: Mapping[str, int]) -> str:
    """One table of what comes in batches, one of the verbs that do not."""
    parties = [
        f"{first}{count} clients and {count} providers" for first in ("", "first use by ") for count in (100, 10)
    ]
    table = f"| gas of one, in a batch of | {' | '.join(parties)} |\n|---|---:|---:|---:|---:|\n"
    for size in (1, 10, 100):
        for item in ("fill", "receipt"):
            cells = (_number(gas[f"{item}, batch of {size}, {who}"]) for who in parties)
            table += f"| {item}, {size} | {' | '.join(cells)} |\n"
    rest = [sentence for sentence in gas if not re.match(r"(fill|receipt), batch of", sentence)]
    return (
        table
        + "\n| whole transaction, or one item of it | gas |\n|---|---:|\n"
        + "".join(f"| {sentence} | {_number(gas[sentence])} |\n" for sentence in rest)
    )


def _number(value: Number) -> str:
    return f"{value:,}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
