"""The snapshot's rows as columns of integers, so that a round looks at a hundred thousand orders in a handful of operations.

Prices become *ticks* (``ticks``; a tip is rounded up).

Reading a row costs more than clearing it, and most rows stay the same from round to round: ``ColumnReader`` keeps what it has read. That makes
a round faster and never different (a test compares): names and kinds are numbered as they are met, and no result depends on a number.

Most of what an order says it says like many others: which machine, where, whose. Such orders are of one *kind*, and what a kind says is
looked at once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.ids import ZERO_ADDRESS, Bytes32
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.spec import JobSpec
from scheduler.engine.arrays import Ints, distinct, equal_runs, grown
from scheduler.engine.tables.evidence import EvidenceColumns
from scheduler.engine.tables.kept import SPARE, Kept, KeptAccounts
from scheduler.engine.tables.table import ColumnTable, Numbering, RowValues
from scheduler.engine.tables.ticks import MOST_MONEY, TickColumn, tick_bits_of, ticks

HUGE_TIP = 1 << 41
_OF_KIND = ("offer", "min_seconds", "min_bond_bps", "starts_at")
_RESOURCES = ("vram_mib", "cpus", "memory_mib", "disk_mib", "egress_mib")
_NOTHING: Ints = np.empty(0, np.int64)


class Known:
    """What the numbers in columns stand for."""

    def __init__(self) -> None:
        self.accounts = Numbering(ZERO_ADDRESS)
        self.classes, self.regions, self.machines = Numbering(), Numbering(()), Numbering()
        self.providers = Numbering(((), ()))


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
    balances: TickColumn
    """Of each account, by its number: from 0 to ``MOST_MONEY``."""
    evidence: EvidenceColumns
    """Of each account, by its number: what its reputation rests on."""

    def rows_of(self, ids: Iterable[Bytes32]) -> list[int]:
        """The rows of those of these orders that are on the book."""
        wanted = list(ids)
        near = equal_runs(self.orders["id_prefix"], map(id_prefix_of, wanted))
        return [row for order, rows in zip(wanted, near, strict=True) for row in rows if self.book[row].id == order]


class ColumnReader:
    """Turns orders and offers into columns, and remembers those it has read. One per engine; it may be thrown away at any time."""

    def __init__(self) -> None:
        self._tick_bits = 0
        self._begin()

    def _begin(self) -> None:
        """Forget everything."""
        self.known = Known()
        self._kinds, self._kind_numbers = ColumnTable({}, 0), Numbering()
        self._orders = Kept(self._read_orders, attrgetter("signed.id"), id_prefix_of)
        self._offers = Kept(self._read_offers, attrgetter("id"), int)
        self._of_balances, self._balances = KeptAccounts(), TickColumn(_NOTHING)
        self._of_evidence, self._evidence = KeptAccounts(), EvidenceColumns()

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
        self._balances = TickColumn(grown(_NOTHING if is_all else self._balances, len(names.all)))
        self._balances[accounts] = ticks(lambda: [amount or 0 for amount in units], self._tick_bits, MOST_MONEY)
        is_all, accounts, reputations = self._of_evidence.news(view.reputations, names)
        evidence = EvidenceColumns() if is_all else self._evidence
        self._evidence = evidence.after(len(names.all), accounts, reputations)

    def _read_orders(self, rows: list[BookOrder]) -> ColumnTable:
        orders, specs = [row.signed.order for row in rows], [row.spec for row in rows]
        read = ColumnTable({}, len(rows))
        read["id_prefix"] = np.fromiter((id_prefix_of(row.signed.id) for row in rows), np.uint64, len(rows))
        for name in ("gpus", "max_seconds", "expires_at"):
            read[name] = _column(orders, name)
        read["limit"] = ticks(lambda: map(attrgetter("max_price"), orders), self._tick_bits)
        tips = (min((order.tip >> self._tick_bits) + 1, HUGE_TIP) if order.tip else 0 for order in orders)
        read["tip"] = np.fromiter(tips, np.int64, len(rows))
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


def id_prefix_of(order: Bytes32) -> int:
    """The first eight bytes of an order's id: they sort orders by id, nearly always."""
    return int(order[2:18], 16)


def _column(rows: Sequence[Any], name: str) -> Ints:
    return np.fromiter(map(attrgetter(name), rows), np.int64, len(rows))
