"""The limits in documents are those in force."""

from __future__ import annotations

import re
from pathlib import Path

from marketplace.domain.limits import LIMITS, limits_document

ROOT = Path(__file__).parents[2]


def test_the_documents_limits_are_the_programs() -> None:
    """The table in docs/reference/job-spec.md is that of ``domain.limits``, row by row, and none is missing."""
    table = re.search(
        r"\| limit \| value \| of what \|\n\|---\|---\|---\|\n((?:\|.*\|\n)+)",
        (ROOT / "docs/reference/job-spec.md").read_text(),
    )
    rows = [f"| `{limit.name}` | {limit.value:,} {limit.unit} | {limit.meaning} |" for limit in LIMITS]

    assert table
    assert table[1].splitlines() == rows
    assert len(limits_document()) == len(LIMITS)
