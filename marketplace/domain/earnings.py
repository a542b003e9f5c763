"""What a provider has earned, lease by lease, from the market's events alone; and what else has moved its balance.

    free balance = deposited - withdrawn + earned + other - held in live leases

Everything is a movement of the account's balance that an event explains, so the sum is the balance to the unit, or an event is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from marketplace.domain import events as e
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.ledger import Rows, apply
from marketplace.domain.units import GpuSeconds, TokenUnits, UnixTime

NOTHING = TokenUnits(0)


@dataclass(frozen=True, slots=True)
class Earning:
    """What one event brought (or, below zero, cost) the provider of a lease. A bond that comes back is no earning; one that does not is a loss."""

    lease: Bytes32
    offer: OfferId
    gpu_class: ClassNumber
    at: UnixTime
    event: str
    amount: TokenUnits
    elsewhere: TokenUnits
    """Paid for the lease to an account to which its income was assigned."""
    gpu_seconds: GpuSeconds
    """What was paid for with this event."""


@dataclass(frozen=True, slots=True)
class Earnings:
    """A provider's books as of the last event."""

    rows: tuple[Earning, ...]
    deposited: TokenUnits
    withdrawn: TokenUnits
    other: TokenUnits
    """What it moved on leases that it did not serve: as client, opener or arbiter."""
    held: TokenUnits
    """Bonds, and stakes in disputes, of its live leases."""

    @property
    def earned(self) -> TokenUnits:
        return TokenUnits(sum(row.amount for row in self.rows))

    @property
    def balance(self) -> TokenUnits:
        """What its free balance is, if the events were all of them."""
        return TokenUnits(self.deposited - self.withdrawn + self.earned + self.other - self.held)


class _Books:
    """The fold, with its state changed in place: a history may be long."""

    def __init__(self, provider: Address, bond_floor: TokenUnits) -> None:
        self._provider, self._bond_floor = provider, bond_floor
        self._tables: tuple[dict[Any, Any], ...] = tuple({} for _ in fields(Rows))
        self._state = Rows(*self._tables)
        self._held: dict[Bytes32, int] = {}
        self._rows: list[Earning] = []
        self._deposited = self._withdrawn = self._other = 0

    def take(self, event: e.Event) -> None:
        before, changed = self._state, apply(self._state, event, self._bond_floor)
        moved = changed.accounts.get(self._provider, 0) - before.accounts.get(self._provider, 0)
        if self._provider not in changed.accounts:
            moved = 0
        lease = getattr(event, "lease", None)
        record = changed.leases.get(lease) if lease else None
        if isinstance(event, e.Deposited):
            self._deposited += moved
        elif isinstance(event, e.Withdrawn):
            self._withdrawn -= moved
        elif record is None or record.provider != self._provider:
            self._other += moved
        elif isinstance(event, e.LeaseOpened | e.LeaseDisputed):
            self._held[record.id] = self._held.get(record.id, 0) - moved
        else:
            self._note(event, before, changed, record.id, moved)
        for table, news in zip(self._tables, (getattr(changed, one.name) for one in fields(Rows)), strict=True):
            table.update(news)

    def _note(self, event: e.Event, before: Rows, changed: Rows, lease: Bytes32, moved: int) -> None:
        was, record = before.leases[lease], changed.leases[lease]
        if was.lease.status.is_live and not record.lease.status.is_live:
            moved -= self._held.pop(lease, 0)
        paid, seconds = record.paid - was.paid, record.lease.paid_seconds - was.lease.paid_seconds
        if not moved and not paid:
            return
        assert record.order, "it was opened"
        offer, gpu_seconds = was.lease.offer, record.order.gpus * max(0, seconds)
        row = Earning(
            lease, offer, before.offers[offer].gpu_class, event.ref.block.timestamp, type(event).__name__,
            TokenUnits(moved), TokenUnits(0 if record.payee == self._provider else paid), GpuSeconds(gpu_seconds),
        )  # fmt: skip
        self._rows.append(row)

    def closed(self) -> Earnings:
        held = TokenUnits(sum(self._held.values()))
        sums = (TokenUnits(self._deposited), TokenUnits(self._withdrawn), TokenUnits(self._other))
        return Earnings(tuple(self._rows), *sums, held)


def earnings_of(provider: Address, events: Iterable[e.Event], bond_floor: TokenUnits) -> Earnings:
    """The provider's books after all of the market's events, from nothing."""
    books = _Books(provider, bond_floor)
    for event in events:
        books.take(event)
    return books.closed()
