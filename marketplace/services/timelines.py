"""What has happened to an order: the chain's word from the projection, the gateway's own from journal and board."""

from __future__ import annotations

from collections.abc import Iterator

from marketplace.api.record import BlockTold
from marketplace.api.timelines import OrderEventPage, OrderEventTold
from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Bytes32
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal

RECEIPTS_TOLD = 20
"""The newest ones."""


class TimelineDesk:
    """Raises StoreUnavailable while there is no whole projection."""

    def __init__(self, journal: OperatorJournal, board: Board) -> None:
        self._journal, self._board = journal, board

    def events(self, order: Bytes32, after: str | None, limit: int) -> OrderEventPage:
        """Oldest first; the first page has the newest ones. Raises NotFound for an order that neither chain nor gateway knows."""
        page = self._board.past.events(order, after, limit)
        told = [OrderEventTold.by_chain(event) for event in reversed(page.items)]
        if after is None:
            told = sorted([*self._own(order), *told], key=lambda event: event.at)  # stable: what came first stays first
        if not told and after is None:
            raise NotFound("order", order)
        return OrderEventPage(order, told, BlockTold.of(page.block), page.onward)

    def _own(self, order: Bytes32) -> Iterator[OrderEventTold]:
        row = self._journal.order(order)
        if row is not None:
            yield OrderEventTold.by_gateway("accepted", row.accepted_at)
        why = self._board.explanation(order)
        if why is not None:
            reasons = {reason.value: count for reason, count in why.reasons.items()}
            yield OrderEventTold.by_gateway(
                "considered", why.block.timestamp, reason=next(iter(reasons), ""), detail=why.nearest_miss,
                fields={"reasons": reasons, "placedOn": why.placed_on}, block=why.block.number,
            )  # fmt: skip
        for signed in self._board.declines_of([order])[order]:
            said = signed.decline
            yield OrderEventTold.by_gateway(
                "declined", said.opened_at, reason=said.reason, detail=said.detail, fields={"openedAt": said.opened_at}
            )
        for receipt in self._journal.receipts(order)[-RECEIPTS_TOLD:]:
            fields = {"role": receipt.role, "usedSeconds": receipt.receipt.used_seconds, "last": receipt.receipt.last}
            yield OrderEventTold.by_gateway("receipt", receipt.at, fields=fields)
        if row is not None and row.withdrawn_at is not None:
            yield OrderEventTold.by_gateway("withdrawn", row.withdrawn_at)
