"""Deletes what nobody refers to any more: blobs without an order or lease after a day, those of a lease a week after it is over.

Kept as long as they are needed are: what an order on the book or a live lease refers to, descriptions of machines that are on offer, and
snapshots of rounds, which anybody may audit. Any number of processes may sweep at once.
"""

from __future__ import annotations

import structlog

from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError
from marketplace.domain.errors import StoreError
from marketplace.domain.ids import Bytes32, Sha256, sha256_in
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.repairs import Repairs
from marketplace.domain.units import UnixTime
from marketplace.domain.wake import NextWake
from marketplace.services.projection import Projector
from marketplace.services.quotas import Quotas
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal

KEPT_SECONDS = 7 * 86_400
"""After the end of a lease was seen, in block time."""
LOOK_AGAIN_SECONDS = 86_400
SWEEP_EVERY_SECONDS = 600
ANSWERS_KEPT_SECONDS = 86_400


class Sweeper:
    """Looks at what is overdue, and deletes it where nothing refers to it."""

    def __init__(
        self, market: MarketContract, journal: OperatorJournal, blobs: FolderBlobs, board: Board, quotas: Quotas
    ) -> None:
        self._market, self._journal, self._blobs, self._board = market, journal, blobs, board
        self._quotas = quotas
        self._log = structlog.get_logger()

    def sweep(self, head: BlockRef) -> int:
        """One bounded part of what is due at this block; how many blobs were deleted. Raises StoreUnavailable, ChainUnavailable."""
        now, deleted = head.timestamp, 0
        self._journal.forget_answers_before(UnixTime(now - ANSWERS_KEPT_SECONDS))
        due = self._journal.uploads.due(now)
        machines = self._machines(now) if due else frozenset()
        for blob in due:
            until = UnixTime(now + LOOK_AGAIN_SECONDS) if blob in machines else self._wanted_until(blob, head)
            if until > now:
                self._journal.uploads.keep(blob, until)
            elif self._journal.uploads.forget(blob, now):
                self._blobs.remove(blob)
                deleted += 1
        if deleted:
            self._log.info("blobs.deleted", count=deleted, block=head.number)
        return deleted

    def _machines(self, now: UnixTime) -> frozenset[Sha256]:
        """The descriptions that living offers name."""
        return frozenset(sha256_in(offer.spec) for offer in self._board.offers() if offer.expires_at > now)

    def _wanted_until(self, blob: Sha256, head: BlockRef) -> UnixTime:
        uses = self._journal.uploads.uses_of(blob)
        return max((self._stays_until(subject, at, head) for subject, at in uses.items()), default=UnixTime(0))

    def _stays_until(self, subject: Bytes32, closed_at: UnixTime | None, head: BlockRef) -> UnixTime:
        if closed_at is not None:
            return UnixTime(closed_at + KEPT_SECONDS)
        if self._goes_on(subject, head):
            return UnixTime(head.timestamp + LOOK_AGAIN_SECONDS)
        self._journal.uploads.close(subject, head.timestamp)
        return UnixTime(head.timestamp + KEPT_SECONDS)

    def _goes_on(self, subject: Bytes32, head: BlockRef) -> bool:
        """Whether it is served, or waits and may be: withdrawn orders may be opened as long as they have not expired.

        A client that has taken its stake away keeps nothing here for a job that may never be.
        """
        status = self._market.lease_of(subject, at=head).status
        if status is not LeaseStatus.NONE:
            return status.is_live
        row = self._journal.order(subject)
        if row is None or row.signed.order.expires_at <= head.timestamp:
            return False
        return self._quotas.has_room(row.signed.order.client)


class SweepingProjector:
    """The indexer's work: the projection, and now and then a sweep. A sweep that fails is made again later."""

    def __init__(self, projector: Projector, sweeper: Sweeper) -> None:
        self._projector, self._sweeper = projector, sweeper
        self._swept_at: UnixTime | None = None
        self._log = structlog.get_logger()

    @property
    def head(self) -> BlockRef | None:
        return self._projector.head

    @property
    def repairs(self) -> Repairs:
        return self._projector.repairs

    def step(self) -> NextWake:
        wake, head = self._projector.step(), self._projector.head
        if head is not None and (self._swept_at is None or head.timestamp >= self._swept_at + SWEEP_EVERY_SECONDS):
            self._swept_at = head.timestamp
            self._sweep(head)
        return wake

    def _sweep(self, head: BlockRef) -> None:
        try:
            self._sweeper.sweep(head)
        except (StoreError, ChainError) as error:
            self._log.warning("blobs.not_swept", reason=error.reason)
