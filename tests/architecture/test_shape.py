"""The shape of the tree: who imports whom, who may touch what, and documents that must not drift."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("marketplace/**/*.py"), *ROOT.glob("scheduler/**/*.py")])


def test_import_rules_hold() -> None:
    """The import contracts of pyproject.toml are kept."""
    linted = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert linted.returncode == 0, linted.stdout


def test_only_daemon_and_entry_points_catch_everything() -> None:
    """A broad except that does not raise again hides bugs: one per kind of process, at its boundary."""
    allowed = {"marketplace/daemon.py", "marketplace/cli/main.py", "marketplace/gateway/problems.py"}
    # Carries whatever a launch raises from the sandbox's own thread to the one that asked for it.
    allowed.add("marketplace/provider/executors/watch.py")
    # What a stranger's files or a gateway's answers break must stay in that part of that serving, whatever it is.
    allowed.add("marketplace/provider/isolation.py")
    # Runs a stranger's function in a process of its own: whatever that raises is the answer.
    allowed.add("marketplace/client/call_worker.py")
    found = {
        str(file.relative_to(ROOT))
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
    }

    assert found <= allowed


@pytest.mark.parametrize("folder", ["marketplace/domain", "scheduler/engine"])
def test_the_pure_parts_have_no_clock_and_no_dice(folder: str) -> None:
    """Same input, same output: no time, no randomness below."""
    imported = {
        name.split(".")[0]
        for file in (ROOT / folder).glob("**/*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert not imported & {"time", "random", "secrets", "uuid", "socket", "threading", "subprocess"}


def test_no_file_is_called_after_nothing() -> None:
    """A file is named after the thing in it."""
    banned = {"utils", "helpers", "common", "manager", "handler", "misc", "types"}

    assert not [file for file in SOURCES if file.stem in banned]


def test_every_file_fits_a_reader() -> None:
    """No Python file above 400 lines; the market contract at most 600."""
    long = {
        str(file.relative_to(ROOT)): lines for file in SOURCES if (lines := len(file.read_text().splitlines())) > 400
    }

    assert long == {}
    assert len((ROOT / "contracts/ComputeMarket.sol").read_text().splitlines()) <= 600


def test_no_function_is_longer_than_a_screen() -> None:
    """At most 80 lines; most are ten."""
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}"
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 80
    ]

    assert long == []


def test_locks_carry_no_addresses() -> None:
    """Packages are pinned by hash, from wherever the user's machine gets them."""
    texts = [path.read_text() for path in [*ROOT.glob("requirements/*.txt"), ROOT / "package-lock.json"]]

    assert not [text for text in texts if re.search(r'index-url|find-links|"resolved": "http', text)]
