"""What a round looks at, read from the projection: once whole, and from then on what has changed.

A view of a hundred thousand orders takes seconds to read, and a block changes some of its rows. So a reader tells the fence of the
state that it has, and is told the rows that were touched since, all of it in one step of Redis. Where Redis does not know that state
(it was wiped or rolled back, the projection begun anew, or too much has happened), the reader reads everything.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from marketplace.domain import editions
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, BookView, Faults, RefusedFill, delegation_of
from marketplace.domain.budgets import Budget
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import Delegation, LeaseRecord
from marketplace.domain.offers import Offer
from marketplace.domain.reputation import Reputation
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.store import board_keys as keys
from marketplace.store.board_connection import RedisConnection
from marketplace.store.board_projection import Head, head_in
from marketplace.store.board_rows import (
    RowReader,
    beats_in,
    budget_field,
    budget_in,
    delegation_in,
    faults_in,
    machine_in,
    refused_field,
    refused_in,
    refused_pair_in,
)

Name = TypeVar("Name")
Row = TypeVar("Row")
Texts = Mapping[bytes, bytes | None]
"""Rows of one table by their fields; None where there is none any more."""


class ViewReader:
    """Reads views, and remembers the last: as long as nothing is new, it is the very same object. Threads may share it."""

    def __init__(self, redis: RedisConnection, reader: RowReader, viewed: Sequence[str] = keys.VIEWED) -> None:
        """``viewed``: the hashes to read, of ``keys.VIEWED``; what the others hold is missing in the views."""
        self._redis, self._reader, self._viewed = redis, reader, viewed
        self._told: _Told | None = None
        self._seen: tuple[str, _Tables] | None = None
        """The last state read, by its fence. Nothing in it ever changes: who reads at the same time finds this one or another."""

    def read(self) -> BookView | None:
        """The view as of this moment; None while there is no whole projection. Raises StoreUnavailable."""
        seen = self._seen
        every_key = (keys.HEAD, keys.TOUCHED, keys.HEARTBEATS, *self._viewed)
        words, beats, changes = self._redis.run("read_changes", every_key, (seen[0] if seen else "",))
        told = self._told
        if told is not None and told.words == words and told.beats == beats:
            return told.view  # the usual case where many ask
        head = _ready(_pairs(words))
        if head is None or head.cursor is None:
            return None
        if seen is None or changes is None:
            seen = self._read_whole()
        elif seen[0] != head.fence:
            is_same = not changes and seen[1].view.block == head.cursor
            seen = head.fence, seen[1] if is_same else seen[1].after(head.cursor, _by_table(changes), self._reader)
        if seen is None:
            return None
        self._seen = seen
        if told is None or told.tables is not seen[1] or told.beats != beats:
            view = replace(seen[1].view, heartbeats=beats_in(_pairs(beats)))
        else:
            view = told.view  # orders have come and gone, of which it says nothing
        self._told = _Told(words, beats, seen[1], view)
        return view

    def _read_whole(self) -> tuple[str, _Tables] | None:
        """The whole projection, and the fence that names this state of it."""
        words, *tables = self._redis.together([("HGETALL", key) for key in (keys.HEAD, *self._viewed)])
        head = _ready(words)
        if head is None or head.cursor is None:
            return None
        nothing = _Tables(BookView(head.cursor, (), (), {}, {}, {}, {}))
        return head.fence, nothing.after(head.cursor, dict(zip(self._viewed, tables, strict=True)), self._reader)


@dataclass(frozen=True, slots=True)
class _Book:
    """The orders that wait, and whose budgets pay for them."""

    orders: tuple[BookOrder, ...] = ()
    """By acceptance. Who signed for a client is its delegate only if it was ever given a budget: another signer than that stands
    for a wallet (EIP-1271), whose money has no other limit."""
    budgets: Mapping[Delegation, Budget] = field(default_factory=dict)
    """Of the delegates who signed these orders."""
    entries: Mapping[Bytes32, BookOrder] = field(default_factory=dict)
    """The orders as they were written: with who signed them, delegate or not."""
    signers: Mapping[Delegation, int] = field(default_factory=dict)
    """How many of them each pair of client and signer has."""
    given: Mapping[bytes, bytes] = field(default_factory=dict)
    """All budgets that were ever given."""

    def after(self, booked: Mapping[Bytes32, BookOrder | None], texts: Texts) -> _Book:
        """The book with these entries, and these rows of budgets."""
        if not booked and not texts:
            return self
        entries, given = _changed(self.entries, booked), _changed(self.given, texts)
        turned = {
            delegation_in(name) for name in texts if (name in given) != (name in self.given)
        } & self.signers.keys()
        anew = {*booked, *self._signed_by(turned)}
        orders = _resorted(
            self.orders,
            [_by_acceptance(self.entries[one]) for one in anew if one in self.entries],
            [_judged(entries[one], given) for one in anew if one in entries],
            _by_acceptance,
        )
        signers = self._signers_after(booked)
        pairs = {*map(delegation_in, texts), *_pairs_in(booked.values()), *_pairs_in(map(self.entries.get, booked))}
        paying = {pair: given.get(budget_field(pair).encode()) if pair in signers else None for pair in pairs}
        budgets = _changed(self.budgets, {pair: budget_in(text) if text else None for pair, text in paying.items()})
        return _Book(orders, budgets, entries, signers, given)

    def _signed_by(self, pairs: Collection[Delegation]) -> list[Bytes32]:
        """The orders of these signers. It looks at all of them: that is for the few who are given their first budget."""
        return [one for one, entry in self.entries.items() if delegation_of(entry) in pairs] if pairs else []

    def _signers_after(self, booked: Mapping[Bytes32, BookOrder | None]) -> Mapping[Delegation, int]:
        counts = Counter(_pairs_in(booked.values()))
        counts.subtract(_pairs_in(map(self.entries.get, booked)))
        return _changed(self.signers, {pair: self.signers.get(pair, 0) + more or None for pair, more in counts.items()})


@dataclass(frozen=True, slots=True)
class _Tables:
    """The rows of one state of the projection: the view, and what else is needed to make the next one."""

    view: BookView
    """Without heartbeats."""
    book: _Book = field(default_factory=_Book)
    records: Mapping[Bytes32, LeaseRecord] = field(default_factory=dict)
    """All that are live or may be opened again."""
    faults: Mapping[Address, Faults] = field(default_factory=dict)
    """Also those of long ago."""
    owners: Mapping[Address, Address] = field(default_factory=dict)
    """Of the companies that they made themselves, which have their reputations."""
    companies: Mapping[Address, frozenset[Address]] = field(default_factory=dict)
    """The same, by owner."""

    def after(self, block: BlockRef, texts: Mapping[str, Texts], reader: RowReader) -> _Tables:
        """The tables with these rows, as of this block. Rows that stay are the same objects as before."""
        view, told = self.view, defaultdict[str, Texts](dict, texts)
        # An order that returns as it was is no other one.
        booked = {
            one: entry
            for one, entry in _read(told[keys.BOOK], Bytes32, reader.book_order).items()
            if entry != self.book.entries.get(one)
        }
        leased, faulty = (
            _read(told[keys.REOPENABLE], Bytes32, reader.lease),
            _read(told[keys.FAULTS], Address, faults_in),
        )
        book, records = self.book.after(booked, told[keys.BUDGETS]), _changed(self.records, leased)
        faults = _changed(self.faults, faulty)
        kin = _read(told[keys.OWNERS], Address, _address)
        owners, companies = _changed(self.owners, kin), self._companies_after(kin)
        leases = {one: _looked_at(records.get(one), book.entries) for one in leased.keys() | booked.keys()}
        news = BookView(
            block=block,
            orders=book.orders,
            offers=_offers(view.offers, told[keys.OFFERS], reader.offer),
            accounts=_changed(view.accounts, _read(told[keys.ACCOUNTS], Address, _units)),
            leases=_changed(view.leases, leases),
            machines=_changed(view.machines, _read(told[keys.MACHINES], Sha256, machine_in)),
            heartbeats={},
            refused=_changed(view.refused, _refusals(view.refused, told[keys.REFUSED])),
            budgets=book.budgets,
            reputations=_changed(view.reputations, self._reputations(told[keys.REPUTATIONS], kin, companies, reader)),
            faults={client: row for client, row in faults.items() if row.is_recent(block.number)},
        )
        return _Tables(news, book, records, faults, owners, companies)

    def _companies_after(self, kin: Mapping[Address, Address | None]) -> Mapping[Address, frozenset[Address]]:
        """All companies by owner, after these have come, or gone with their blocks."""
        concerned = {owner for one, now in kin.items() for owner in (now, self.owners.get(one)) if owner}
        anew = {
            owner: frozenset(one for one in self.companies.get(owner, frozenset()) if one not in kin)
            | {one for one, now in kin.items() if now == owner}
            for owner in concerned
        }
        return _changed(self.companies, {owner: those or None for owner, those in anew.items()})

    def _reputations(
        self,
        texts: Texts,
        kin: Mapping[Address, Address | None],
        companies: Mapping[Address, frozenset[Address]],
        reader: RowReader,
    ) -> dict[Address, Reputation | None]:
        """The rows, and the same for the companies of whom they are; companies that have come or gone have another, or none any more."""
        rows = _read(texts, Address, lambda text: reader.standing(text).reputation)
        own = {one: self.view.reputations.get(now) if now else None for one, now in kin.items()}
        shared = {one: row for owner, row in rows.items() for one in companies.get(owner, ())}
        return own | shared | rows


@dataclass(frozen=True, slots=True)
class _Told:
    """The last view that was handed out, and what it was made of: the head's words and the heartbeats as Redis told them, and the rows."""

    words: Sequence[bytes]
    beats: Sequence[bytes]
    tables: _Tables
    view: BookView


# Rows ------------------------------------------------------------------------------------------------------------------


def _changed(table: Mapping[Name, Row], news: Mapping[Name, Row | None]) -> Mapping[Name, Row]:
    """The table with these rows, and without those that are None."""
    return editions.Table.after(table, news) if news else table


def _resorted(
    rows: Sequence[Row], gone: Iterable[Any], come: Iterable[Row], rank: Callable[[Row], Any]
) -> tuple[Row, ...]:
    """Sorted rows without those of some ranks and with others: only these are looked for, the rest is copied."""
    news = sorted(come, key=rank)
    if not rows:
        return editions.RowSet(news)
    stayed, left, at = list[Row](), list[Row](), 0
    for one in sorted(gone):
        cut = bisect_left(rows, one, lo=at, key=rank)
        stayed += rows[at:cut]
        at = cut
        if cut < len(rows) and rank(rows[cut]) == one:
            left.append(rows[cut])
            at += 1
    stayed += rows[at:]
    merged, at = list[Row](), 0
    for row in news:
        cut = bisect_left(stayed, rank(row), lo=at, key=rank)
        merged += stayed[at:cut]
        merged.append(row)
        at = cut
    return editions.RowSet.after(rows, [*merged, *stayed[at:]], left, news)


def _by_acceptance(entry: BookOrder) -> tuple[UnixTime, Bytes32]:
    return entry.accepted_at, entry.signed.id


def _judged(entry: BookOrder, given: Mapping[bytes, bytes]) -> BookOrder:
    """The order without the delegate that is none."""
    pair = delegation_of(entry)
    return entry if pair is None or budget_field(pair).encode() in given else replace(entry, delegate=None)


def _pairs_in(entries: Iterable[BookOrder | None]) -> list[Delegation]:
    return [pair for entry in entries if entry and (pair := delegation_of(entry))]


def _looked_at(record: LeaseRecord | None, on_book: Collection[Bytes32]) -> LeaseRecord | None:
    """A lease that nobody has is of interest while its order waits."""
    is_seen = record is not None and (record.lease.status is not LeaseStatus.NONE or record.id in on_book)
    return record if is_seen else None


def _offers(offers: Sequence[Offer], texts: Texts, offer_in: Callable[[bytes], Offer]) -> tuple[Offer, ...]:
    """The offers, by number."""
    numbers = [OfferId(int(name)) for name in texts]
    come = [offer_in(text) for text in texts.values() if text is not None]
    return _resorted(offers, numbers, come, lambda offer: offer.id)


def _refusals(
    refused: Mapping[Bytes32, tuple[RefusedFill, ...]], texts: Texts
) -> dict[Bytes32, tuple[RefusedFill, ...] | None]:
    """Of each order with such rows all that are left, by their fields."""
    found: dict[Bytes32, dict[str, RefusedFill]] = {}
    for name, text in texts.items():
        order, offer = refused_pair_in(name)
        if order not in found:
            found[order] = {refused_field(order, fill.offer): fill for fill in refused.get(order, ())}
        if text is None:
            found[order].pop(refused_field(order, offer), None)
        else:
            found[order][name.decode()] = refused_in(name, text)[1]
    return {order: tuple(fills[name] for name in sorted(fills)) or None for order, fills in found.items()}


# What Redis says -------------------------------------------------------------------------------------------------------


def _ready(words: Mapping[bytes, bytes]) -> Head | None:
    head = head_in(words) if words else None
    return head if head and head.is_ready else None


def _pairs(words: Sequence[bytes]) -> dict[bytes, bytes]:
    """A hash, as a script hands it over."""
    return dict(zip(words[::2], words[1::2], strict=True))


def _by_table(changes: Sequence[bytes | None]) -> dict[str, dict[bytes, bytes | None]]:
    found = defaultdict[str, dict[bytes, bytes | None]](dict)
    for key, name, text in zip(changes[::3], changes[1::3], changes[2::3], strict=True):
        if key and name:
            found[key.decode()][name] = text
    return found


def _read(texts: Texts, name: Callable[[str], Name], row: Callable[[bytes], Row]) -> dict[Name, Row | None]:
    return {name(one.decode()): None if text is None else row(text) for one, text in texts.items()}


def _units(text: bytes) -> TokenUnits:
    return TokenUnits(int(text))


def _address(text: bytes) -> Address:
    return Address(text.decode())
