"""Everything that one round may look at: frozen, and writable for whoever replays the round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.classes import GpuClass
from marketplace.domain.fills import Fill
from marketplace.domain.fitting import Circumstances, OfferRow, offer_row
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_of
from marketplace.domain.leases import NO_LEASE, Lease, LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.policy import Policy
from marketplace.domain.units import UnixTime
from scheduler.engine.documents.document import SnapshotWriter, WrittenSnapshot


@dataclass(frozen=True)
class Snapshot:
    """The market as one scheduler sees it at one moment.

    ``posted`` are our own fills that the view cannot show yet (it lags behind the head): they count as done.
    ``declined`` says which providers declined an order, and when; the view knows the last one only. ``excused`` are openings that
    were declined for reasons that are not about the pair: a gateway did not deliver. They bar nobody.
    """

    view: BookView
    opener: Address
    terms: MarketTerms
    policy: Policy = field(default_factory=Policy)
    classes: tuple[GpuClass, ...] = ()
    head: BlockRef | None = None
    """The newest block, where it is not the view's own."""
    posted: tuple[Fill, ...] = ()
    declined: Mapping[Bytes32, Mapping[Address, UnixTime]] = field(default_factory=dict)
    excused: Mapping[Bytes32, Mapping[Address, UnixTime]] = field(default_factory=dict)
    writer: SnapshotWriter = field(default_factory=SnapshotWriter, compare=False, repr=False)
    """Who writes it down. One that has written most of these rows before has them on pages already."""

    @property
    def now(self) -> BlockRef:
        """The newest block known: its time decides what has expired, its number what is recent."""
        if self.head is None or self.head.number < self.view.block.number:
            return self.view.block
        return self.head

    @property
    def circumstances(self) -> Circumstances:
        """Of the openings that this round proposes."""
        return Circumstances(self.now, self.opener, self.policy)

    @property
    def mining_times(self) -> tuple[UnixTime, UnixTime]:
        """The earliest and the latest second at which a fill of this round may be mined."""
        return self.circumstances.mining_times

    def offer_row(self, offer: Offer) -> OfferRow:
        """The offer with all that this round knows of it."""
        return offer_row(offer, next((row for row in self.classes if row.number == offer.gpu_class), None), self.view)

    def lease_of(self, order: Bytes32) -> Lease:
        record = self.view.leases.get(order)
        return record.lease if record else NO_LEASE

    def declines_of(self, order: BookOrder) -> Mapping[Address, UnixTime]:
        """Who declined this order, and when it had been opened there."""
        known = dict(self.declined.get(order.id, {}))
        record = self.view.leases.get(order.id)
        if record and is_declined(record) and not self._is_excused(record):
            known[record.provider] = max(record.lease.opened_at, known.get(record.provider, UnixTime(0)))
        return known

    def _is_excused(self, record: LeaseRecord) -> bool:
        return self.excused.get(record.id, {}).get(record.provider) == record.lease.opened_at

    def canonical(self) -> bytes:
        """The snapshot's document (``document``). Its rows are on ``pages``; on which, is the writer's choice, and part of the document."""
        return self._written.document

    @property
    def pages(self) -> Mapping[Sha256, bytes]:
        """The pages that the document lists, by name."""
        return self._written.pages

    @cached_property
    def _written(self) -> WrittenSnapshot:
        return self.writer.written(self)

    @cached_property
    def sha256(self) -> Sha256:
        return sha256_of(self._written.document)


def is_declined(record: LeaseRecord) -> bool:
    """Whether the last thing that happened to this order was a ``decline``: it may be opened again (P-24)."""
    return record.exit == "LeaseDeclined" and record.lease.status is LeaseStatus.NONE
