"""Snapshots and plans read back from their documents, by whoever replays a round. They come from strangers: every field is checked.

A document has one form. What is read is written again and compared, so that nothing can hide in one: no row twice, none out of order,
none about strangers to the book, no other spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView
from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.errors import InvalidField, OtherVersion
from marketplace.domain.ids import Address, Bytes32, Sha256, address, bytes32, sha256_of
from marketplace.domain.orders import Order
from marketplace.domain.units import UnixTime
from scheduler.engine.documents.document import SNAPSHOT_VERSION, SnapshotWriter
from scheduler.engine.documents.forms import Row, whole, within
from scheduler.engine.documents.pages import (
    MAX_PAGE_BYTES,
    MAX_ROWS,
    MAX_ROWS_BYTES,
    ListedPage,
    PagedTables,
    ReadPage,
    read_page,
)
from scheduler.engine.documents.plan import PLACEMENT, PLAN_VERSION, POOL_PRICE, PlanRow, PoolPrice
from scheduler.engine.documents.records import (
    BLOCK,
    CLASS,
    COUNT,
    FAULTS,
    PAGE,
    POLICY,
    POSTED,
    REFUSED,
    TABLES,
    TERMS,
    TIME,
    PageRef,
)
from scheduler.engine.documents.snapshot import Snapshot

MAX_DOCUMENT_BYTES = 32 << 20
"""Of a snapshot's document, without its pages, which hold what is long: at a million orders it has a few of these."""
SNAPSHOTS_KEPT = 3
"""A reader knows so many that it read last: a round, the one before and the one after share most of their pages."""


@dataclass(frozen=True, slots=True)
class PostedPlan:
    """A plan as it was posted: enough to hold it against the chain. Who has the snapshot too can make it again."""

    chain_id: int
    market: Address
    opener: Address
    block: BlockRef
    snapshot: Sha256
    placements: tuple[PlanRow, ...]
    prices: tuple[PoolPrice, ...]


def read_plan(content: bytes) -> PostedPlan:
    """Read a plan's document; raise InvalidField that names the field and the rule."""
    document = parse_json(content, field="plan")
    row = Row(document, "plan")
    _of_version(row, PLAN_VERSION)
    plan = PostedPlan(
        chain_id=row.number("chainId", 0, COUNT), market=row.address("market"), opener=row.address("opener"),
        block=BLOCK.read(row, "block"), snapshot=row.sha256("snapshot"),
        placements=row.rows("placements", PLACEMENT.read), prices=row.rows("prices", POOL_PRICE.read),
    )  # fmt: skip
    row.end()
    if canonical_json(document) != content:
        raise InvalidField("plan", "must be canonical JSON (RFC 8785)")
    return plan


class SnapshotReader:
    """Reads snapshots; those that it read last it knows, and their pages are not fetched again."""

    def __init__(self, fetch: Callable[[Sha256, int], bytes]) -> None:
        """``fetch`` gets a page by its name, of at most so many bytes; what it raises is passed on."""
        self._fetch = fetch
        self._known: dict[Sha256, tuple[Snapshot, Mapping[Sha256, ReadPage]]] = {}

    def read(self, content: bytes) -> Snapshot:
        """Read a snapshot's document, and its pages; the same round can be cleared from it again. Raises InvalidField that names the field and
        the rule."""
        if len(content) > MAX_DOCUMENT_BYTES:
            raise InvalidField("snapshot", f"must have at most {MAX_DOCUMENT_BYTES} bytes, its pages not among them")
        name = sha256_of(content)
        read = self._known.pop(name, None) or self._read(content)
        self._known[name] = read
        if len(self._known) > SNAPSHOTS_KEPT:
            del self._known[next(iter(self._known))]
        return read[0]

    def _read(self, content: bytes) -> tuple[Snapshot, Mapping[Sha256, ReadPage]]:
        row = Row(parse_json(content, field="snapshot"), "snapshot")
        _of_version(row, SNAPSHOT_VERSION)
        posted, refs = row.rows("posted", POSTED.read), row.rows("pages", PAGE.read)
        if len({fill.signed.id for fill in posted}) < len(posted):
            # Each is taken off what is free: a fill that is told twice would keep GPUs and money from others.
            raise InvalidField(row.where("posted"), "has an order twice")
        pages = self._pages(refs)
        tables = _tables(refs, pages, {fill.signed.id: fill.signed.order for fill in posted})
        snapshot = Snapshot(
            view=_view(row, tables), opener=row.address("opener"), terms=whole(row.inner("terms"), TERMS.read),
            policy=whole(row.inner("policy"), POLICY.read), classes=row.rows("classes", CLASS.read),
            head=BLOCK.read(row, "head"), posted=posted, declined=row.table("declined", bytes32, _times),
            excused=row.table("excused", bytes32, _times), writer=SnapshotWriter(tables),
        )  # fmt: skip
        row.end()
        if snapshot.canonical() != content:
            raise InvalidField("snapshot", "must be canonical JSON with its rows sorted and none to spare")
        return snapshot, pages

    def _pages(self, refs: Sequence[PageRef]) -> dict[Sha256, ReadPage]:
        known = {name: page for _, pages in self._known.values() for name, page in pages.items()}
        found, unpacked, rows = dict[Sha256, ReadPage](), 0, 0
        for n, ref in enumerate(refs):
            with within(f"snapshot.pages[{n}]"):
                if ref.size > MAX_PAGE_BYTES or ref.sha256 in found:
                    raise InvalidField("page", f"must be listed once, and have at most {MAX_PAGE_BYTES} bytes")
                page = known.get(ref.sha256) or read_page(ref, self._fetch(ref.sha256, ref.size))
                found[ref.sha256] = page
                unpacked, rows = unpacked + page.unpacked, rows + len(page.entries)
                if unpacked > MAX_ROWS_BYTES or rows > MAX_ROWS:
                    limits = f"{MAX_ROWS_BYTES} bytes, unpacked, or {MAX_ROWS} rows"
                    raise InvalidField("page", f"must not bring all pages above {limits}")
        return found


def _of_version(row: Row, known: int) -> None:
    """What an older or newer release wrote is not read at a guess."""
    found = row.number("version", 0, COUNT)
    if found != known:
        raise OtherVersion(row.where("version"), found, known)


def _tables(refs: Sequence[PageRef], pages: Mapping[Sha256, ReadPage], posted: Mapping[Bytes32, Order]) -> PagedTables:
    """What is left on the pages. A lease stands there without its order: that is on the book, or was posted."""
    left = list[ListedPage]()
    for n, ref in enumerate(refs):
        with within(f"snapshot.pages[{n}]"):
            left.append(ListedPage.of(ref, pages[ref.sha256]))
    tables = PagedTables(left)
    orders = tables.rows("orders")
    for name, record in tables.rows("leases").items():
        order = orders[name].signed.order if name in orders else posted.get(name)
        tables.restate("leases", name, replace(record, order=order))
    return tables


def _view(row: Row, tables: PagedTables) -> BookView:
    block, rows = BLOCK.read(row, "block"), {name: tables.rows(name) for name in TABLES}
    return BookView(
        block=block,
        orders=tuple(rows["orders"].values()),
        offers=tuple(rows["offers"].values()),
        heartbeats=_heartbeats(row, {offer.provider for offer in rows["offers"].values()}, block.timestamp),
        refused=row.table("refused", bytes32, lambda inner, name: inner.rows(name, REFUSED.read)),
        faults=row.table("faults", address, FAULTS.kind.read),
        **{name: rows[name] for name in ("accounts", "budgets", "leases", "machines", "reputations")},
    )


def _heartbeats(row: Row, providers: Collection[Address], now: UnixTime) -> dict[Address, UnixTime]:
    silences = row.take("heartbeats", list)
    if len(silences) != len(providers) or any(type(one) not in (int, NoneType) for one in silences):
        raise InvalidField(
            row.where("heartbeats"), f"must be integers or null, one for each of {len(providers)} providers"
        )
    heard = {who: now - one for who, one in zip(sorted(providers), silences, strict=True) if one is not None}
    if any(not 0 <= at <= TIME for at in heard.values()):
        raise InvalidField(row.where("heartbeats"), f"must be of times from 0 to {TIME}")
    return {who: UnixTime(at) for who, at in heard.items()}


def _times(row: Row, name: str) -> dict[Address, UnixTime]:
    return row.table(name, address, lambda inner, who: UnixTime(inner.number(who, 0, TIME)))
