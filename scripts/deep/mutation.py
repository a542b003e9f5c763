"""Mutation testing: break the contracts in many small ways, in copies of the tree, and see whether a test notices."""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import subprocess
import time
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.deep.figures import ROOT, Measured
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

CONTRACTS = (
    "ComputeMarket",
    "GpuCatalogue",
    "Budgets",
    "Guards",
    "Leases",
    "Metering",
    "OfferTerms",
    "Offers",
    "Orders",
    "Refusals",
    "Signatures",
    "Volumes",
)
LEAST_CAUGHT_PERCENT = 90
# Of each mutator's mutants, at most so many, drawn with a fixed seed.
SAMPLE = int(os.environ.get("MUTANTS_PER_MUTATOR", "25"))
WORKERS = int(os.environ.get("MUTATION_WORKERS", "2"))
BOUND_SECONDS = 4 * 3_600
MUTANT_SECONDS = 240
FOLDER = TOOLS / "mutation"
REASONS = Path(__file__).with_name("survivors.toml")
RESULTS = FOLDER / "results.jsonl"
COPIED = ("contracts", "tests/solidity", "scripts/solc", "marketplace/domain", "marketplace/chain/abi", "foundry.toml")
# The tests of the verbs first, then what takes longer. Gas is not looked at: a mutant that is only dearer is not wrong.
ROUNDS = (
    ("--no-match-path", "tests/solidity/{Gas,canary/,invariants/,attacks/,violations/}*"),
    ("--match-path", "tests/solidity/invariants/*"),
    ("--match-path", "tests/solidity/{attacks,violations}/*"),
)
DOES_NOT_COMPILE = b"Compiler run failed"
QUICK = {
    "FOUNDRY_FUZZ_SEED": "1",
    "FOUNDRY_FUZZ_RUNS": "24",
    "FOUNDRY_INVARIANT_RUNS": "1",
    "FOUNDRY_INVARIANT_DEPTH": "400",
}


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


def mutation() -> Measured:
    """Run a sample of the mutants; what is caught of those that compile is the figure."""
    programs = installed("slither")
    copies = [_copy(FOLDER / f"copy-{number}") for number in range(1, WORKERS + 1)]
    _build(copies)
    # Some mutators put in what was there.
    made = [mutant for mutant in _make(programs) if mutant.new.strip() != mutant.old.strip()]
    chosen = sample(made, SAMPLE)
    say(
        "mutation",
        f"{len(chosen)} of {len(made)} mutants: at most {SAMPLE} of each of {len(_by_mutator(made))} mutators",
    )
    outcomes = _run_all(chosen, copies)
    caught, survivors = outcomes.count("caught"), [m for m, o in zip(chosen, outcomes, strict=True) if o == "survived"]
    percent = caught * 1_000 // (caught + len(survivors)) / 10
    say(
        "mutation",
        f"{caught} caught, {len(survivors)} survived, {outcomes.count('invalid')} do not compile: {percent} %",
    )
    known = read_reasons(REASONS)
    unexplained = [told(mutant) for mutant in survivors if change(mutant) not in known]
    for mutant in survivors:
        say("mutation", f"survived: {told(mutant)}: {known.get(change(mutant), 'NOT EXPLAINED')}")
    if percent < LEAST_CAUGHT_PERCENT or unexplained:
        raise NotHeld("\n".join([f"{percent} % of {LEAST_CAUGHT_PERCENT} % caught; not explained:", *unexplained]))
    versions = {**forge_versions(), "slither": package_version(programs, "slither-analyzer")}
    return Measured({"mutation.solidity_percent": percent}, versions)


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


def change(mutant: Mutant) -> tuple[str, str, str]:
    """What a mutant changes, wherever its line has moved to."""
    return mutant.file.removeprefix("contracts/"), " ".join(mutant.old.split()), " ".join(mutant.new.split())


def read_reasons(path: Path) -> dict[tuple[str, str, str], str]:
    """Why a mutant may survive, by what it changes."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    return {(entry["file"], entry["old"], entry["new"]): entry["reason"] for entry in entries}


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


def _make(programs: Path) -> list[Mutant]:
    build_for_slither()
    maker = Path(__file__).with_name("mutants.py")
    command = [programs / "python", maker, ROOT, "out/slither", *CONTRACTS]
    return [Mutant(**patch) for patch in json.loads(run(command, seconds=600, env=environment("slither")).stdout)]


def _run_all(mutants: Sequence[Mutant], copies: Sequence[Path]) -> list[str]:
    """Run each mutant in a copy that is free. Nothing of an earlier run is taken over."""
    RESULTS.unlink(missing_ok=True)
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for copy in copies:
        # The unbroken contracts must pass, or everything would be "caught".
        if (outcome := _outcome(copy)) != "survived":
            raise DeepError(f"the tests fail without any mutant: {outcome}")
        free.put(copy)
    start, done = time.monotonic(), 0

    def run_one(mutant: Mutant) -> str:
        nonlocal done
        if time.monotonic() - start > BOUND_SECONDS:
            raise DeepError(f"not done after {BOUND_SECONDS} s")
        copy = free.get()
        try:
            outcome = _run_mutant(mutant, copy)
        finally:
            free.put(copy)
        done += 1
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(json.dumps({"outcome": outcome, **asdict(mutant)}) + "\n")
        if outcome == "survived" or done % 20 == 0:
            say("mutation", f"{done} of {len(mutants)}, {minutes_since(start)}; {outcome}: {told(mutant)}")
        return outcome

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(run_one, mutants))


def _run_mutant(mutant: Mutant, copy: Path) -> str:
    file = copy / mutant.file
    content = file.read_bytes()
    file.write_bytes(content[: mutant.start] + mutant.new.encode() + content[mutant.end :])
    try:
        return _outcome(copy)
    finally:
        file.write_bytes(content)


def _outcome(copy: Path) -> str:
    env = environment("plain", **QUICK)
    for round_ in ROUNDS:
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
