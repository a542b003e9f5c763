"""Events folded over the stored rows: rows are read when an event first touches them, and changes are laid over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from marketplace.domain.errors import NotFound
from marketplace.domain.events import Event
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.ledger import LeaseRecord, Rows, apply
from marketplace.domain.reputation import Standing, judge
from marketplace.domain.units import TokenUnits
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


class Fold:
    """The ledger's fold, and that of the reputations, begun at the projection's cursor."""

    def __init__(self, table: ProjectionTable, bond_floor: TokenUnits) -> None:
        self._accounts = Overlay(table.account)
        self._offers = Overlay(table.offer)
        self._leases = Overlay(table.lease)
        self._budgets = Overlay(table.budget)
        self._volumes = Overlay(table.volume)
        self._standings = Overlay(table.standing)
        self._state = Rows(self._accounts, self._offers, self._leases, self._budgets, self._volumes)
        self._bond_floor = bond_floor
        self._table = table

    def expect(self, events: Iterable[Event]) -> None:
        """Read the leases that these events are about at once: one by one, reading them is most of the work."""
        self._leases.learn(self._table.leases({event.lease for event in events if hasattr(event, "lease")}))

    def take(self, event: Event) -> None:
        """Apply the next event of the chain. Raises NotFound where it speaks of a row that is not stored."""
        try:
            # Judged before the lease is closed: a serving is judged by how it stood.
            standings = judge(self._state, self._standings, event, self._bond_floor)
            rows = apply(self._state, event, self._bond_floor)
        except KeyError as exc:
            raise NotFound("row of the projection", str(exc)) from exc
        self._accounts.changed.update(rows.accounts)
        self._offers.changed.update(rows.offers)
        self._leases.changed.update(rows.leases)
        self._budgets.changed.update(rows.budgets)
        self._volumes.changed.update(rows.volumes)
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
        )

    @property
    def changed_standings(self) -> dict[Address, Standing]:
        """The providers' standings that are no longer what is stored."""
        return self._standings.changed
