"""Which branches of the Python the tests reach: each part by the tests that are about it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.deep.figures import Measured
from scripts.deep.tools import TOOLS, DeepError, NotHeld, run, say

LEAST_BRANCHES_PERCENT = 90
PARTS: Mapping[str, str] = {
    "domain": "marketplace/domain/",
    "engine": "scheduler/engine/",
    "client": "marketplace/client/",
    "api client": "marketplace/api/client/",
    "chain": "marketplace/chain/",
}
"""What is measured, and where it is."""
TESTS = (
    ("tests/unit", "--ignore", "tests/unit/bench"),
    (
        "tests/integration/client", "tests/integration/chain", "tests/integration/gateway/test_client.py",
        "tests/integration/gateway/owasp", "tests/faults/test_proxy.py", "tests/faults/test_sending.py", "tests/hostile/gateway",
    ),
    (
        "tests/hostile/client", "tests/hostile/provider", "tests/integration/test_ssh.py", "tests/integration/test_exposure.py",
        "tests/integration/test_relay.py", "tests/integration/test_registries.py", "tests/integration/provider/test_images.py",
        "tests/faults/test_rows.py", "tests/differential/test_finance.py", "tests/solidity/test_compiler.py",
    ),
    ("tests/acceptance", "--ignore", "tests/acceptance/test_page.py", "--ignore", "tests/acceptance/test_tutorial.py"),
)  # fmt: skip
"""What is about them, for a process each. What numba compiles is watched where one test runs it interpreted."""
SECONDS = 3_600
FOLDER = TOOLS / "python-coverage"
SETTINGS = """\
[run]
branch = true
parallel = true
patch = subprocess
disable_warnings = module-not-imported, module-not-measured, no-data-collected
source = marketplace.domain, marketplace.client, marketplace.api.client, marketplace.chain, scheduler.engine
# It runs as a copy in the sandbox of a job, which has no coverage and no way out of it.
omit = */marketplace/client/call_worker.py
data_file = {folder}/reached
[report]
exclude_also =
    if TYPE_CHECKING:
    class \\w+\\(Protocol\\):
    ^\\s*\\.\\.\\.$
"""


def python_coverage() -> Measured:
    """Measure what the tests reach; every part must reach the bar, and all of them together are the figure."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    settings = FOLDER / "settings"
    settings.write_text(SETTINGS.format(folder=FOLDER), encoding="utf-8")
    coverage = [sys.executable, "-m", "coverage"]
    command = [
        *coverage,
        "run",
        f"--rcfile={settings}",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout",
        "900",
    ]
    with ThreadPoolExecutor(len(TESTS)) as pool:
        list(pool.map(lambda tests: run([*command, *tests], seconds=SECONDS), TESTS))
    report = FOLDER / "reached.json"
    run([*coverage, "combine", "-q", f"--rcfile={settings}"], seconds=300)
    run([*coverage, "json", "-q", f"--rcfile={settings}", "-o", report], seconds=300)
    return judged(json.loads(report.read_text(encoding="utf-8"))["files"])


def judged(files: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Measured:
    """Count branches by part, and raise where too few were reached."""
    counts = {part: branches_below(folder, files) for part, folder in PARTS.items()}
    if not all(there for there, _ in counts.values()):
        raise DeepError(f"nothing was measured of a part: {counts}")
    percents = {part: _percent(reached, there) for part, (there, reached) in counts.items()}
    say("python_coverage", ", ".join(f"{part} {percent} %" for part, percent in percents.items()))
    missed = {name: there - reached for name, file in files.items() for there, reached in [_of(file)]}
    for name in sorted(missed, key=missed.__getitem__, reverse=True)[:20]:
        say("python_coverage", f"{missed[name]} branches are not reached in {name}")
    if few := {part: percent for part, percent in percents.items() if percent < LEAST_BRANCHES_PERCENT}:
        raise NotHeld(f"branches reached, percent: {few}")
    there, reached = (sum(count[index] for count in counts.values()) for index in (0, 1))
    version = run([sys.executable, "-m", "coverage", "--version"], seconds=60).stdout.split()[2]
    return Measured({"coverage.python_branches_percent": _percent(reached, there)}, {"coverage": version})


def branches_below(folder: str, files: Mapping[str, Mapping[str, Mapping[str, int]]]) -> tuple[int, int]:
    """How many branches there are in the files of a folder, and how many were taken."""
    found = [_of(file) for name, file in files.items() if Path(name).as_posix().startswith(folder)]
    return sum(there for there, _ in found), sum(reached for _, reached in found)


def _of(file: Mapping[str, Mapping[str, int]]) -> tuple[int, int]:
    return file["summary"]["num_branches"], file["summary"]["covered_branches"]


def _percent(reached: int, there: int) -> float:
    # Rounded down: 99.99 is not all.
    return reached * 10_000 // there / 100
