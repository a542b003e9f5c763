"""Reads the chain into a journal: what it did about our orders, what it took back, and what was missed."""

from __future__ import annotations

from marketplace.chain.events import EventFollower
from marketplace.client.journal import JobJournal
from marketplace.client.lease_events import LeaseEvent, lease_of
from marketplace.client.spending import exit_of, servings_of
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ReorganisedTooDeep
from marketplace.domain.events import Event
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.repairs import Repairs
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

READ_AGAIN_EVERY_BLOCKS = 64
"""A difference that reading again did not explain is read again so often."""
EXACT_BLOCKS = 512
"""Blocks that are read again one by one; older ones are read by ranges."""


class ChainSync:
    """Keeps a journal's moves those of the chain that stands."""

    def __init__(self, follower: EventFollower, book: JobJournal) -> None:
        self._follower, self._book = follower, book
        self.repairs = Repairs()
        self._read_again_at: dict[Bytes32, int] = {}

    def read(self) -> BlockRef | None:
        """Read up to the newest confirmed block; that block, or None before the first order. Raises ChainUnavailable."""
        past = self._book.past
        while (start := past.next_block()) is not None:
            seen = past.cursor()
            try:
                page = self._follower.follow(seen, start, trail=past.trail)
            except ReorganisedTooDeep as error:
                self._begin_again(seen, error)
                continue
            if page.undo_to is not None:
                self._undo(seen, page.undo_to)
            elif page.upto is None:
                return seen or self._follower.chain.confirmed(self._follower.confirmations)
            else:
                past.take_in(seen, self._moves(page.events), page.blocks)
        return None

    def is_known(self, lease: Lease, moves: tuple[LeaseEvent, ...]) -> bool:
        """Whether the events read say the same of a lease as the contract, both as of one block, and none is of a block that was not read."""
        next_block = self._book.past.next_block()
        if next_block is not None and any(event.ref.block.number >= next_block for event in moves):
            return False
        servings = servings_of(moves)
        if lease.status.is_live:
            return bool(servings) and not servings[-1].exit and servings[-1].opened_at == lease.opened_at
        is_live = bool(servings) and not servings[-1].exit
        return not is_live and (lease.status is not LeaseStatus.CLOSED or exit_of(moves) is not None)

    def read_again(self, order: Bytes32, block: BlockRef) -> bool:
        """Look for events about an order that were missed or never happened; whether there were any. At most now and then for each order."""
        if block.number < self._read_again_at.get(order, 0):
            return False
        self._read_again_at[order] = block.number + READ_AGAIN_EVERY_BLOCKS
        first = self._book.past.first_block()
        exact = max(first, block.number - EXACT_BLOCKS)
        events = (*self._follower.history(first, exact - 1), *self._follower.read_again(exact, block))
        found = self._book.past.mend(self._moves(events), exact, block.number)
        self.repairs = self.repairs.plus(differences=1, found=found)
        _log.error("chain.events_missed", order=order, found=found, block=block.number)
        return found > 0

    def _undo(self, seen: BlockRef | None, standing: BlockRef) -> None:
        if seen is not None and self._book.undo(seen, standing):
            blocks = seen.number - standing.number
            self.repairs = self.repairs.plus(undone_blocks=blocks)
            _log.warning("chain.reorganised", blocks=blocks, block=standing.number)

    def _begin_again(self, seen: BlockRef | None, why: ReorganisedTooDeep) -> None:
        _log.error("chain.reorganised_too_deep", reason=str(why))
        if self._book.undo(seen, None):
            self.repairs = self.repairs.plus(rebuilt=1)

    def _moves(self, events: tuple[Event, ...]) -> list[LeaseEvent]:
        return [event for event in events if isinstance(event, LeaseEvent) and self._book.knows_order(lease_of(event))]
