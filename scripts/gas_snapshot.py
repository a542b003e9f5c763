#!/usr/bin/env python3
"""Measure the gas of whole transactions with forge (tests/solidity/Gas.t.sol), and keep it in tests/solidity/gas.json, under sentences."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORGE = ROOT / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"
COMMITTED = ROOT / "tests" / "solidity" / "gas.json"


def measured() -> dict[str, int]:
    """What forge measures now, by sentence. Raises CalledProcessError when a gas test fails."""
    with tempfile.TemporaryDirectory(prefix="gas-") as folder:
        command = ["env", f"FOUNDRY_SNAPSHOTS={folder}", str(FORGE), "test", "--match-contract", "GasTest"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        noted = json.loads(Path(folder, "Gas.json").read_text(encoding="utf-8"))
    return {sentence: int(gas) for sentence, gas in sorted(noted.items())}


def committed() -> dict[str, int]:
    """What the tree says."""
    figures: dict[str, int] = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return figures


if __name__ == "__main__":
    figures = measured()
    COMMITTED.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {len(figures)} gas figures to {COMMITTED.relative_to(ROOT)}")
