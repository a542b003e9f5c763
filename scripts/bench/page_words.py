"""What `make bench PART=page` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

from collections.abc import Mapping

COMMAND = "make bench PART=page"

FIRST_LOAD = "page.first_load_kb"
FIRST_VIEW = "page.lcp_ms"
SHIFT = "page.cls"
LONGEST_TASK = "page.longest_task_ms"
SERIOUS = "page.axe_serious"

AT_MOST = {FIRST_LOAD: 200, FIRST_VIEW: 1_000, SHIFT: 0.02, LONGEST_TASK: 100, SERIOUS: 0}


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    return {
        FIRST_LOAD: "kilobytes that the page's first view loads, its letters included; text by gzip",
        FIRST_VIEW: "milliseconds until its largest piece is seen, on the same machine, median of 5",
        SHIFT: "of the view that moves while it opens and lives for ten seconds (CLS), median of 5",
        LONGEST_TASK: "milliseconds of the longest task meanwhile, median of 5",
        SERIOUS: "serious findings of axe in its views",
    }


def missed(values: Mapping[str, float]) -> list[str]:
    """The figures that are above their bars."""
    return [key for key, most in AT_MOST.items() if values[key] > most]
