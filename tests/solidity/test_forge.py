"""The contracts' own tests, run once as `forge test` runs them; and that a failing one is noticed, by forge's exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from marketplace.chain.compiler import PROJECT_ROOT
from scripts.gas_snapshot import FORGE, committed

TOLERANCE_PERCENT = 2
COMPILE_AND_RUN_SECONDS = 1_800
"""Three minutes of two cores, from nothing."""
FEW = {"FOUNDRY_INVARIANT_RUNS": "5", "FOUNDRY_FUZZ_RUNS": "64"}
"""Instead of what `forge test` draws by itself; three campaigns of 500 calls a run."""
CANARY, AROUND_VAULTS = "tests/solidity/canary/*", "tests/solidity/finance/invariants/*"
MANY = {"FOUNDRY_INVARIANT_RUNS": "67"}
"""Around vaults: 3 * 67 * 500 = 100,500 calls, in 80 seconds of one core."""
pytestmark = pytest.mark.timeout(COMPILE_AND_RUN_SECONDS)


@dataclass(frozen=True)
class Run:
    """What forge said, how it ended, and the gas it measured, by sentence."""

    said: str
    status: int
    gas: dict[str, int]


def forge(profile: str, snapshots: Path, *arguments: str, **draws: str) -> Run:
    """Tests of a profile, with few draws unless more are asked for: `make deep` draws for hours."""
    done = subprocess.run(
        [FORGE, "test", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "FOUNDRY_PROFILE": profile, "FOUNDRY_SNAPSHOTS": str(snapshots), **FEW, **draws},
    )  # fmt: skip
    noted = snapshots / "Gas.json"
    gas = json.loads(noted.read_text(encoding="utf-8")) if noted.exists() else {}
    return Run(done.stdout + done.stderr, done.returncode, {sentence: int(figure) for sentence, figure in gas.items()})


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All but the canary and the campaigns around vaults."""
    left_out = f"{{{CANARY},{AROUND_VAULTS}}}"
    return forge("default", tmp_path_factory.mktemp("snapshots"), "--no-match-path", left_out)


@pytest.fixture(scope="module")
def around_vaults(ordinary: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The campaigns around vaults, with more draws; out of what ``ordinary`` compiled."""
    return forge("default", tmp_path_factory.mktemp("around-vaults"), "--match-path", AROUND_VAULTS, **MANY)


def test_every_test_of_the_contracts_passes(ordinary: Run) -> None:
    """Verbs, trees, attacks, violations, and the market's invariants through 7,500 calls of a crowd (I-1 to I-12)."""
    assert ordinary.status == 0, ordinary.said[-20_000:]


def test_what_is_promised_around_a_vault_holds_through_a_hundred_thousand_calls(around_vaults: Run) -> None:
    """Three campaigns, by token and terms, of a crowd around a vault and its market (F-1 to F-16)."""
    assert around_vaults.status == 0, around_vaults.said[-20_000:]
    assert sum(map(int, re.findall(r"calls: (\d+)", around_vaults.said))) == 100_500


def test_the_two_runs_leave_out_the_canary_only(ordinary: Run, around_vaults: Run) -> None:
    """Forge exits with 0 when it finds no tests at all, so that what it found is looked at."""
    said = ordinary.said + around_vaults.said
    ran = set(re.findall(r"^Ran \d+ tests? for \S+:(\w+)$", said, re.MULTILINE))
    there = {
        found
        for file in (PROJECT_ROOT / "tests/solidity").glob("**/*.t.sol")
        for found in re.findall(r"^contract (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        if found.endswith(("Test", "Tests", "Attack"))
    }

    assert there - ran == {"CanaryTest"}


def test_a_failing_contract_test_is_noticed(tmp_path: Path) -> None:
    """The canary must fail, alone, and forge must not exit with 0."""
    canary = forge("canary", tmp_path)

    assert "the canary sings" in canary.said
    assert "1 tests passed, 1 failed" in canary.said
    assert canary.status != 0


def test_the_gas_snapshot_is_true_within_two_percent(ordinary: Run) -> None:
    """Every figure of gas.json is measured, none is missing, and none is off by more than 2 % (`make gas` writes it anew)."""
    said = committed()
    off = {
        sentence: (said[sentence], gas)
        for sentence, gas in ordinary.gas.items()
        if sentence in said and abs(gas - said[sentence]) * 100 > TOLERANCE_PERCENT * said[sentence]
    }

    assert said.keys() == ordinary.gas.keys()
    assert off == {}


def test_the_life_of_a_job_costs_what_we_promise() -> None:
    """In batches of 100, with everybody known: at most 102,000 gas for 100 parties a side, 74,100 for ten."""
    said = committed()

    for parties, most in ((100, 102_000), (10, 74_100)):
        who = f"batch of 100, {parties} clients and {parties} providers"
        assert said[f"fill, {who}"] + said[f"receipt, {who}"] <= most
