"""What may be wrong around a process, as checks: the chain stands still, a store does not answer or takes nothing, the projection lags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from marketplace.chain.blocks import Chain
from marketplace.domain.blocks import BlockRef
from marketplace.services.answers import Readiness
from marketplace.services.checks import Check, Checks, Clock, reasons_of
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal

HEAD_AGE_LIMIT_SECONDS = 60
"""A chain that stands still for so long is not well, however slow it is otherwise…"""
PACES_LIMIT = 10
"""…unless so many of its own blocks would not have come in this time,"""
HEAD_AGE_MOST_SECONDS = 900
"""up to here."""
PROJECTION_LAG_LIMIT_BLOCKS = 30

GATEWAY_DUTIES: Mapping[str, tuple[str, ...]] = {
    "orders": ("chain", "journal", "blobs"),
    "receipts": ("chain", "journal", "blobs"),
    "files": ("blobs",),
    "book": ("chain", "redis", "projection"),
    "events": ("redis", "projection"),
}
"""What a gateway does, and the checks that it needs for it. Orders, receipts and files need no Redis; the book is nothing else."""


class HeadWatch:
    """Whether the chain moves, from the heads that are seen.

    A head's age by this machine's clock counts only as far as it could not have been noticed earlier: a clock that is wrong by an hour
    says nothing about a chain whose blocks keep coming.
    """

    def __init__(
        self, look: Callable[[], BlockRef | None], clock: Clock, *, elapsed: Callable[[], float] = monotonic
    ) -> None:
        """``look``: the newest head that is known. ``elapsed``: seconds that pass evenly."""
        self._look, self._clock, self._elapsed = look, clock, elapsed
        self._first: BlockRef | None = None
        self.head: BlockRef | None = None
        """The newest that was seen."""
        self._looked_at = self._still_since = 0.0

    def check(self) -> str | None:
        """A ``Check``; raises what ``look`` does."""
        head = self._look() or self.head
        if head is None:
            return "no block has been read yet"
        now = self._elapsed()
        if self.head is None or head.hash != self.head.hash:
            self._still_since = now - self._age_of(head, now)
            self._first, self.head = self._first or head, head
        self._looked_at = now
        still, limit = int(now - self._still_since), self._limit_seconds(head)
        return f"the newest block is {still} s old; {limit} s is the limit" if still > limit else None

    def _age_of(self, head: BlockRef, now: float) -> float:
        """How old a head is that was not there at the last look: no older than that look is long ago, and than the chain's own clock allows.

        That clock may lag behind ours, but both run: as far as it went on between two looks, the chain did.
        """
        by_our_clock = max(0.0, self._clock() - head.timestamp)
        if self.head is None:
            return by_our_clock
        # What only our clock said of the first head does not count any more: the chain has been seen to move.
        before = 0.0 if self.head == self._first else self._looked_at - self._still_since
        unseen = now - self._looked_at
        by_its_clock = max(0.0, before + unseen - (head.timestamp - self.head.timestamp))
        return min(by_our_clock, unseen, by_its_clock)

    def _limit_seconds(self, head: BlockRef) -> int:
        """By the chain's own pace as far as it has been seen."""
        assert self._first, "set with the first head"
        blocks = head.number - self._first.number
        paces = PACES_LIMIT * (head.timestamp - self._first.timestamp) // blocks if blocks > 0 else 0
        return max(HEAD_AGE_LIMIT_SECONDS, min(paces, HEAD_AGE_MOST_SECONDS))


def projection_follows(board: Board, head: Callable[[], BlockRef | None]) -> Check:
    """Whether there is a whole projection, not far behind the head; where no head is known, whether there is one."""

    def check() -> str | None:
        cursor, newest = board.cursor(), head()
        if cursor is None:
            return "it is being rebuilt"
        behind = newest.number - cursor.number if newest else 0
        if behind > PROJECTION_LAG_LIMIT_BLOCKS:
            return f"it is {behind} blocks behind; {PROJECTION_LAG_LIMIT_BLOCKS} is the limit"
        return None

    return check


class ReadinessCheck:
    """The gateway's checks."""

    def __init__(
        self,
        chain: Chain,
        journal: OperatorJournal,
        board: Board,
        blobs: FolderBlobs,
        clock: Clock,
        *,
        fresh_seconds: float = 1.0,
    ) -> None:
        self._head = HeadWatch(chain.head, clock)
        self._board = board
        self.checks = Checks(
            {
                "chain": self._head.check,
                "journal": journal.write_probe,
                "blobs": blobs.write_probe,
                "redis": board.ping,
                "projection": projection_follows(board, lambda: self._head.head),
            },
            GATEWAY_DUTIES,
            clock=clock,
            fresh_seconds=fresh_seconds,
        )

    @property
    def head(self) -> BlockRef | None:
        """The newest block that was seen when somebody asked."""
        return self._head.head

    def ask(self, duty: str = "") -> Readiness:
        """Raises InvalidField for a duty that a gateway does not have."""
        findings = self.checks.ask(duty)
        reasons = reasons_of(findings)
        head = None if "chain" in reasons else self._head.head
        is_read = "projection" not in reasons and any(finding.name == "projection" for finding in findings)
        return Readiness(findings, head, self._board.cursor() if is_read else None)
