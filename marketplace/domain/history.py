"""What GPUs of a class cost over time, and how many were on the market and let: sums by spans of block time, kept as events come.

Where GPUs come and go, a span holds by how many: the level at an instant is the sum of all changes before it, so that an offer's end,
which is no event, is known when it is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from marketplace.domain import events as e
from marketplace.domain.ids import ClassNumber
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import LeaseRecord, Rows
from marketplace.domain.units import UnixTime

SPANS_SECONDS = (60, 3_600, 86_400)
"""A minute, an hour, a day: each divides the next."""
LAST_INSTANT = 253_402_300_799
"""The end of the year 9999: what ends later has no end here."""


@dataclass(frozen=True, slots=True)
class SpanName:
    """Which span of which class."""

    gpu_class: ClassNumber
    seconds: int
    start: UnixTime


@dataclass(frozen=True, slots=True)
class Span:
    """What happened in one span of time."""

    first: int = 0
    """Prices per GPU-hour at which leases opened: the first, the last, the lowest, the highest; 0 where none did."""
    last: int = 0
    lowest: int = 0
    highest: int = 0
    weighted: int = 0
    """Each price times the GPUs that it was for, added up."""
    opened: int = 0
    gpus_opened: int = 0
    let: int = 0
    """By how many GPUs more were let at its end than at its beginning; so below, on the market."""
    listed: int = 0

    def with_change(self, change: ClassChange) -> Span:
        moved = Span(
            self.first, self.last, self.lowest, self.highest, self.weighted, self.opened, self.gpus_opened,
            self.let + change.let, self.listed + change.listed,
        )  # fmt: skip
        return moved.with_price(change.price, change.gpus) if change.gpus else moved

    def with_price(self, price: int, gpus: int) -> Span:
        is_first = self.opened == 0
        return Span(
            price if is_first else self.first, price, price if is_first else min(self.lowest, price),
            price if is_first else max(self.highest, price), self.weighted + price * gpus, self.opened + 1,
            self.gpus_opened + gpus, self.let, self.listed,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClassChange:
    """What one event does to one class at one instant."""

    gpu_class: ClassNumber
    at: UnixTime
    let: int = 0
    listed: int = 0
    price: int = 0
    gpus: int = 0
    """GPUs that were opened at ``price``; 0: none."""


def changes_of(before: Rows, after: Rows, event: e.Event) -> Iterator[ClassChange]:
    """What ``event`` does, given the state before it and the rows that it changed."""
    yield from _listed(before, event)
    for id_, record in after.leases.items():
        yield from _let(before, before.leases.get(id_), record, event)


def spans_after(known: Mapping[SpanName, Span], changes: Iterable[ClassChange]) -> dict[SpanName, Span]:
    """The spans that these changes fall into, with them."""
    found: dict[SpanName, Span] = {}
    for change in changes:
        for name in names_at(change.gpu_class, change.at):
            found[name] = (found.get(name) or known.get(name) or Span()).with_change(change)
    return found


def names_at(gpu_class: ClassNumber, at: UnixTime) -> Iterator[SpanName]:
    """The spans that an instant is in."""
    for seconds in SPANS_SECONDS:
        yield SpanName(gpu_class, seconds, UnixTime(at - at % seconds))


def _listed(before: Rows, event: e.Event) -> Iterator[ClassChange]:
    now = event.ref.block.timestamp
    match event:
        case e.OfferListed(offer=offer):
            yield from _on_the_market(offer.gpu_class, offer.gpus, now, offer.expires_at)
        case e.OfferRepriced(offer=number, expires_at=until):
            offer = before.offers[number]
            if offer.is_alive(now):
                yield from _on_the_market(offer.gpu_class, -offer.gpus, now, offer.expires_at)
            yield from _on_the_market(offer.gpu_class, offer.gpus, now, until)


def _on_the_market(gpu_class: ClassNumber, gpus: int, since: UnixTime, until: UnixTime) -> Iterator[ClassChange]:
    """From now until then; with fewer than none, no longer."""
    if until <= since:
        return
    yield ClassChange(gpu_class, since, listed=gpus)
    if until <= LAST_INSTANT:
        yield ClassChange(gpu_class, until, listed=-gpus)


def _let(before: Rows, old: LeaseRecord | None, new: LeaseRecord, event: e.Event) -> Iterator[ClassChange]:
    """A lease has its GPUs as long as it is open."""
    now, had = event.ref.block.timestamp, old is not None and old.lease.status is LeaseStatus.OPEN
    has = new.lease.status is LeaseStatus.OPEN
    record = old if had else new
    if had == has or record is None or record.order is None:
        return
    gpus, gpu_class = record.order.gpus, before.offers[record.lease.offer].gpu_class
    if has:
        yield ClassChange(gpu_class, now, let=gpus, price=record.lease.price, gpus=gpus)
    else:
        yield ClassChange(gpu_class, now, let=-gpus)
