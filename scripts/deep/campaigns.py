"""The parts that are forge's own tests, run long: gas, invariants, violations, attacks."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence

from scripts.deep.figures import ROOT, Measured
from scripts.deep.tools import (
    TOOLS,
    DeepError,
    NotHeld,
    Test,
    forge_tests,
    forge_versions,
    minutes_since,
    require_success,
    say,
)

SEEDS = 10
LEAST_CALLS = 4_000_000
LEAST_SUCCESSES = 1_000
SECONDS_A_SEED = 3_600
LEAST_CASES = 8_000
FINANCE_SEEDS = 15
LEAST_FINANCE_CALLS = 2_000_000


CAMPAIGNS = TOOLS / "campaigns.jsonl"
"""What each seed found, a line each: hours of work outlive an interruption."""


def invariants() -> Measured:
    """Run the invariant campaigns from ten seeds; every step of the crowd must have succeeded often.

    What an interrupted run found about these very contracts and campaigns is taken over.
    """
    start, digest = time.monotonic(), _digest_of_solidity()
    found = _found(digest)
    for seed in range(1, SEEDS + 1):
        if seed not in found:
            found[seed] = _campaign(digest, seed)
        calls = sum(calls for calls, _ in found.values())
        say("invariants", f"seed {seed} of {SEEDS}, {calls:,} calls, 0 violations, {minutes_since(start)}")
    calls = sum(calls for calls, _ in found.values())
    successes = sum((successes for _, successes in found.values()), Counter[str]())
    _print_table(successes)
    rare = {step: count for step, count in successes.items() if count < LEAST_SUCCESSES}
    if rare or calls < LEAST_CALLS:
        raise NotHeld(f"{calls:,} calls of {LEAST_CALLS:,}; steps that succeeded too rarely: {rare}")
    return Measured({"invariants.calls": calls, "invariants.violations": 0}, forge_versions())


def finance() -> Measured:
    """Run the campaign around a vault from fifteen seeds, two million steps of its crowd."""
    start, calls = time.monotonic(), 0
    for seed in range(1, FINANCE_SEEDS + 1):
        arguments = ["--match-path", "tests/solidity/finance/invariants/*", "--fuzz-seed", str(seed)]
        tests = forge_tests(arguments, profile="deep", seconds=SECONDS_A_SEED)
        require_success(tests)
        calls += sum(_calls_of(test) for test in tests)
        say("finance", f"seed {seed} of {FINANCE_SEEDS}, {calls:,} calls, 0 violations, {minutes_since(start)}")
    if calls < LEAST_FINANCE_CALLS:
        raise NotHeld(f"{calls:,} calls of {LEAST_FINANCE_CALLS:,}")
    return Measured({"finance.invariant_calls": calls, "finance.violations": 0}, forge_versions())


Campaign = tuple[int, Counter[str]]
"""How many calls it made, and how often each step succeeded."""


def _campaign(digest: str, seed: int) -> Campaign:
    arguments = ["--match-path", "tests/solidity/invariants/*", "--fuzz-seed", str(seed)]
    tests = forge_tests(arguments, profile="deep", seconds=SECONDS_A_SEED)
    require_success(tests)
    calls, successes = sum(_calls_of(test) for test in tests), _successes_of(tests)
    with CAMPAIGNS.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"of": digest, "seed": seed, "calls": calls, "successes": successes}) + "\n")
    return calls, successes


def _found(digest: str) -> dict[int, Campaign]:
    lines = CAMPAIGNS.read_text(encoding="utf-8").splitlines() if CAMPAIGNS.exists() else []
    rows = [row for row in map(json.loads, lines) if row["of"] == digest]
    return {row["seed"]: (row["calls"], Counter(row["successes"])) for row in rows}


def _digest_of_solidity() -> str:
    files = [path for folder in ("contracts", "tests/solidity") for path in sorted((ROOT / folder).glob("**/*.sol"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in [*files, ROOT / "foundry.toml"])).hexdigest()


def violations() -> Measured:
    """Break one thing of a valid fill or settlement, many times over; nothing of it may be accepted."""
    tests = forge_tests(["--match-path", "tests/solidity/violations/*"], profile="deep", seconds=3_600)
    require_success(tests)
    cases = sum(int(test.kind.get("Fuzz", {}).get("runs", 1)) for test in tests)
    say("violations", f"{len(tests)} kinds, {cases:,} cases, 0 accepted")
    if cases < LEAST_CASES:
        raise NotHeld(f"{cases:,} cases of {LEAST_CASES:,}")
    accepted = sum(not test.is_success for test in tests)
    return Measured({"violations.cases": cases, "violations.accepted": accepted}, forge_versions())


def attacks() -> Measured:
    """Run the attacks; each is a test that holds."""
    tests = forge_tests(["--match-path", "tests/solidity/attacks/*"], profile="default", seconds=1_800)
    require_success(tests)
    say("attacks", f"{len(tests)} tests, all hold")
    return Measured({"attacks.tests": len(tests)}, forge_versions())


def _calls_of(test: Test) -> int:
    if "Invariant" not in test.kind:
        raise DeepError(f"{test.suite} {test.name} is no campaign")
    return int(test.kind["Invariant"]["calls"])


def _successes_of(tests: Sequence[Test]) -> Counter[str]:
    successes: Counter[str] = Counter()
    for test in tests:
        for step, times in test.kind["Invariant"]["metrics"].items():
            successes[step.rpartition(".")[2]] += times["calls"] - times["reverts"] - times["discards"]
    return successes


def _print_table(successes: Counter[str]) -> None:
    for step, count in sorted(successes.items()):
        say("invariants", f"{step:<28} {count:>10,} succeeded")
