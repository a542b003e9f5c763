"""Mutation testing: break the contracts in many small ways, in copies of the tree, and see whether a test notices."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import random
import shutil
import subprocess
import time
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.deep.figures import ROOT, Measured, Number
from scripts.deep.tools import (
    FORGE,
    TOOLS,
    DeepError,
    NotHeld,
    build_for_slither,
    environment,
    forge_versions,
    installed,
    minutes_since,
    package_version,
    run,
    say,
)

LEAST_CAUGHT_PERCENT = 90
WORKERS = int(os.environ.get("MUTATION_WORKERS", "2"))
BOUND_SECONDS = 4 * 3_600
MUTANT_SECONDS = 240
FOLDER = TOOLS / "mutation"
SURVIVORS = Path(__file__).with_name("survivors.toml")
RESULTS = FOLDER / "results.jsonl"
COPIED = ("contracts", "tests/solidity", "scripts/solc", "marketplace/domain", "marketplace/chain/abi", "foundry.toml")
DOES_NOT_COMPILE = b"Compiler run failed"
QUICK = {
    "FOUNDRY_FUZZ_SEED": "1",
    "FOUNDRY_FUZZ_RUNS": "24",
    "FOUNDRY_INVARIANT_RUNS": "1",
    "FOUNDRY_INVARIANT_DEPTH": "400",
}


@dataclass(frozen=True)
class Target:
    """Which contracts are broken, and which tests have to notice."""

    figure: str
    contracts: tuple[str, ...]
    # The tests of the verbs first, then what takes longer. Gas is not looked at: a mutant that is only dearer is not wrong.
    rounds: tuple[tuple[str, ...], ...]
    # Of each mutator's mutants, at most so many, drawn with a fixed seed; and of all these, the first so many.
    per_mutator: int
    most: int


MARKET = Target(
    figure="solidity",
    contracts=(
        "ComputeMarket", "GpuCatalogue", "Budgets", "Guards", "Leases", "Metering", "OfferTerms", "Offers", "Orders",
        "Refusals", "Signatures", "Volumes",
    ),
    rounds=(
        ("--no-match-path", "tests/solidity/{Gas,canary/,invariants/,attacks/,violations/,finance/}*"),
        ("--match-path", "tests/solidity/invariants/*"),
        ("--match-path", "tests/solidity/{attacks,violations}/*"),
    ),
    per_mutator=int(os.environ.get("MUTANTS_PER_MUTATOR", "25")),
    most=int(os.environ.get("MUTANTS", "331")),
)  # fmt: skip
FINANCE = Target(
    figure="finance",
    contracts=(
        "AdvanceRules", "AdvanceVault", "BackstopArbiter", "ProviderSpv", "SpvFactory", "VaultShares", "Coverage",
        "Loans", "Queue",
    ),
    rounds=(
        ("--match-path", "tests/solidity/finance/*", "--no-match-path", "tests/solidity/finance/{FinanceGas,invariants/}*"),
        ("--match-path", "tests/solidity/finance/invariants/*"),
    ),
    per_mutator=int(os.environ.get("MUTANTS_PER_MUTATOR", "8")),
    most=int(os.environ.get("MUTANTS", "90")),
)  # fmt: skip


# A file below contracts/, what it said, and what it says then.
Change = tuple[str, str, str]


@dataclass(frozen=True)
class Mutant:
    """One small change to one contract."""

    mutator: str
    file: str
    line: int
    start: int
    end: int
    old: str
    new: str


@dataclass(frozen=True)
class Survivor:
    """Why no test catches a mutant, and whether none ever could, because it is the same program."""

    reason: str
    is_equivalent: bool


def mutation() -> Measured:
    """Run a sample of the market's mutants; what is caught of those that compile is the figure."""
    return _measure(MARKET)


def finance_mutation() -> Measured:
    """Run a sample of the mutants of what stands around the market."""
    return _measure(FINANCE)


def _measure(target: Target) -> Measured:
    programs = installed("slither")
    copies = [_copy(FOLDER / f"{target.figure}-{number}") for number in range(1, WORKERS + 1)]
    _build(copies)
    # Some mutators put in what was there.
    made = [mutant for mutant in _make(programs, target.contracts) if mutant.new.strip() != mutant.old.strip()]
    chosen = sample(made, target.per_mutator)[: target.most]
    say(
        "mutation",
        f"{len(chosen)} of {len(made)} mutants: at most {target.per_mutator} of each of {len(_by_mutator(made))} mutators",
    )
    outcomes = dict(zip(chosen, _run_all(chosen, copies, target), strict=True))
    versions = {**forge_versions(), "slither": package_version(programs, "slither-analyzer")}
    return Measured(judged(outcomes, read_survivors(SURVIVORS), target.figure), versions)


def judged(outcomes: Mapping[Mutant, str], known: Mapping[Change, Survivor], figure: str) -> dict[str, Number]:
    """Count, and raise if a survivor has no reason or too many survive. A mutant that is the same program counts for nothing."""
    survivors = [mutant for mutant, outcome in outcomes.items() if outcome == "survived"]
    for mutant in survivors:
        reason = known[change(mutant)].reason if change(mutant) in known else "NOT EXPLAINED"
        say("mutation", f"survived: {told(mutant)}: {reason}")
    unexplained = [mutant for mutant in survivors if change(mutant) not in known]
    caught = sum(outcome == "caught" for outcome in outcomes.values())
    equivalent = sum(known[change(mutant)].is_equivalent for mutant in survivors if change(mutant) in known)
    percent = caught * 1_000 // (caught + len(survivors) - equivalent) / 10
    say(
        "mutation",
        f"{caught} caught, {len(survivors)} survived, of which {equivalent} are the same program: {percent} %",
    )
    if unexplained or percent < LEAST_CAUGHT_PERCENT:
        raise NotHeld(f"{percent} %; {len(unexplained)} survivors without a reason in {SURVIVORS.name}")
    return {
        f"mutation.{figure}_percent": percent,
        f"mutation.{figure}_mutants": caught + len(survivors),
        f"mutation.{figure}_equivalent": equivalent,
    }


def sample(mutants: Sequence[Mutant], most: int) -> list[Mutant]:
    """Draw at most so many of each mutator's mutants, the same at every run, and mix them."""
    dice = random.Random(1)
    chosen = []
    for _, group in sorted(_by_mutator(mutants).items()):
        chosen += dice.sample(group, min(most, len(group)))
    dice.shuffle(chosen)
    return chosen


def told(mutant: Mutant) -> str:
    """A mutant in one line."""
    _, old, new = change(mutant)
    return f"{mutant.mutator} {mutant.file}:{mutant.line} `{old}` => `{new}`"


def change(mutant: Mutant) -> Change:
    """What a mutant changes, wherever its line has moved to."""
    return mutant.file.removeprefix("contracts/"), " ".join(mutant.old.split()), " ".join(mutant.new.split())


def read_survivors(path: Path) -> dict[Change, Survivor]:
    """Why a mutant may survive, by what it changes."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    return {
        (entry["file"], entry["old"], entry["new"]): Survivor(entry["reason"], entry["is_equivalent"])
        for entry in entries
    }


def _by_mutator(mutants: Sequence[Mutant]) -> dict[str, list[Mutant]]:
    groups: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        groups[mutant.mutator].append(mutant)
    return dict(groups)


def _copy(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    # Linked, not copied: nothing writes there.
    shutil.copytree(ROOT / "node_modules", folder / "node_modules", copy_function=os.link, symlinks=True)
    return folder


def _build(copies: Sequence[Path]) -> None:
    for copy in copies:
        run([FORGE, "build"], seconds=1_800, env=environment("plain"), cwd=copy)


def _make(programs: Path, contracts: Sequence[str]) -> list[Mutant]:
    build_for_slither()
    maker = Path(__file__).with_name("mutants.py")
    command = [programs / "python", maker, ROOT, "out/slither", *contracts]
    return [Mutant(**patch) for patch in json.loads(run(command, seconds=600, env=environment("slither")).stdout)]


def _run_all(mutants: Sequence[Mutant], copies: Sequence[Path], target: Target) -> list[str]:
    """Run each mutant in a copy that is free. What an interrupted run found about these very contracts is taken over."""
    digest = _digest_of_contracts()
    known = _read_outcomes(digest)
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for copy in copies:
        # The unbroken contracts must pass, or everything would be "caught".
        if (outcome := _outcome(copy, target)) != "survived":
            raise DeepError(f"the tests fail without any mutant: {outcome}")
        free.put(copy)
    start = time.monotonic()

    def run_one(mutant: Mutant) -> str:
        if mutant in known:
            return known[mutant]
        if time.monotonic() - start > BOUND_SECONDS:
            raise DeepError(f"not done after {BOUND_SECONDS} s")
        copy = free.get()
        try:
            outcome = known[mutant] = _run_mutant(mutant, copy, target)
        finally:
            free.put(copy)
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(json.dumps({"contracts": digest, "outcome": outcome, **asdict(mutant)}) + "\n")
        if outcome == "survived" or len(known) % 20 == 0:
            say("mutation", f"{len(known)} of {len(mutants)}, {minutes_since(start)}; {outcome}: {told(mutant)}")
        return outcome

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(run_one, mutants))


def _digest_of_contracts() -> str:
    files = sorted((ROOT / "contracts").glob("**/*.sol"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _read_outcomes(digest: str) -> dict[Mutant, str]:
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []
    return {
        Mutant(**{name: value for name, value in row.items() if name not in {"contracts", "outcome"}}): row["outcome"]
        for row in rows
        if row["contracts"] == digest
    }


def _run_mutant(mutant: Mutant, copy: Path, target: Target) -> str:
    file = copy / mutant.file
    content = file.read_bytes()
    file.write_bytes(content[: mutant.start] + mutant.new.encode() + content[mutant.end :])
    try:
        return _outcome(copy, target)
    finally:
        file.write_bytes(content)


def _outcome(copy: Path, target: Target) -> str:
    env = environment("plain", **QUICK)
    for round_ in target.rounds:
        command = [str(FORGE), "test", "--fail-fast", *round_]
        try:
            ended = subprocess.run(command, cwd=copy, env=env, timeout=MUTANT_SECONDS, capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            # A mutant that loops is noticed.
            return "caught"
        if DOES_NOT_COMPILE in ended.stdout + ended.stderr:
            return "invalid"
        if ended.returncode != 0:
            return "caught"
    return "survived"
