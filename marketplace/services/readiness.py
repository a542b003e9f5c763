"""Whether everything behind the gateway does its work: the chain moves, the stores answer, the projection keeps up."""

from __future__ import annotations

from collections.abc import Callable

from marketplace.chain.blocks import Chain
from marketplace.domain.errors import ChainError, StoreError
from marketplace.domain.ids import ZERO_BYTES32
from marketplace.domain.models import BlockRef
from marketplace.services.answers import Readiness
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal

HEAD_AGE_LIMIT_SECONDS = 60
PROJECTION_LAG_LIMIT_BLOCKS = 30

Clock = Callable[[], float]
"""Wall-clock seconds since 1970; only the age of the chain's head is measured with it, nothing about money."""


class ReadinessCheck:
    """Asks each neighbour once."""

    def __init__(self, chain: Chain, journal: OperatorJournal, board: Board, clock: Clock) -> None:
        self._chain, self._journal, self._board, self._clock = chain, journal, board, clock

    def ask(self) -> Readiness:
        reasons: dict[str, str] = {}
        head = self._head(reasons)
        projection = self._projection(head, reasons)
        try:
            self._journal.order(ZERO_BYTES32)
        except StoreError as error:
            reasons["journal"] = str(error)
        return Readiness(reasons, head, projection)

    def _head(self, reasons: dict[str, str]) -> BlockRef | None:
        try:
            head = self._chain.head()
        except ChainError as error:
            reasons["chain"] = str(error)
            return None
        age = int(self._clock()) - head.timestamp
        if age > HEAD_AGE_LIMIT_SECONDS:
            reasons["chain"] = f"the newest block is {age} s old; {HEAD_AGE_LIMIT_SECONDS} s is the limit"
        return head

    def _projection(self, head: BlockRef | None, reasons: dict[str, str]) -> BlockRef | None:
        try:
            cursor = self._board.cursor()
        except StoreError as error:
            reasons["redis"] = str(error)
            return None
        if cursor is None:
            reasons["projection"] = "it is being rebuilt"
        elif head is not None and head.number - cursor.number > PROJECTION_LAG_LIMIT_BLOCKS:
            reasons["projection"] = (
                f"it is {head.number - cursor.number} blocks behind; {PROJECTION_LAG_LIMIT_BLOCKS} is the limit"
            )
        return cursor
