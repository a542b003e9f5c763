"""Some work, for specs whose work nobody runs."""

from __future__ import annotations

from marketplace.domain.work import Work

SOME_WORK = Work(("true",), "ab" * 32)
WORK = SOME_WORK.name
"""What a spec says of it."""
