"""Halmos: properties that hold for every value, not only for those that a fuzzer thought of."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from scripts.deep.figures import Measured
from scripts.deep.tools import FORGE, NotHeld, environment, forge_versions, installed, package_version, run, say

LEAST_PROOFS = 10
PASSED = 0


def halmos() -> Measured:
    """Prove everything in tests/halmos. A proof that times out is none."""
    programs = installed("halmos")
    run([FORGE, "build"], seconds=600, env=environment("halmos"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "halmos.json"
        env = environment("halmos")
        # It looks for its solver on PATH.
        env["PATH"] = f"{programs}:{env['PATH']}"
        command = [programs / "halmos", "--no-status", "--forge-build-out", "out/halmos", "--json-output", report]
        run([*command, "--solver-timeout-assertion", "120s"], seconds=1_800, env=env, accept=(0, 1))
        results = json.loads(report.read_text(encoding="utf-8"))["test_results"]
    proofs = {test["name"]: test["exitcode"] for tests in results.values() for test in tests}
    unproven = sorted(name for name, code in proofs.items() if code != PASSED)
    say("halmos", f"{len(proofs) - len(unproven)} of {len(proofs)} proofs")
    if unproven or len(proofs) < LEAST_PROOFS:
        raise NotHeld(f"not proven: {unproven}")
    return Measured(
        {"halmos.proofs": len(proofs)},
        {**forge_versions(), "halmos": package_version(programs, "halmos")},
    )
