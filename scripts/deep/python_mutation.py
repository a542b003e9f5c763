"""Break the Python in many small ways, in copies of the tree, and see whether the tests that import what was broken notice.

python -m scripts.deep.python_mutation --each 3     a few of each part, for a look; writes nothing
"""

from __future__ import annotations

import argparse
import ast
import os
import queue
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from scripts.deep.figures import ROOT, Measured
from scripts.deep.python_mutants import PythonMutant, mutants_of, mutated
from scripts.deep.tools import TOOLS, DeepError, NotHeld, minutes_since, run, say

LEAST_CAUGHT_PERCENT = 80
PARTS: Mapping[str, tuple[str, int]] = {
    "domain": ("marketplace/domain/*.py", 70),
    "transactions": ("marketplace/chain/transactions.py", 25),
    "services": ("marketplace/services/*.py", 55),
}
"""Where mutants are made, and how many of them are drawn."""
BESIDE: Mapping[str, str] = {
    "chain/transactions": "chain/test_transactions ../faults/test_sending",
    "domain/archives": "../unit/test_archives ../unit/test_unpacking",
    "domain/changing": "chain/test_replay",
    "domain/declines": "gateway/test_declines",
    "domain/advances": "chain/test_vault_commands",
    "domain/annals": "chain/test_replay gateway/test_past",
    "domain/finance": "../differential/test_finance",
    "domain/ledger": "chain/test_replay",
    "domain/pricing": "chain/test_pricing",
    "domain/vaults": "gateway/test_vaults",
    "domain/repairs": "store/test_projector_undone",
    "domain/runnable": "gateway/test_bad_orders client/test_vetting",
    "services/access": "gateway/owasp/test_api1_object_level_authorization gateway/owasp/test_api1_shares client/test_job_keys",
    "services/accounts": "gateway/test_client gateway/test_wallets",
    "services/answers": "gateway/test_orders",
    "services/books": "client/test_accounts",
    "services/declines": "gateway/test_declines",
    "services/expiry": "gateway/test_expiry gateway/test_blobs",
    "services/feed": "gateway/test_live",
    "services/fold": "store/test_projector",
    "services/gpu_use": "gateway/test_gpu_use",
    "services/host_keys": "gateway/test_host_keys",
    "services/idempotency": "gateway/test_orders",
    "services/input_checks": "gateway/test_bad_inputs",
    "services/job_keys": "client/test_job_keys",
    "services/leadership": "store/test_leadership",
    "services/leases": "gateway/test_leases",
    "services/blob_access": "gateway/test_leases gateway/test_blobs",
    "services/measurements": "gateway/test_measurements",
    "services/rate_limits": "gateway/owasp/test_api4_resource_consumption",
    "services/offers": "gateway/test_client gateway/test_surface",
    "services/order_checks": "gateway/test_bad_orders",
    "services/order_batches": "gateway/test_orders gateway/test_bad_orders",
    "services/orders": "gateway/test_orders gateway/test_bad_orders",
    "services/participants": "store/test_projector",
    "services/past": "gateway/test_past",
    "services/projection": "store/test_projector store/test_projector_undone",
    "services/quotas": "gateway/owasp/test_api4_resource_consumption",
    "services/quotes": "gateway/test_client",
    "services/readiness": "gateway/test_surface gateway/test_outages",
    "services/receipts": "gateway/test_leases",
    "services/reconcile": "store/test_projector_reconciles store/test_projector",
    "services/rounds": "gateway/test_rounds",
    "services/servings": "gateway/test_leases",
    "services/sessions": "gateway/owasp/test_api2_authentication",
    "services/timelines": "gateway/test_past",
    "services/uploads": "gateway/test_blobs gateway/test_expiry",
    "services/vaults": "gateway/test_vaults",
    "services/warm_images": "gateway/test_warm_images",
}
"""Of tests/integration, those that come to a module through others."""
FOLDERS = ("domain", "services", "store", "provider", "client", "gateway", "")
"""Of the unit tests, those named after what was changed and then the others in this order, at most so many files that import it:"""
MOST_FILES = 6
WORKERS = 2
MUTANT_SECONDS = 180
FOLDER = TOOLS / "python-mutation"


def python_mutation(each: int | None = None) -> Measured:
    """Run a sample of the mutants; what is caught of it is the figure."""
    chosen = [mutant for pattern, most in PARTS.values() for mutant in sample(pattern, each or most)]
    start, caught, copies = time.monotonic(), 0, queue.SimpleQueue[Path]()
    for number in range(WORKERS):
        copies.put(_copy(FOLDER / f"copy-{number + 1}"))
    with ThreadPoolExecutor(WORKERS) as pool:
        for group in {tests_of(mutant.file) for mutant in chosen}:
            if pool.submit(_in_a_copy, copies, None, group).result():
                raise DeepError(f"without any mutant these fail: {' '.join(group)}")
        outcomes = pool.map(lambda mutant: _in_a_copy(copies, mutant, tests_of(mutant.file)), chosen)
        for mutant, is_caught in zip(chosen, outcomes, strict=True):
            caught += is_caught
            if not is_caught:
                say("python_mutation", f"survived: {mutant.file}:{mutant.line} `{mutant.old}` => `{mutant.new}`")
    percent = caught * 1_000 // len(chosen) / 10
    say("python_mutation", f"{caught} of {len(chosen)} caught: {percent} %, {minutes_since(start)}")
    if percent < LEAST_CAUGHT_PERCENT and each is None:
        raise NotHeld(f"{percent} % of {LEAST_CAUGHT_PERCENT} %")
    return Measured(
        {"mutation.python_percent": percent, "mutation.python_mutants": len(chosen)}, {"python": sys.version.split()[0]}
    )


def sample(pattern: str, most: int) -> list[PythonMutant]:
    """So many of all mutants of these files, the same at every run."""
    files = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob(pattern))]
    mutants = [mutant for file in files for mutant in mutants_of(file, (ROOT / file).read_text(encoding="utf-8"))]
    return random.Random(1).sample(mutants, min(most, len(mutants)))


@cache
def tests_of(file: str) -> tuple[str, ...]:
    """The unit tests that import a module, its own first, and what comes to it through others."""
    module = file.removesuffix(".py").replace("/", ".")
    found = [
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in sorted((ROOT / "tests/unit" / folder).glob("test_*.py"))
        if module in _imported(path)
    ]
    found.sort(key=lambda test: Path(test).stem != f"test_{Path(file).stem}")
    key = file.removeprefix("marketplace/").removesuffix(".py")
    beside = [f"tests/integration/{test}.py" for test in BESIDE.get(key, "").split()]
    return tuple(dict.fromkeys([*found[:MOST_FILES], *beside]))


@cache
def _imported(path: Path) -> frozenset[str]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    return frozenset(name for node in nodes for name in _modules(node.module or "", node.names))


def _modules(module: str, names: Iterable[ast.alias]) -> list[str]:
    return [module, *(f"{module}.{name.name}" for name in names)]


def _copy(folder: Path) -> Path:
    """The tree as it is now; what setup made is shared."""
    shutil.rmtree(folder, ignore_errors=True)
    kept = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], seconds=60).stdout.splitlines()
    for name in (name for name in kept if (ROOT / name).is_file()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for name in ("node_modules", ".runtime", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def _in_a_copy(copies: queue.SimpleQueue[Path], mutant: PythonMutant | None, tests: Sequence[str]) -> bool:
    """Whether the tests fail, with the mutant or with none, in a copy that is free. What no test imports is not caught."""
    if not tests:
        return False
    copy = copies.get()
    try:
        if mutant:
            source = (ROOT / mutant.file).read_text(encoding="utf-8")
            (copy / mutant.file).write_text(mutated(source, mutant.number), encoding="utf-8")
        command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        ended = subprocess.run(
            command, cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)},
            timeout=MUTANT_SECONDS, capture_output=True, check=False,
        )  # fmt: skip
        return ended.returncode != 0
    except subprocess.TimeoutExpired:
        return True  # a mutant that loops is noticed
    finally:
        if mutant:
            shutil.copy2(ROOT / mutant.file, copy / mutant.file)
        copies.put(copy)


def main(words: Sequence[str] | None = None) -> int:
    """A few of each part, for a look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=3)
    print(dict(python_mutation(parser.parse_args(words).each).values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
