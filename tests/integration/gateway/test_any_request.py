"""Whatever the schema allows is understood, whatever it does not is refused, and what is answered is as it says (schemathesis)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.gateway.cases.stage import tried

CASES, EXAMPLES = 2_000, 3
"""What the bounds of the schema make is most of it."""


@pytest.mark.timeout(600)
def test_two_thousand_requests_are_answered_as_openapi_says(tmp_path: Path) -> None:
    """All checks of schemathesis on every operation of a real gateway, with parties who sign: no failure."""
    found = tried(tmp_path, EXAMPLES)

    assert found.failures == 0, found.said
    assert found.cases >= CASES
