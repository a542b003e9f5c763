"""Which lines and branches of the contracts the tests reach. The tests and their tools are not counted, nor what is not ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.deep.figures import ROOT, Measured
from scripts.deep.tools import FORGE, DeepError, NotHeld, environment, forge_versions, run, say

LEAST_LINES_PERCENT = 99
LEAST_BRANCHES_PERCENT = 95
# Gas is another number without the optimizer; campaigns reach what the tests of the verbs reach.
LEFT_OUT = "tests/solidity/{Gas,invariants/,canary/,violations/,attacks/,finance/FinanceGas,finance/invariants/}*"
REPORT = ROOT / "out/plain/lcov.info"


@dataclass(frozen=True)
class Reached:
    """How much of a file was reached, and where it was not."""

    path: str
    lines: int
    lines_reached: int
    branches: int
    branches_reached: int
    gaps: tuple[str, ...]


def coverage() -> Measured:
    """Measure what the tests reach of contracts/."""
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    command = [FORGE, "coverage", "--no-match-path", LEFT_OUT, "--report", "lcov"]
    run([*command, "--report-file", REPORT], seconds=1_800, env=environment("plain"))
    files = [file for file in parse_lcov(REPORT.read_text(encoding="utf-8")) if file.path.startswith("contracts/")]
    if not files:
        raise DeepError("the report names no file of contracts/")
    lines = _percent(sum(file.lines_reached for file in files), sum(file.lines for file in files))
    branches = _percent(sum(file.branches_reached for file in files), sum(file.branches for file in files))
    for file in files:
        say(
            "coverage",
            f"{file.path}: {file.lines_reached}/{file.lines} lines, {file.branches_reached}/{file.branches}"
            f" branches {' '.join(file.gaps)}",
        )
    if lines < LEAST_LINES_PERCENT or branches < LEAST_BRANCHES_PERCENT:
        raise NotHeld(f"{lines} % of lines, {branches} % of branches")
    values = {"coverage.contracts_lines_percent": lines, "coverage.contracts_branches_percent": branches}
    return Measured(values, forge_versions())


def parse_lcov(text: str) -> list[Reached]:
    """Read an LCOV trace file."""
    return [_parse_file(record) for record in text.split("end_of_record") if "SF:" in record]


def _parse_file(record: str) -> Reached:
    fields = [line.partition(":")[::2] for line in record.splitlines() if ":" in line]
    lines = [value.split(",") for key, value in fields if key == "DA"]
    branches = [value.split(",") for key, value in fields if key == "BRDA"]
    missed = [f"line {line[0]}" for line in lines if line[1] == "0"]
    missed += [f"branch {branch[0]}.{branch[1]}.{branch[2]}" for branch in branches if branch[3] in {"0", "-"}]
    return Reached(
        path=Path(next(value for key, value in fields if key == "SF")).as_posix(),
        lines=len(lines),
        lines_reached=sum(line[1] != "0" for line in lines),
        branches=len(branches),
        branches_reached=sum(branch[3] not in {"0", "-"} for branch in branches),
        gaps=tuple(missed),
    )


def _percent(part: int, whole: int) -> float:
    # Rounded down: 99.99 is not all.
    return 100.0 if part == whole else part * 10_000 // whole / 100
