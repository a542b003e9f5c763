"""The round desk: every round that was posted, for whoever audits it. What a plan was made from is among the blobs, by its hash."""

from __future__ import annotations

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Bytes32
from marketplace.store.journal.operator import OperatorJournal, RoundCursor
from marketplace.store.journal.rows import JournalRound, RoundRow


class RoundDesk:
    """Hands out plans by the hash that is on the chain."""

    def __init__(self, journal: OperatorJournal) -> None:
        self._journal = journal

    def round(self, round_hash: Bytes32) -> JournalRound:
        """Raises NotFound."""
        found = self._journal.round(round_hash)
        if found is None:
            raise NotFound("round", round_hash)
        return found

    def page(self, after: RoundCursor | None, limit: int) -> tuple[list[RoundRow], RoundCursor | None]:
        """Rounds, those of the newest blocks first; and where to go on."""
        found = self._journal.rounds(after, limit)
        return found, (found[-1].block_number, found[-1].hash) if len(found) == limit else None
