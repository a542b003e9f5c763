"""The projection's writing side, for the indexer alone: rows of the chain and the book, always as of one block.

Every step is one script and carries a fence: it is written only if the projection is still the one that was read before.
Two indexers at once therefore cannot mix their steps, and a wiped or rolled back Redis is noticed by whoever writes next.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketplace.domain.annals import About, Annals, Totals
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, Faults, RefusedFill
from marketplace.domain.budgets import Budget
from marketplace.domain.errors import Conflict, NotFound
from marketplace.domain.events import Event
from marketplace.domain.history import Span, SpanName
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId, Sha256
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import Delegation, LeaseRecord, Rows
from marketplace.domain.market import Volume
from marketplace.domain.offers import Offer
from marketplace.domain.reputation import Standing
from marketplace.domain.spec import Machine
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.domain.wire import about_to_wire, event_to_wire
from marketplace.store import board_keys as keys
from marketplace.store.board_annals import lines_of, span_field, span_in, span_text, totals_in, totals_text
from marketplace.store.board_connection import RedisConnection
from marketplace.store.board_rows import (
    RowReader,
    block_in,
    block_text,
    book_order_text,
    budget_field,
    budget_in,
    budget_text,
    delegation_in,
    faults_in,
    faults_text,
    lease_text,
    machine_text,
    offer_text,
    refused_field,
    refused_text,
    standing_text,
    text_of,
    volume_in,
    volume_text,
)

EVENTS_KEPT = 10_000
"""About how many events of the chain a reader of the stream may be behind before it has to read the chain itself."""

TOUCHED_KEPT = 20_000
"""About how many rows may have changed since a reader's last view; beyond that it reads the whole projection again. Two megabytes."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the projection stands."""

    market: str
    """Whose projection it is: chain, contract, block of deployment."""
    cursor: BlockRef | None
    """The block that all rows are of; None before the first."""
    changed: int
    """The last change of the journal's orders that is in the book (``JournalOrder.changed``)."""
    is_ready: bool
    """False while it is being rebuilt."""
    fence: str
    """Names this very state; a write must show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Everything that one step changes."""

    cursor: BlockRef
    changed: int
    is_ready: bool
    rows: Rows = field(default_factory=Rows)
    standings: Mapping[Address, Standing] = field(default_factory=dict)
    booked: Mapping[Bytes32, BookOrder] = field(default_factory=dict)
    unbooked: frozenset[Bytes32] = frozenset()
    machines: Mapping[Sha256, Machine] = field(default_factory=dict)
    refused: Mapping[Bytes32, tuple[RefusedFill, ...]] = field(default_factory=dict)
    faults: Mapping[Address, Faults] = field(default_factory=dict)
    annals: Annals = field(default_factory=Annals)
    spans: Mapping[SpanName, Span] = field(default_factory=dict)
    first_days: Mapping[ClassNumber, UnixTime] = field(default_factory=dict)
    totals: Totals | None = None
    about: tuple[About, ...] = ()
    """Whom each of the events concerns."""
    events: tuple[Event, ...] = ()
    """To tell the readers of the stream: all that a projection that is ready takes in, of one being rebuilt the newest blocks' only."""
    expired_before: UnixTime
    """Orders on the book that expired before this leave it."""
    refused_before: int
    """Refusals of blocks before this are forgotten."""
    undo_from: int | None = None
    """Steps that began at this block or later can be taken back; None: nor can this one, for its blocks are old."""


class ProjectionTable:
    """Read, begin and write the projection. All methods raise StoreUnavailable."""

    def __init__(self, redis: RedisConnection, reader: RowReader) -> None:
        self._redis, self._reader = redis, reader

    def head(self) -> Head | None:
        """Where the projection stands; None where there is none: never made, or wiped."""
        words = self._redis.call("HGETALL", keys.HEAD)
        return head_in(words) if words else None

    def begin(self, market: str, seen: Head | None) -> Head:
        """Clear the projection and begin another, which nobody may read yet. Raises Conflict where it is not ``seen`` any more."""
        fence = secrets.token_hex(8)
        every_key = (keys.HEAD, keys.events(keys.CHAIN_TOPIC), *keys.PROJECTION[1:])
        if not self._redis.run("begin", every_key, (seen.fence if seen else "", fence, market)):
            raise Conflict("projection", market)
        return Head(market, None, 0, False, fence)

    def write(self, step: Step, seen: Head) -> Head:
        """Write a step, whole or not at all; where the projection stands then. Raises Conflict where it is not ``seen`` any more."""
        fence = secrets.token_hex(8)
        books = (keys.BOOK, keys.BOOK_EXPIRY, keys.REFUSED, keys.REFUSED_AT)
        first = (keys.HEAD, keys.events(keys.CHAIN_TOPIC), *books, keys.TOUCHED, keys.UNDO)
        every_key = (*first, *(key for key in keys.PROJECTION if key not in first))
        if not self._redis.run("write", every_key, (seen.fence, text_of(_document(step, seen, fence)))):
            raise Conflict("projection", seen.market)
        return Head(seen.market, step.cursor, step.changed, step.is_ready, fence)

    def trail(self) -> tuple[BlockRef, ...]:
        """The blocks to which the projection can be taken back, oldest first."""
        entries = self._redis.call("LRANGE", keys.UNDO, 0, -1)
        found = [block_in(json.loads(entry.partition(b" ")[2])["cursor"]) for entry in entries]
        return tuple(dict.fromkeys(found))

    def undo(self, to: BlockRef, seen: Head) -> Head:
        """Make every row again what it was at the block ``to`` of the trail. Raises Conflict where the projection is not ``seen`` any more,
        NotFound where nothing is kept that leads there."""
        fence = secrets.token_hex(8)
        first = (keys.HEAD, keys.events(keys.CHAIN_TOPIC), keys.TOUCHED, keys.UNDO)
        every_key = (*first, *(key for key in keys.PROJECTION if key not in first))
        words = (seen.fence, fence, to.number, block_text(to), text_of(list(keys.VIEWED)), TOUCHED_KEPT)
        done = self._redis.run("undo", every_key, words)
        if done == 0:
            raise Conflict("projection", seen.market)
        if done < 0:
            raise NotFound("way back to block", str(to.number))
        standing = self.head()
        if standing is None:
            raise Conflict("projection", seen.market)
        return standing

    def account(self, account: Address) -> TokenUnits | None:
        """The row as it stands, also while rebuilding; so below."""
        text = self._redis.call("HGET", keys.ACCOUNTS, account)
        return None if text is None else TokenUnits(int(text))

    def budget(self, delegation: Delegation) -> Budget | None:
        text = self._redis.call("HGET", keys.BUDGETS, budget_field(delegation))
        return budget_in(text) if text else None

    def volume(self, gpu_class: ClassNumber) -> Volume | None:
        text = self._redis.call("HGET", keys.VOLUMES, str(gpu_class))
        return volume_in(text) if text else None

    def offer(self, offer: OfferId) -> Offer | None:
        text = self._redis.call("HGET", keys.OFFERS, str(offer))
        return self._reader.offer(text) if text else None

    def lease(self, lease: Bytes32) -> LeaseRecord | None:
        text = self._redis.call("HGET", keys.LEASES, lease)
        return self._reader.lease(text) if text else None

    def leases(self, leases: Collection[Bytes32]) -> dict[Bytes32, LeaseRecord | None]:
        """These rows, read at once; None where there is none."""
        names = sorted(leases)
        texts = self._redis.call("HMGET", keys.LEASES, *names) if names else ()
        return {name: self._reader.lease(text) if text else None for name, text in zip(names, texts, strict=True)}

    def span(self, name: SpanName) -> Span | None:
        text = self._redis.call("HGET", keys.HISTORY, span_field(name))
        return span_in(text) if text else None

    def first_day(self, gpu_class: ClassNumber) -> UnixTime | None:
        """From when on something is known of the class."""
        text = self._redis.call("HGET", keys.HISTORY, f"{gpu_class}:first")
        return UnixTime(int(text)) if text else None

    def totals(self) -> Totals:
        return totals_in(self._redis.call("HGET", keys.TOTALS, "owed"))

    def standing(self, provider: Address) -> Standing | None:
        text = self._redis.call("HGET", keys.REPUTATIONS, provider)
        return self._reader.standing(text) if text else None

    def owner(self, company: Address) -> Address | None:
        text = self._redis.call("HGET", keys.OWNERS, company)
        return Address(text.decode()) if text else None

    def faults(self, client: Address) -> Faults | None:
        text = self._redis.call("HGET", keys.FAULTS, client)
        return faults_in(text) if text else None

    def all_standings(self) -> dict[Address, Standing]:
        """Every provider's, and of companies every owner's; for reconciling, as below."""
        words = self._redis.call("HGETALL", keys.REPUTATIONS)
        return {Address(who.decode()): self._reader.standing(text) for who, text in words.items()}

    def all_rows(self) -> Rows:
        """Every row of the chain's state at once; for reconciling, not for rounds."""
        named = (keys.ACCOUNTS, keys.OFFERS, keys.LEASES, keys.BUDGETS, keys.VOLUMES, keys.OWNERS)
        accounts, offers, leases, budgets, volumes, owners = self._redis.together([("HGETALL", key) for key in named])
        return Rows(
            accounts={Address(who.decode()): TokenUnits(int(units)) for who, units in accounts.items()},
            offers={offer.id: offer for offer in map(self._reader.offer, offers.values())},
            leases={record.id: record for record in map(self._reader.lease, leases.values())},
            budgets={delegation_in(field): budget_in(text) for field, text in budgets.items()},
            volumes={ClassNumber(int(number)): volume_in(text) for number, text in volumes.items()},
            owners={Address(company.decode()): Address(owner.decode()) for company, owner in owners.items()},
        )

    def standing_rows(self) -> Rows:
        """The rows that trading goes on with: accounts, offers, and the leases that are not closed."""
        named = (keys.ACCOUNTS, keys.OFFERS, keys.REOPENABLE)
        accounts, offers, leases = self._redis.together([("HGETALL", key) for key in named])
        return Rows(
            accounts={Address(who.decode()): TokenUnits(int(units)) for who, units in accounts.items()},
            offers={offer.id: offer for offer in map(self._reader.offer, offers.values())},
            leases={record.id: record for record in map(self._reader.lease, leases.values())},
        )

    def machines_missing(self) -> frozenset[Sha256]:
        """Machine descriptions that offers name and the projection does not have."""
        offers, machines = self._redis.together([("HVALS", keys.OFFERS), ("HKEYS", keys.MACHINES)])
        named = {Sha256(self._reader.offer(text).spec[2:]) for text in offers}
        return frozenset(named - {Sha256(name.decode()) for name in machines})

    def digest(self) -> str:
        """sha256 over the whole projection: equal for equal contents, however they came about."""
        hashes = keys.PROJECTION_HASHES
        head, lines, *tables = self._redis.together(
            [
                ("HMGET", keys.HEAD, "market", "cursor", "changed"), ("ZRANGE", keys.ANNALS, 0, -1),
                *(("HGETALL", key) for key in hashes),
            ]
        )  # fmt: skip
        digest = hashlib.sha256(b"\n".join(word or b"" for word in (*head, *lines)))
        for key, table in zip(hashes, tables, strict=True):
            digest.update(key.encode())
            for name in sorted(table):
                digest.update(b"\n" + name + b"\0" + table[name])
        return digest.hexdigest()


def head_in(words: Mapping[bytes, bytes]) -> Head:
    cursor = words.get(b"cursor")
    return Head(
        market=words[b"market"].decode(), cursor=block_in(cursor) if cursor else None, changed=int(words[b"changed"]),
        is_ready=words[b"ready"] == b"1", fence=words[b"fence"].decode(),
    )  # fmt: skip


def _document(step: Step, seen: Head, fence: str) -> dict[str, Any]:
    """The step in the form that ``write.lua`` reads. While the projection is being rebuilt, events that are long past are told to nobody."""
    news = step.events if seen.is_ready or step.undo_from is not None else ()
    return {
        "head": {
            "fence": fence, "cursor": block_text(step.cursor), "changed": str(step.changed), "ready": str(int(step.is_ready)),
        },
        "put": [*_rows(step.rows), *_standings(step), *_book(step), *_refused(step), *_past(step)],
        "drop": [*_dropped(step)],
        "rank": [*_ranks(step)],
        "expired_before": str(step.expired_before),
        "refused_before": str(step.refused_before),
        "events": [
            (f"{event.ref.block.number}-{event.ref.log_index + 1}", text_of(event_to_wire(event) | {"about": about_to_wire(whom)}))
            for event, whom in zip(news, step.about or (About(),) * len(news), strict=False)
        ],
        "events_kept": EVENTS_KEPT,
        # Nobody may read it yet: whoever did all the same reads everything anew.
        "viewed": keys.VIEWED if seen.is_ready else (),
        "touched_kept": TOUCHED_KEPT if seen.is_ready else 1,
        "undo_from": -1 if step.undo_from is None else step.undo_from,
    }  # fmt: skip


_Row = tuple[str, str, str]


def _rows(rows: Rows) -> Iterator[_Row]:
    for account, units in rows.accounts.items():
        yield keys.ACCOUNTS, account, str(units)
    for delegation, budget in rows.budgets.items():
        yield keys.BUDGETS, budget_field(delegation), budget_text(budget)
    for gpu_class, volume in rows.volumes.items():
        yield keys.VOLUMES, str(gpu_class), volume_text(volume)
    for company, owner in rows.owners.items():
        yield keys.OWNERS, company, owner
    for offer in rows.offers.values():
        yield keys.OFFERS, str(offer.id), offer_text(offer)
    for record in rows.leases.values():
        yield keys.LEASES, record.id, lease_text(record)
        if record.lease.status is not LeaseStatus.CLOSED:
            yield keys.REOPENABLE, record.id, lease_text(record)


def _standings(step: Step) -> Iterator[_Row]:
    for provider, standing in step.standings.items():
        yield keys.REPUTATIONS, provider, standing_text(standing)


def _book(step: Step) -> Iterator[_Row]:
    for entry in step.booked.values():
        yield keys.BOOK, entry.id, book_order_text(entry)
    for name, machine in step.machines.items():
        yield keys.MACHINES, name, machine_text(machine)


def _refused(step: Step) -> Iterator[_Row]:
    for order, fills in step.refused.items():
        for fill in fills:
            yield keys.REFUSED, refused_field(order, fill.offer), refused_text(fill)
    for client, faults in step.faults.items():
        yield keys.FAULTS, client, faults_text(faults)


def _past(step: Step) -> Iterator[_Row]:
    for name, span in step.spans.items():
        yield keys.HISTORY, span_field(name), span_text(span)
    for gpu_class, day in step.first_days.items():
        yield keys.HISTORY, f"{gpu_class}:first", str(day)
    if step.totals:
        yield keys.TOTALS, "owed", totals_text(step.totals)


def _dropped(step: Step) -> Iterator[tuple[str, str]]:
    for order in sorted(step.unbooked):
        yield keys.BOOK, order
    for record in step.rows.leases.values():
        if record.lease.status is LeaseStatus.CLOSED:
            yield keys.REOPENABLE, record.id


def _ranks(step: Step) -> Iterator[tuple[str, str, str]]:
    for entry in step.booked.values():
        yield keys.BOOK_EXPIRY, entry.id, str(entry.signed.order.expires_at)
    for line in lines_of(step.annals):
        yield keys.ANNALS, line, "0"
    for order, fills in step.refused.items():
        for fill in fills:
            yield keys.REFUSED_AT, refused_field(order, fill.offer), str(fill.block_number)
