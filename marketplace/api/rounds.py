"""The rounds that were written down to be posted. A round itself is a document named by its hash (``documents``)."""

from __future__ import annotations

from marketplace.api.fields import BlockNumber, Count, Cursor, WordText
from marketplace.api.record import Record


class RoundTold(Record, frozen=True):
    round: WordText
    block: BlockNumber
    """The number of its snapshot's."""
    bytes: Count


class RoundPage(Record, frozen=True):
    items: list[RoundTold]
    next: Cursor = None
