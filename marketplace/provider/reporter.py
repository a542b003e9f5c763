"""What an agent tells of itself in its journal: which wishes it has heeded, and what is on offer. Commands read it."""

from __future__ import annotations

import os

from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime
from marketplace.provider.listing import ListingReport
from marketplace.provider.steering import Steering
from marketplace.store.journal.wishes import AgentReport, WishTable

EVERY_SECONDS = 10
"""How old, in block time, a report becomes that has no news in it."""


class Reporter:
    """Writes the report when something in it has changed, and now and then."""

    def __init__(self, desk: WishTable, steering: Steering, account: Address) -> None:
        self._desk, self._steering, self._account = desk, steering, account
        self._begun = self._heeded = -1
        self._heeded_wish = 0
        self._listing: ListingReport | None = None
        self._told: AgentReport | None = None
        self._begun_wish = 0

    @property
    def is_withdrawn(self) -> bool:
        """Whether the newest wish is heeded, and it is that nothing is on offer."""
        return self._heeded == self._steering.number and not self._steering.wanted.is_open

    def listing_begins(self, *, is_new: bool) -> None:
        """The offers are being brought in line with what is wanted now."""
        if is_new:
            self._begun, self._begun_wish = self._steering.number, self._steering.wishes.number

    def listed(self, report: ListingReport) -> bool:
        """They are in line with what was wanted when that began; whether that is still what is wanted."""
        self._listing, self._heeded, self._heeded_wish = report, self._begun, self._begun_wish
        return self._heeded == self._steering.number

    def tell(self, head: BlockRef, trouble: str | None = None) -> None:
        """``trouble``: why there are no offers, where nobody wants that. Raises StoreUnavailable."""
        file, pairs = self._steering.file, self._listing.offers if self._listing else ()
        report = AgentReport(
            pid=os.getpid(), heeded=self._heeded_wish, standing=self._steering.wishes.standing,
            is_leaving=self._steering.is_leaving, block_number=head.number, block_time=head.timestamp,
            inventory=str(file.path.resolve()) if file else "", inventory_problem=file.problem if file else "",
            declared={offer.id: part.price for part, offer in pairs}, trouble=trouble or "",
            account=self._account,
        )  # fmt: skip
        if self._told is None or _news(report) != _news(self._told) or _is_old(self._told, head.timestamp):
            self._desk.save_report(report)
            self._told = report


def _news(report: AgentReport) -> tuple[object, ...]:
    return tuple(getattr(report, name) for name in AgentReport.__slots__ if not name.startswith("block_"))


def _is_old(report: AgentReport, now: UnixTime) -> bool:
    return now >= report.block_time + EVERY_SECONDS
