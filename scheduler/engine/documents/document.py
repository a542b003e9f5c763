"""How a snapshot is written down: everything that can change the plan, and nothing else.

Its long tables are on pages (``pages``); the document lists them, and holds the rest: canonical JSON (RFC 8785), whose hash goes on the
chain by way of the plan. ``reading`` reads it back.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, Protocol

from marketplace.domain import editions
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, BookView, delegation_of
from marketplace.domain.classes import GpuClass
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_in
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.policy import Policy
from marketplace.domain.units import UnixTime
from scheduler.engine.documents.forms import encoded, listed, object_of
from scheduler.engine.documents.pages import PagedTables
from scheduler.engine.documents.records import BLOCK, CLASS, FAULTS, PAGE, POLICY, POSTED, REFUSED, TERMS

SNAPSHOT_VERSION = 7


class SnapshotContents(Protocol):
    """What a document tells: a ``Snapshot``, which stands on this module."""

    @property
    def view(self) -> BookView: ...
    @property
    def opener(self) -> Address: ...
    @property
    def now(self) -> BlockRef: ...
    @property
    def terms(self) -> MarketTerms: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def classes(self) -> Sequence[GpuClass]: ...
    @property
    def posted(self) -> Sequence[Fill]: ...
    @property
    def declined(self) -> Mapping[Bytes32, Mapping[Address, UnixTime]]: ...
    @property
    def excused(self) -> Mapping[Bytes32, Mapping[Address, UnixTime]]: ...


@dataclass(frozen=True, slots=True)
class WrittenSnapshot:
    """A snapshot as it is kept."""

    document: bytes
    pages: Mapping[Sha256, bytes]
    """All that the document lists, by name, the oldest first."""


class SnapshotWriter:
    """Writes snapshots, one after the other: what stayed from one to the next is on the same pages. Who begins with another writer has the same
    rows on other pages."""

    def __init__(self, tables: PagedTables | None = None) -> None:
        """``tables``: those of a snapshot that was read. Written again, it is the same document."""
        self._book = _PagedBook(tables or PagedTables())

    def written(self, snapshot: SnapshotContents) -> WrittenSnapshot:
        # What fails half way is not gone on from.
        book, self._book = self._book, _PagedBook(PagedTables())
        book.follow(snapshot)
        document = encoded(object_of(_parts(snapshot, book)), "snapshot")
        self._book = book
        return WrittenSnapshot(document, {page.sha256: page.content for page in book.tables.pages})


class _Counted(dict[Any, int]):
    """What rows name, and how many of them do."""

    def count(self, gone: Iterable[Any], come: Iterable[Any]) -> set[Any]:
        """Rows that name these have gone and come; all these names."""
        touched = set[Any]()
        for name in come:
            touched.add(name)
            self[name] = self.get(name, 0) + 1
        for name in gone:
            touched.add(name)
            self[name] -= 1
            if not self[name]:
                del self[name]
        return touched


class _PagedBook:
    """The long tables of a view on their pages. Whom and what orders and offers name is counted: rows about others change nothing, and are
    left out."""

    def __init__(self, tables: PagedTables) -> None:
        self.tables = tables
        self._marks: dict[str, object] = {}
        self.clients, self.providers, self._delegations, self._machines = (_Counted() for _ in range(4))
        self._posted: Mapping[Any, object] = {}
        self._count_orders((), [*tables.rows("orders").values()])
        self._count_offers((), [*tables.rows("offers").values()])

    @property
    def orders(self) -> Mapping[Any, Any]:
        return self.tables.keys("orders")

    def follow(self, snapshot: SnapshotContents) -> None:
        """Take in what is different in this one."""
        view = snapshot.view
        orders = self._follow_rows("orders", view.orders)
        offers = self._follow_rows("offers", view.offers)
        clients, delegations = self._count_orders(*orders)
        providers, machines = self._count_offers(*offers)
        before, self._posted = self._posted, {fill.signed.id: None for fill in snapshot.posted}
        served = {*map(attrgetter("signed.id"), chain(*orders)), *before, *self._posted}
        self._follow_table("accounts", view.accounts, clients | providers, self.clients, self.providers)
        self._follow_table("budgets", view.budgets, delegations, self._delegations)
        self._follow_table("leases", view.leases, served, self.orders, self._posted)
        self._follow_table("machines", view.machines, machines, self._machines)
        self._follow_table("reputations", view.reputations, providers, self.providers)
        self.tables.settle()

    def _follow_rows(self, table: str, rows: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Which have gone and come. An edition tells; anything else is compared row by row."""
        mark = self._marks.get(table)
        change = rows.since(mark) if isinstance(rows, editions.RowSet) and mark else None
        self._marks[table] = rows.mark if isinstance(rows, editions.RowSet) else None
        gone = self.tables.keys(table) if change is None else [row.id for row in change.gone]
        news = dict.fromkeys(gone) | {row.id: row for row in (rows if change is None else change.come)}
        return self.tables.change(table, news)

    def _follow_table(self, table: str, rows: Mapping[Any, Any], touched: set[Any], *named: Container[Any]) -> None:
        """``touched``: whose rows may have become of interest, or of none; ``named``: whose rows are."""
        mark = self._marks.get(table)
        changed = rows.touched_since(mark) if isinstance(rows, editions.Table) and mark else None
        self._marks[table] = rows.mark if isinstance(rows, editions.Table) else None
        names: Iterable[Any] = {*self.tables.keys(table), *rows} if changed is None else {*changed, *touched}
        self.tables.change(
            table, {name: rows.get(name) if any(name in known for known in named) else None for name in names}
        )

    def _count_orders(self, gone: Sequence[BookOrder], come: Sequence[BookOrder]) -> tuple[set[Any], set[Any]]:
        client = attrgetter("signed.order.client")
        clients = self.clients.count(map(client, gone), map(client, come))
        return clients, self._delegations.count(_delegations(gone), _delegations(come))

    def _count_offers(self, gone: Sequence[Offer], come: Sequence[Offer]) -> tuple[set[Any], set[Any]]:
        providers = self.providers.count([row.provider for row in gone], [row.provider for row in come])
        machines = self._machines.count([sha256_in(row.spec) for row in gone], [sha256_in(row.spec) for row in come])
        return providers, machines


def _delegations(orders: Iterable[BookOrder]) -> list[Any]:
    return [pair for order in orders if (pair := delegation_of(order))]


def _parts(snapshot: SnapshotContents, book: _PagedBook) -> dict[str, str]:
    """The document, part by part."""
    view, on_book = snapshot.view, book.orders
    return {
        "version": str(SNAPSHOT_VERSION),
        "opener": f'"{snapshot.opener}"',
        "block": BLOCK.written(view.block),
        "head": BLOCK.written(snapshot.now),
        "terms": TERMS.text(snapshot.terms),
        "policy": POLICY.text(snapshot.policy),
        "classes": listed(map(CLASS.text, sorted(snapshot.classes, key=attrgetter("number")))),
        "pages": listed(PAGE.text(page.ref) for page in book.tables.pages),
        "heartbeats": listed(_silences(view, book.providers)),
        "faults": object_of({who: FAULTS.text(row) for who, row in view.faults.items() if who in book.clients}),
        "refused": object_of(_named(view.refused, on_book, lambda rows: listed(sorted({*map(REFUSED.text, rows)})))),
        "posted": listed(sorted(map(POSTED.text, snapshot.posted))),
        "declined": object_of(_named(snapshot.declined, on_book, _times)),
        "excused": object_of(_named(snapshot.excused, on_book, _times)),
    }


def _named(rows: Mapping[Any, Any], named: Container[Any], text: Callable[[Any], str]) -> dict[Any, str]:
    return {name: text(row) for name, row in rows.items() if name in named and row}


def _times(times: Mapping[Address, UnixTime]) -> str:
    return object_of({who: str(at) for who, at in times.items()})


def _silences(view: BookView, providers: Iterable[Address]) -> list[str]:
    """How many seconds before the view's block each provider was heard of last, by address. Nearly all are others in each round."""
    now, heard = view.block.timestamp, map(view.heartbeats.get, sorted(providers))
    return ["null" if at is None else str(now - at) for at in heard]
