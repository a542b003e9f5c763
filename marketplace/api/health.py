"""How a gateway is."""

from __future__ import annotations

from marketplace.api.fields import Sentence, Word
from marketplace.api.record import BlockTold, Record


class LiveAnswer(Record, frozen=True):
    """Whether the event loop turns."""

    live: bool


class CheckTold(Record, frozen=True):
    ok: bool
    reason: Sentence | None
    since: Word


class ReadyAnswer(Record, frozen=True):
    """Whether what a duty needs does its work."""

    ready: bool
    duty: Word
    checks: dict[Word, CheckTold]
    head: BlockTold | None = None
    """Null where the duty does not need the chain; the projection likewise."""
    projection: BlockTold | None = None
