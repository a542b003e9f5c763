"""`make demo DEMO=finance`, as far as it needs no set-up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import finance

ROOT = Path(__file__).parents[3]


def test_the_finance_demo_ends_well_and_says_who_got_what() -> None:
    """It ends with 0, after a line for each thing that happened and a table whose parts come to 100 dollars."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.finance"], cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.partition("where the rent went")[2].partition("who got what")[0]
    parts = [line.split("│")[3] for line in table.splitlines() if line.startswith("│")]
    assert sum(round(float(part) * 10_000) for part in parts) == pytest.approx(1_000_000, abs=2)
    assert "✗" not in done.stdout


def test_a_sum_that_does_not_hold_fails_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """With less rounding allowed than there is, one sentence is untrue, and the exit status says so."""
    monkeypatch.setattr(finance, "MOST_DUST", -1)

    assert finance.main() == 1
