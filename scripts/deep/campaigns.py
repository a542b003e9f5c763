"""The parts that are forge's own tests, run long: gas, invariants, violations, attacks."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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

LEAST_SUCCESSES = 1_000
SECONDS_A_SEED = 3_600
LEAST_CASES = 8_000


@dataclass(frozen=True)
class Campaign:
    """Three campaigns of a crowd, one for each token, of so many runs of 500 calls each from every seed."""

    part: str
    folder: str
    seeds: int
    runs: int
    least_calls: int


MARKET = Campaign("invariants", "tests/solidity/invariants", seeds=10, runs=268, least_calls=4_000_000)
VAULT = Campaign("finance", "tests/solidity/finance/invariants", seeds=15, runs=90, least_calls=2_000_000)
STEPS = ROOT / VAULT.folder / "steps.json"
"""How often each step of the crowd around a vault did its verb."""
Found = tuple[int, Counter[str]]
"""How many calls a campaign made, and how often each step succeeded."""
CAMPAIGNS = TOOLS / "campaigns.jsonl"
"""What each seed found, a line each: hours of work outlive an interruption."""


def invariants() -> Measured:
    """Run the market's campaigns from ten seeds; every step of the crowd must have succeeded often."""
    calls, successes = _campaign(MARKET)
    for step, count in sorted(successes.items()):
        say("invariants", f"{step:<28} {count:>10,} succeeded")
    return Measured({"invariants.calls": calls, "invariants.violations": 0}, forge_versions())


def finance() -> Measured:
    """Run the campaigns around a vault from fifteen seeds. How often each step did its verb goes beside them."""
    calls, successes = _campaign(VAULT)
    STEPS.write_text(json.dumps(dict(sorted(successes.items())), indent=2) + "\n", encoding="utf-8")
    return Measured({"finance.invariant_calls": calls, "finance.violations": 0}, forge_versions())


def _campaign(campaign: Campaign) -> Found:
    """All its seeds. What an interrupted run found about these very contracts and crowds is taken over."""
    start, digest = time.monotonic(), _digest_of(campaign)
    found = _found(digest)
    for seed in range(1, campaign.seeds + 1):
        if seed not in found:
            found[seed] = _run(campaign, digest, seed)
        calls = sum(calls for calls, _ in found.values())
        say(campaign.part, f"seed {seed} of {campaign.seeds}, {calls:,} calls, 0 violations, {minutes_since(start)}")
    calls = sum(calls for calls, _ in found.values())
    successes = sum((successes for _, successes in found.values()), Counter[str]())
    rare = {step: count for step, count in successes.items() if count < LEAST_SUCCESSES}
    if rare or calls < campaign.least_calls:
        raise NotHeld(f"{calls:,} calls of {campaign.least_calls:,}; steps that succeeded too rarely: {rare}")
    return calls, successes


def _run(campaign: Campaign, digest: str, seed: int) -> Found:
    arguments = ["--match-path", f"{campaign.folder}/*", "--fuzz-seed", str(seed)]
    more = {"FOUNDRY_INVARIANT_RUNS": str(campaign.runs)}
    tests = forge_tests(arguments, profile="deep", seconds=SECONDS_A_SEED, **more)
    require_success(tests)
    calls, successes = sum(_calls_of(test) for test in tests), _successes_of(tests)
    with CAMPAIGNS.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"of": digest, "seed": seed, "calls": calls, "successes": successes}) + "\n")
    return calls, successes


def _found(digest: str) -> dict[int, Found]:
    lines = CAMPAIGNS.read_text(encoding="utf-8").splitlines() if CAMPAIGNS.exists() else []
    rows = [row for row in map(json.loads, lines) if row["of"] == digest]
    return {row["seed"]: (row["calls"], Counter(row["successes"])) for row in rows}


def _digest_of(campaign: Campaign) -> str:
    folders = ["contracts", *dict.fromkeys([MARKET.folder, campaign.folder])]
    files = [path for folder in folders for path in sorted((ROOT / folder).glob("**/*.sol"))]
    words = [campaign.folder.encode(), *(file.read_bytes() for file in [*files, ROOT / "foundry.toml"])]
    return hashlib.sha256(b"".join(words)).hexdigest()


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
