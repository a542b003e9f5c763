"""Events folded over the stored rows: rows are read when an event first touches them, and changes are laid over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from marketplace.domain.annals import About, Annals, Totals, about, annals_of, free_change, locked_change
from marketplace.domain.errors import NotFound
from marketplace.domain.events import Event
from marketplace.domain.history import SPANS_SECONDS, Span, SpanName, changes_of, spans_after
from marketplace.domain.ids import Address, Bytes32, ClassNumber
from marketplace.domain.ledger import LeaseRecord, Rows, apply
from marketplace.domain.reputation import Standing, judge
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.store.board_projection import ProjectionTable

K = TypeVar("K")
V = TypeVar("V")


class Overlay(Mapping[K, V], Generic[K, V]):
    """Stored rows with changes laid over; iterates over the rows that have been looked at. Each row is read once.

    The reads are not one snapshot. They need not be: the write that follows is fenced, and fails where anything changed.
    """

    def __init__(self, stored: Callable[[K], V | None]) -> None:
        self._stored = stored
        self._seen: dict[K, V | None] = {}
        self.changed: dict[K, V] = {}

    def learn(self, rows: Mapping[K, V | None]) -> None:
        """Take these stored rows (None: there is none) as read."""
        self._seen.update(rows)

    def __getitem__(self, key: K) -> V:
        if key in self.changed:
            return self.changed[key]
        if key not in self._seen:
            self._seen[key] = self._stored(key)
        row = self._seen[key]
        if row is None:
            raise KeyError(key)
        return row

    def __iter__(self) -> Iterator[K]:
        return iter({**self._seen, **self.changed})

    def __len__(self) -> int:
        return len({**self._seen, **self.changed})


@dataclass(frozen=True, slots=True)
class Past:
    """What the events of one step add to the past."""

    annals: Annals = field(default_factory=Annals)
    spans: Mapping[SpanName, Span] = field(default_factory=dict)
    first_days: Mapping[ClassNumber, UnixTime] = field(default_factory=dict)
    """Of the classes of which nothing was known before: the day from which something is."""
    totals: Totals | None = None
    """All that the market owes, where that has changed."""
    about: tuple[About, ...] = ()
    """Whom each event concerns, in their order."""


class _PastFold:
    """Gathers the past beside the ledger."""

    def __init__(self, table: ProjectionTable, bond_floor: TokenUnits) -> None:
        self._table, self._bond_floor = table, bond_floor
        self._spans, self._first_days = Overlay(table.span), Overlay(table.first_day)
        self._annals, self._about = list[Annals](), list[About]()
        self._free = self._locked = 0

    def take(self, before: Rows, after: Rows, standings: Mapping[Address, Standing], event: Event) -> None:
        """Note what the event adds; ``after`` are the rows that it changes."""
        self._annals.append(annals_of(before, after, standings, event, self._bond_floor))
        self._about.append(about(before, after, event))
        self._free += free_change(before, after)
        self._locked += locked_change(before, after, self._bond_floor)
        changes = tuple(changes_of(before, after, event))
        self._spans.changed.update(spans_after(self._spans, changes))
        for change in changes:
            if change.gpu_class not in self._first_days:
                at = event.ref.block.timestamp
                self._first_days.changed[change.gpu_class] = UnixTime(at - at % SPANS_SECONDS[-1])

    def past(self) -> Past:
        totals = self._table.totals().plus(self._free, self._locked) if self._free or self._locked else None
        return Past(
            Annals.together(self._annals), self._spans.changed, self._first_days.changed, totals, tuple(self._about)
        )


class Fold:
    """The ledger's fold, and that of the reputations, begun at the projection's cursor."""

    def __init__(self, table: ProjectionTable, bond_floor: TokenUnits) -> None:
        self._accounts = Overlay(table.account)
        self._offers = Overlay(table.offer)
        self._leases = Overlay(table.lease)
        self._budgets = Overlay(table.budget)
        self._volumes = Overlay(table.volume)
        self._owners = Overlay(table.owner)
        self._standings = Overlay(table.standing)
        self._state = Rows(self._accounts, self._offers, self._leases, self._budgets, self._volumes, self._owners)
        self._bond_floor = bond_floor
        self._table = table
        self._past = _PastFold(table, bond_floor)

    def expect(self, events: Iterable[Event]) -> None:
        """Read the leases that these events are about at once: one by one, reading them is most of the work."""
        self._leases.learn(self._table.leases({event.lease for event in events if hasattr(event, "lease")}))

    def take(self, event: Event) -> None:
        """Apply the next event of the chain. Raises NotFound where it speaks of a row that is not stored."""
        try:
            # Judged before the lease is closed: a serving is judged by how it stood.
            standings = judge(self._state, self._standings, event, self._bond_floor)
            rows = apply(self._state, event, self._bond_floor)
            self._past.take(self._state, rows, standings, event)
        except KeyError as exc:
            raise NotFound("row of the projection", str(exc)) from exc
        self._accounts.changed.update(rows.accounts)
        self._offers.changed.update(rows.offers)
        self._leases.changed.update(rows.leases)
        self._budgets.changed.update(rows.budgets)
        self._volumes.changed.update(rows.volumes)
        self._owners.changed.update(rows.owners)
        self._standings.changed.update(standings)

    def lease(self, lease: Bytes32) -> LeaseRecord | None:
        """The lease's record after all events so far."""
        return self._leases.get(lease)

    @property
    def changed(self) -> Rows:
        """The rows that are no longer what is stored."""
        return Rows(
            self._accounts.changed,
            self._offers.changed,
            self._leases.changed,
            self._budgets.changed,
            self._volumes.changed,
            self._owners.changed,
        )

    @property
    def past(self) -> Past:
        """What the events so far add to the past."""
        return self._past.past()

    @property
    def changed_standings(self) -> dict[Address, Standing]:
        """The providers' standings that are no longer what is stored."""
        return self._standings.changed
