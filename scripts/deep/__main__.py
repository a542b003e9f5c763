"""`python -m scripts.deep [PART…]`: run the deep checks, all or some, and write what they measured, also where documents quote it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from scripts.deep import tables
from scripts.deep.api import api
from scripts.deep.campaigns import attacks, finance, invariants, violations
from scripts.deep.coverage import coverage
from scripts.deep.escapes import escapes
from scripts.deep.execution import execution
from scripts.deep.faults import faults
from scripts.deep.figures import Measured, write_figures
from scripts.deep.findings import slither
from scripts.deep.floods import floods
from scripts.deep.gas import gas
from scripts.deep.hostile import hostile
from scripts.deep.kills import kills
from scripts.deep.mutation import finance_mutation, mutation
from scripts.deep.proofs import halmos
from scripts.deep.python_coverage import python_coverage
from scripts.deep.python_mutation import python_mutation
from scripts.deep.tools import DeepError, minutes_since, say

# The quick ones first.
PARTS: dict[str, Callable[[], Measured]] = {
    "gas": gas,
    "hostile": hostile,
    "api": api,
    "floods": floods,
    "attacks": attacks,
    "violations": violations,
    "halmos": halmos,
    "slither": slither,
    "coverage": coverage,
    "escapes": escapes,
    "exec": execution,
    "python_coverage": python_coverage,
    "python_mutation": python_mutation,
    "faults": faults,
    "kills": kills,
    "invariants": invariants,
    "finance": finance,
    "mutation": mutation,
    "finance_mutation": finance_mutation,
}


def main(names: list[str]) -> int:
    """Run the parts one after the other. One that fails writes nothing, and does not keep the others from running."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"deep: no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = [name for name in names or PARTS if not _run(name)]
    if failed:
        print(f"deep: FAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(name: str) -> bool:
    start = time.monotonic()
    say(name, "started")
    try:
        measured = PARTS[name]()
    except DeepError as error:
        print(f"deep: {name}: FAILED after {minutes_since(start)}: {error}", file=sys.stderr, flush=True)
        return False
    write_figures(measured, f"make deep PART={name}")
    tables.main([])
    say(name, f"{dict(measured.values)}, {minutes_since(start)}")
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
