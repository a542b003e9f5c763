"""20,000 requests that schemathesis makes of OpenAPI, to a real gateway: all its checks."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.deep.faults import version
from scripts.deep.figures import Measured
from scripts.deep.tools import NotHeld, installed, package_version
from tests.integration.gateway.cases.stage import tried

CASES, EXAMPLES = 20_000, 540
"""Operations without parameters have one case each."""


def api() -> Measured:
    """Raises NotHeld where a single case fails, or where there are too few."""
    programs = installed("clients")
    with TemporaryDirectory() as folder:
        found = tried(Path(folder), EXAMPLES)
    if found.failures:
        raise NotHeld(found.said)
    if found.cases < CASES:
        raise NotHeld(f"{found.cases} cases only: {CASES} are asked for")
    return Measured(
        {"api.schemathesis_cases": found.cases, "api.schemathesis_failures": found.failures},
        {"compute-bourse": version(), "schemathesis": package_version(programs, "schemathesis")},
    )
