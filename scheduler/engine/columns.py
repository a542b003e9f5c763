"""The snapshot's rows as columns of integers, so that a round looks at a hundred thousand orders in a handful of operations.

Prices become *ticks*: the token's base units where the median ask is below 2^26 of them, else 2^k of them each, rounded down, so that the
median, of asks that orders could pay, is some millions of ticks; at most ``CAP`` ticks, which is 256 times as much or more (a tip is rounded up). So products with GPUs fit
64 bits whatever a single order or offer says; prices that are paid stay exact (``money``).

Reading a row costs more than clearing it, and most rows stay the same from round to round: ``ColumnReader`` keeps what it has read. That makes
a round faster and never different (a test compares): names and kinds are numbered as they are met, and no result depends on a number.

Most of what an order says it says like many others: which machine, where, whose. Such orders are of one *kind*, and what a kind says is
looked at once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.ids import ZERO_ADDRESS, Bytes32
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.spec import JobSpec
from marketplace.domain.units import SECONDS_PER_HOUR
from scheduler.engine.evidence import EvidenceColumns
from scheduler.engine.market import Ints
from scheduler.engine.table import SPARE, ColumnTable, Kept, Names, OfAccounts, RowValues

CAP = 1 << 30
FINEST, TICKS_OF_MEDIAN = 26, 22
HUGE_TIP = 1 << 41
MOST = 1 << 61
"""Balances are told up to here, in ticks: more than any round costs."""

_OF_KIND = ("offer", "min_seconds", "min_bond_bps", "starts_at")
_RESOURCES = ("vram_mib", "cpus", "memory_mib", "disk_mib", "egress_mib")
_TABLE = 1 << 22
"""Codes below this are numbered by a table, which is ten times as fast as sorting them."""
_NOTHING: Ints = np.empty(0, np.int64)
_SMALL_TABLE, _SPARSE = 1 << 10, 8
"""The same for few values: up to so many, or so many times their number."""


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
    orders: ColumnTable
    """``kind``: the row in ``kinds``."""
    kinds: ColumnTable
    """What the orders of a kind have in common."""
    book: RowValues[BookOrder]
    offers: ColumnTable
    listings: RowValues[Offer]
    tick_bits: int
    balances: Ints
    """Of each account, by its number: in ticks, from 0 to ``MOST``."""
    evidence: EvidenceColumns
    """Of each account, by its number: what its reputation rests on."""

    def rows_of(self, ids: Iterable[Bytes32]) -> list[int]:
        """The rows of those of these orders that are on the book."""
        wanted = list(ids)
        ties = np.fromiter((tie_of(order) for order in wanted), np.uint64, len(wanted))
        starts, ends = (np.searchsorted(self.orders["tie"], ties, side).tolist() for side in ("left", "right"))
        near = zip(wanted, starts, ends, strict=True)
        return [row for order, start, end in near for row in range(start, end) if self.book[row].id == order]


class ColumnReader:
    """Turns orders and offers into columns, and remembers those it has read. One per engine; it may be thrown away at any time."""

    def __init__(self) -> None:
        self._tick_bits = 0
        self._begin()

    def _begin(self) -> None:
        """Forget everything."""
        self.known = Known()
        self._kinds, self._kind_numbers = ColumnTable({}, 0), Names()
        self._orders = Kept(self._read_orders, lambda order: order.signed.id)
        self._offers = Kept(self._read_offers, attrgetter("id"))
        self._of_balances, self._balances = OfAccounts(), _NOTHING
        self._of_evidence, self._evidence = OfAccounts(), EvidenceColumns()

    def columns(self, view: BookView) -> Columns:
        """The columns of these rows, whatever their order."""
        try:
            return self._columns(view)
        except BaseException:
            # What was read in part must not count as read.
            self._begin()
            raise

    def _columns(self, view: BookView) -> Columns:
        tick_bits, spare = tick_bits_of(view), 2 * (len(view.orders) + len(view.offers)) + SPARE
        if tick_bits != self._tick_bits or max(len(self.known.accounts.all), self._kinds.rows) > spare:
            self._tick_bits = tick_bits
            self._begin()
        rows, book = self._orders.reread(view.orders)
        listed, listings = self._offers.reread(view.offers)
        is_met = np.bincount(rows["kind"], minlength=self._kinds.rows) > 0
        number = np.cumsum(is_met) - 1
        rows = ColumnTable({**rows, "kind": number[rows["kind"]]}, rows.rows)
        kinds = self._kinds.at(np.nonzero(is_met)[0])
        self._read_accounts(view)
        return Columns(self.known, rows, kinds, book, listed, listings, tick_bits, self._balances, self._evidence)

    def _read_accounts(self, view: BookView) -> None:
        names = self.known.accounts
        is_all, accounts, units = self._of_balances.news(view.accounts, names)
        self._balances = grown(_NOTHING if is_all else self._balances, len(names.all))
        self._balances[accounts] = ticks(lambda: [amount or 0 for amount in units], self._tick_bits, MOST)
        is_all, accounts, reputations = self._of_evidence.news(view.reputations, names)
        evidence = EvidenceColumns() if is_all else self._evidence
        self._evidence = evidence.after(len(names.all), accounts, reputations)

    def _read_orders(self, rows: list[BookOrder]) -> ColumnTable:
        orders, specs = [row.signed.order for row in rows], [row.spec for row in rows]
        read = ColumnTable({}, len(rows))
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

    def _read_kinds(self, orders: list[Order], specs: list[JobSpec]) -> ColumnTable:
        resources, constraints = [spec.resources for spec in specs], [spec.constraints for spec in specs]
        read = ColumnTable({}, len(orders))
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

    def _numbered_kinds(self, read: ColumnTable) -> Ints:
        """The kind of each row, among all that this reader has met."""
        first, at = distinct(list(read.values()))
        met, kinds = self._kinds.rows, read.at(first)
        lines = np.stack(list(kinds.values()), axis=1) if len(kinds) else np.empty((0, 0), np.int64)
        numbers = self._kind_numbers.numbers(line.tobytes() for line in lines)
        self._kinds = self._kinds.above(kinds.at(np.nonzero(numbers >= met)[0]))
        return np.asarray(numbers[at])

    def _read_offers(self, offers: list[Offer]) -> ColumnTable:
        read = ColumnTable({}, len(offers))
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


def tick_bits_of(view: BookView) -> int:
    """How many bits a tick drops. By the median ask, so that no single offer makes the others' prices coarse; where that is high, each ask is
    weighed by how many orders could pay it, so that no number of offers does that nobody could take."""
    bits = np.sort(np.fromiter((offer.price.bit_length() for offer in view.offers), np.int64, len(view.offers)))
    typical = int(bits[(len(bits) - 1) // 2]) if len(bits) else 0
    if typical > FINEST:
        payable = np.sort(np.fromiter((_payable_bits(view, order) for order in view.orders), np.int64))
        weight = np.cumsum(len(payable) - np.searchsorted(payable, bits))
        typical = int(bits[np.searchsorted(2 * weight, weight[-1])]) if weight[-1] else typical
    return 0 if typical <= FINEST else typical - TICKS_OF_MEDIAN


def _payable_bits(view: BookView, order: BookOrder) -> int:
    """Of the highest price that the order allows and its client could pay for it."""
    terms = order.signed.order
    work, money = max(1, terms.gpus * terms.max_seconds), view.accounts.get(terms.client, 0)
    return min(terms.max_price, money * SECONDS_PER_HOUR // work).bit_length()


def ticks(units: Callable[[], Iterable[int]], tick_bits: int, most: int = CAP) -> Ints:
    """Base units in ticks, rounded down, from 0 to ``most``."""
    try:
        found = np.fromiter(units(), np.int64)
    except OverflowError:
        return np.array([max(0, min(amount >> tick_bits, most)) for amount in units()], np.int64)
    return np.asarray(np.clip(found >> tick_bits, 0, most))


def grown(column: Ints, rows: int) -> Ints:
    """A copy with room for so many rows, the new ones 0."""
    return np.concatenate((column, np.zeros(rows - len(column), column.dtype)))


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


def sizes_of(gpus: Ints, most: int) -> tuple[Ints, Ints]:
    """The different numbers of GPUs, ascending, all above ``most`` being one; and of each number up to the largest its place among them."""
    is_there = np.bincount(gpus, minlength=1) > 0
    if len(is_there) > most + 2:
        is_there[most + 1] = is_there[most + 1 :].any()
        is_there[most + 2 :] = False
    return np.flatnonzero(is_there), np.cumsum(is_there) - 1


def ranked(values: Ints) -> tuple[Ints, Ints]:
    """The different values, ascending, and the rank of each among them."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if high - low >= _SPARSE * len(values) + _SMALL_TABLE:
        return np.unique(values, return_inverse=True)
    shifted = values - low if low else values
    is_there = np.bincount(shifted, minlength=1) > 0
    return np.nonzero(is_there)[0] + low, (np.cumsum(is_there) - 1)[shifted]
