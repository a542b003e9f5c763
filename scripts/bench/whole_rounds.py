"""What `make bench PART=whole` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

GROUP, COMMAND = "whole", "make bench PART=whole"
ORDERS, OFFERS = 100_000, 10_000
STEPS = {
    "view": "reading the board's view from Redis",
    "clear": "clearing it",
    "documents": "writing snapshot and plan down, hashed, the snapshot on disk",
}


def first_key(step: str) -> str:
    return f"{GROUP}.first_{step}_seconds"


def later_key(step: str) -> str:
    return f"{GROUP}.later_{step}_seconds"


FIRST, LATER, SHARE = f"{GROUP}.first_seconds", f"{GROUP}.later_seconds", f"{GROUP}.later_share"
FIRST_STORED, LATER_STORED = f"{GROUP}.first_stored_bytes", f"{GROUP}.later_stored_bytes"


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    place = f"{ORDERS:,} orders on {OFFERS:,} offers"
    steps = {
        first_key(step): f"a scheduler's first round: seconds of {words}, {place}" for step, words in STEPS.items()
    }
    later = {
        later_key(step): f"a later round, 1 % of the book another: seconds of {words}, {place}"
        for step, words in STEPS.items()
    }
    return {
        **steps,
        **later,
        FIRST: f"a scheduler's first round, from the board to the documents: seconds, {place}",
        LATER: f"a later round of it, 1 % of the book another: seconds, {place}",
        SHARE: "the latter over the former",
        FIRST_STORED: f"bytes of a scheduler's first snapshot on disk, {place}",
        LATER_STORED: f"bytes on disk of what a later one has new, 1 % of the book another, {place}",
    }
