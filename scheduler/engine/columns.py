"""The snapshot's rows as columns of integers, so that a round looks at a hundred thousand orders in a handful of operations.

Prices become *ticks*: the token's base units where the median ask is below 2^26 of them, else 2^k of them each, rounded down, so that the
median is some millions of ticks; at most ``CAP`` ticks, which is 256 times as much or more (a tip is rounded up). So products with GPUs fit
64 bits whatever a single order or offer says; prices that are paid stay exact (``money``).

Reading a row costs more than clearing it, and most rows stay the same from round to round: ``Reader`` keeps what it has read. That makes
a round faster and never different (a test compares): names and kinds are numbered as they are met, and no result depends on a number.

Most of what an order says it says like many others: which machine, where, whose. Such orders are of one *kind*, and what a kind says is
looked at once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median_low
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numba import njit

from marketplace.domain.book import BookOrder
from marketplace.domain.ids import ZERO_ADDRESS, Bytes32
from marketplace.domain.models import Offer, Order
from marketplace.domain.spec import JobSpec
from scheduler.engine.market import NOWHERE, Bools, Ints

Row = TypeVar("Row")

CAP = 1 << 30
FINEST, TICKS_OF_MEDIAN = 26, 22
HUGE_TIP = 1 << 41

_OF_KIND = ("offer", "min_seconds", "min_bond_bps", "starts_at")
_RESOURCES = ("vram_mib", "cpus", "memory_mib", "disk_mib")
_TABLE = 1 << 22
"""Codes below this are numbered by a table, which is ten times as fast as sorting them."""
_SPARE = 10_000
"""A reader begins anew when it knows twice as many names or kinds as there are rows, and so many more."""


class Table(dict[str, Any]):
    """Columns of equal length, by name."""

    def __init__(self, columns: Mapping[str, Any], rows: int) -> None:
        super().__init__(columns)
        self.rows = rows

    def at(self, rows: Any) -> Table:
        """These rows, in this order."""
        return Table({name: column[rows] for name, column in self.items()}, len(rows))

    def only(self, *names: str) -> Table:
        """These columns."""
        return Table({name: self[name] for name in names}, self.rows)

    def above(self, other: Table) -> Table:
        """The rows of this table, then those of the other."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        return Table(
            {name: np.concatenate((column, other[name])) for name, column in self.items()}, self.rows + other.rows
        )


class Names:
    """Numbers for things that are compared for equality only."""

    def __init__(self, *first: object) -> None:
        self.of: dict[Any, int] = {}
        self.all: list[Any] = []
        self.numbers(first)

    def numbers(self, values: Iterable[Any]) -> Ints:
        found, of = [], self.of
        for value in values:
            number = of.get(value)
            if number is None:
                number = of[value] = len(self.all)
                self.all.append(value)
            found.append(number)
        return np.array(found, np.int64)


class Book(Sequence[Row]):
    """Values by row. Those of former rounds lie between them, and are never moved: an earlier book stays what it was."""

    def __init__(self, values: list[Row], places: Ints) -> None:
        self._values, self._places = values, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, row: int) -> Row: ...

    @overload
    def __getitem__(self, row: slice) -> list[Row]: ...

    def __getitem__(self, row: int | slice) -> Row | list[Row]:
        return self.at(np.arange(len(self))[row]) if isinstance(row, slice) else self._values[self._places[row]]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.at(np.arange(len(self))))

    def at(self, rows: Ints) -> list[Row]:
        """The values of these rows."""
        return list(map(self._values.__getitem__, self._places[rows].tolist()))


class Known:
    """What the numbers in columns stand for."""

    def __init__(self) -> None:
        self.accounts = Names(ZERO_ADDRESS)
        self.classes, self.regions, self.machines = Names(), Names(()), Names()
        self.providers = Names(((), ()))


@dataclass(frozen=True)
class Columns:
    """All orders by id, and all offers by number."""

    known: Known
    orders: Table
    """``kind``: the row in ``kinds``."""
    kinds: Table
    """What the orders of a kind have in common."""
    book: Book[BookOrder]
    offers: Table
    listings: Book[Offer]
    tick_bits: int

    def rows_of(self, ids: Iterable[Bytes32]) -> list[int]:
        """The rows of those of these orders that are on the book."""
        wanted = list(ids)
        ties = np.fromiter((tie_of(order) for order in wanted), np.uint64, len(wanted))
        starts, ends = (np.searchsorted(self.orders["tie"], ties, side).tolist() for side in ("left", "right"))
        near = zip(wanted, starts, ends, strict=True)
        return [row for order, start, end in near for row in range(start, end) if self.book[row].id == order]


class _Kept(Generic[Row]):
    """Rows as they were read, sorted by their first column, which tells them apart or nearly (``finely``).

    Values are known again by their identities, and kept alive, so that an identity means the same the next time.
    """

    def __init__(self, read: Callable[[list[Row]], Table], finely: Callable[[Row], Any]) -> None:
        self._read, self._finely = read, finely
        self._values: list[Row] = []
        self._rows = read([])
        self._rows["identity"], self._rows["place"] = np.empty(0, np.int64), np.empty(0, np.int64)

    def reread(self, values: Sequence[Row]) -> tuple[Table, Book[Row]]:
        """The rows of these values, and the values in that order; only those are read that were not there the last time."""
        seen = np.fromiter(map(id, values), np.int64, len(values))
        stays, is_fresh = _matched(self._rows["identity"], seen)
        fresh = np.nonzero(is_fresh)[0]
        if len(fresh) or not stays.all():
            self._merge(stays, [values[at] for at in fresh.tolist()], seen[fresh])
        return self._rows, Book(self._values, self._rows["place"])

    def _merge(self, stays: Bools, news: list[Row], identities: Ints) -> None:
        read = self._read(news)
        read["identity"], read["place"] = identities, len(self._values) + np.arange(len(news))
        self._values.extend(news)
        key = next(iter(read))
        kept, order = np.nonzero(stays)[0], np.argsort(read[key], kind="stable")
        at = np.searchsorted(self._rows[key][kept], read[key][order])
        rows = self._rows.above(read)
        source = np.insert(kept, at, rows.rows - len(news) + order)
        keys, places = rows[key][source], rows["place"]
        if (keys[1:] == keys[:-1]).any():
            source = np.array(
                sorted(source.tolist(), key=lambda row: self._finely(self._values[places[row]])), np.int64
            )
        self._rows = rows.at(source)
        if len(self._values) > 2 * len(source) + _SPARE:
            self._values = list(Book(self._values, self._rows["place"]))
            self._rows["place"] = np.arange(len(source))


@njit(cache=True)
def _matched(known: Ints, seen: Ints) -> tuple[Bools, Bools]:
    """Which of the known identities were seen, and which of the seen are not known: by a hash table, at most half full."""
    size = 2
    while size < 2 * len(known):
        size *= 2
    places = np.full(size, NOWHERE, np.int64)
    for row in range(len(known)):
        at = _hash(known[row]) % size
        while places[at] != NOWHERE:
            at = (at + 1) % size
        places[at] = row
    was_seen, is_fresh = np.zeros(len(known), np.bool_), np.ones(len(seen), np.bool_)
    for row in range(len(seen)):
        at = _hash(seen[row]) % size
        while places[at] != NOWHERE and known[places[at]] != seen[row]:
            at = (at + 1) % size
        if places[at] != NOWHERE:
            was_seen[places[at]], is_fresh[row] = True, False
    return was_seen, is_fresh


@njit(cache=True)
def _hash(identity: int) -> int:
    """Identities are addresses: even, below 2^48, and often evenly spaced."""
    return (identity >> 4) * 40_503 >> 8


class Reader:
    """Turns orders and offers into columns, and remembers those it has read. One per engine; it may be thrown away at any time."""

    def __init__(self) -> None:
        self._tick_bits = 0
        self._begin()

    def _begin(self) -> None:
        self.known = Known()
        self._kinds, self._kind_numbers = Table({}, 0), Names()
        self._orders = _Kept(self._read_orders, lambda order: order.signed.id)
        self._offers = _Kept(self._read_offers, attrgetter("id"))

    def columns(self, orders: Sequence[BookOrder], offers: Sequence[Offer]) -> Columns:
        """The columns of these rows, whatever their order."""
        tick_bits, spare = tick_bits_of(offers), 2 * (len(orders) + len(offers)) + _SPARE
        if tick_bits != self._tick_bits or max(len(self.known.accounts.all), self._kinds.rows) > spare:
            self._tick_bits = tick_bits
            self._begin()
        rows, book = self._orders.reread(orders)
        listed, listings = self._offers.reread(offers)
        is_met = np.bincount(rows["kind"], minlength=self._kinds.rows) > 0
        number = np.cumsum(is_met) - 1
        rows = Table({**rows, "kind": number[rows["kind"]]}, rows.rows)
        return Columns(self.known, rows, self._kinds.at(np.nonzero(is_met)[0]), book, listed, listings, tick_bits)

    def _read_orders(self, rows: list[BookOrder]) -> Table:
        orders, specs = [row.signed.order for row in rows], [row.spec for row in rows]
        read = Table({}, len(rows))
        read["tie"] = np.fromiter((tie_of(row.signed.id) for row in rows), np.uint64, len(rows))
        for name in ("gpus", "max_seconds", "expires_at"):
            read[name] = _column(orders, name)
        read["limit"] = ticks(lambda: map(attrgetter("max_price"), orders), self._tick_bits)
        read["tip"] = np.fromiter(
            (min((order.tip >> self._tick_bits) + 1, HUGE_TIP) if order.tip else 0 for order in orders),
            np.int64,
            len(rows),
        )
        read["client"] = self.known.accounts.numbers(map(attrgetter("client"), orders))
        read["accepted_at"] = _column(rows, "accepted_at")
        read["is_special"] = np.fromiter(
            (spec.group is not None or row.delegate is not None or bool(spec.constraints.prefer_regions)
             for row, spec in zip(rows, specs, strict=True)), np.bool_, len(rows),
        )  # fmt: skip
        read["kind"] = self._numbered_kinds(self._read_kinds(orders, specs))
        return read

    def _read_kinds(self, orders: list[Order], specs: list[JobSpec]) -> Table:
        resources, constraints = [spec.resources for spec in specs], [spec.constraints for spec in specs]
        read = Table({}, len(orders))
        for name in _OF_KIND:
            read[name] = _column(orders, name)
        for name in _RESOURCES:
            read[name] = _column(resources, name)
        read["classes"] = self.known.classes.numbers(map(attrgetter("classes"), orders))
        for name in ("arbiter", "opener"):
            read[name] = self.known.accounts.numbers(map(attrgetter(name), orders))
        read["reliability"] = _column(constraints, "min_reliability_bps")
        read["regions"] = self.known.regions.numbers(map(attrgetter("regions"), constraints))
        read["providers"] = self.known.providers.numbers(map(attrgetter("providers", "exclude_providers"), constraints))
        return read

    def _numbered_kinds(self, read: Table) -> Ints:
        """The kind of each row, among all that this reader has met."""
        first, at = distinct(list(read.values()))
        met, kinds = self._kinds.rows, read.at(first)
        lines = np.stack(list(kinds.values()), axis=1) if len(kinds) else np.empty((0, 0), np.int64)
        numbers = self._kind_numbers.numbers(line.tobytes() for line in lines)
        self._kinds = self._kinds.above(kinds.at(np.nonzero(numbers >= met)[0]))
        return np.asarray(numbers[at])

    def _read_offers(self, offers: list[Offer]) -> Table:
        read = Table({}, len(offers))
        for name in ("id", "gpu_class", "gpus", "free", "bond_bps", "expires_at", "min_seconds"):
            read[name] = _column(offers, name)
        read["ask"] = ticks(lambda: map(attrgetter("price"), offers), self._tick_bits)
        for name in ("provider", "arbiter"):
            read[name] = self.known.accounts.numbers(map(attrgetter(name), offers))
        read["machine"] = self.known.machines.numbers(map(attrgetter("spec"), offers))
        return read


def tie_of(order: Bytes32) -> int:
    """The first eight bytes of an order's id: they sort orders by id, nearly always."""
    return int(order[2:18], 16)


def tick_bits_of(offers: Sequence[Offer]) -> int:
    """How many bits a tick drops. By the median ask: no single offer can make the others' prices coarse."""
    typical = median_low(offer.price for offer in offers) if offers else 0
    bits = int(typical).bit_length()
    return 0 if bits <= FINEST else bits - TICKS_OF_MEDIAN


def ticks(units: Callable[[], Iterable[int]], tick_bits: int, most: int = CAP) -> Ints:
    """Base units in ticks, rounded down, from 0 to ``most``."""
    try:
        found = np.fromiter(units(), np.int64)
    except OverflowError:
        return np.array([max(0, min(amount >> tick_bits, most)) for amount in units()], np.int64)
    return np.asarray(np.clip(found >> tick_bits, 0, most))


def _column(rows: Sequence[Any], name: str) -> Ints:
    return np.fromiter(map(attrgetter(name), rows), np.int64, len(rows))


def distinct(columns: Sequence[Ints]) -> tuple[Ints, Ints]:
    """The rows that are alike in all of these columns, numbered: the first row of each number, and the number of each row."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        if len(column) and (low := column.min()) != (high := column.max()):
            width = int(high) - int(low) + 1
            if int(code.max()) * width >= 1 << 62:
                _, code = numbered(code)
            code = code * width + (column - low)
    return numbered(code)


def numbered(codes: Ints) -> tuple[Ints, Ints]:
    """Equal codes, equal numbers from 0, in their order: the first row of each number, and the number of each row."""
    most = int(codes.max(initial=0))
    if most >= _TABLE:
        _, first, at = np.unique(codes, return_index=True, return_inverse=True)
        return first, at
    is_there = np.zeros(most + 1, np.bool_)
    is_there[codes] = True
    at = (np.cumsum(is_there) - 1)[codes]
    first = np.empty(int(is_there.sum()), np.int64)
    first[at[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first, at
