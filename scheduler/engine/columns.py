"""The snapshot's rows as columns of integers, so that a round looks at a hundred thousand orders in a handful of operations.

Prices become *ticks*: the token's base units where the median ask is below 2^26 of them, else 2^k of them each, rounded down, so that the
median is some millions of ticks; at most ``CAP`` ticks, which is 256 times as much or more (a tip is rounded up). So products with GPUs fit
64 bits whatever a single order or offer says; prices that are paid stay exact (``money``).

Reading a row costs more than clearing it, and most rows stay the same from round to round: ``Reader`` keeps what it has read. That makes
a round faster and never different (a test compares): names are numbered as they are met, and no result depends on a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketplace.domain.book import BookOrder
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.models import Offer
from scheduler.engine.auction import NOWHERE, Ints

CAP = 1 << 30
FINEST, TICKS_OF_MEDIAN = 26, 22
HUGE_TIP = 1 << 41

_PLAIN = ("offer", "gpus", "max_seconds", "min_seconds", "min_bond_bps", "starts_at", "expires_at")
_RESOURCES = ("vram_mib", "cpus", "memory_mib", "disk_mib")


class Table(dict[str, Any]):
    """Columns of equal length, by name."""

    def __init__(self, columns: Mapping[str, Any], rows: int) -> None:
        super().__init__(columns)
        self.rows = rows

    def at(self, rows: Any) -> Table:
        """These rows, in this order."""
        return Table({name: column[rows] for name, column in self.items()}, len(rows))

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


@dataclass(frozen=True)
class Columns:
    """All orders by id, and all offers by number."""

    orders: Table
    book: NDArray[np.object_]
    offers: Table
    listings: tuple[Offer, ...]
    tick_bits: int


class _Kept:
    """Rows as they were read, by the identity of the values; these are kept alive, so that an identity means the same."""

    def __init__(self) -> None:
        self._values: Sequence[Any] = ()
        self._identities = np.empty(0, np.int64)
        self._rows = Table({}, 0)

    def reread(self, values: Sequence[Any], read: Callable[[list[Any]], Table]) -> Table:
        """The rows of these values; only those are read that were not there the last time."""
        identities = np.fromiter(map(id, values), np.int64, len(values))
        at = self._places(identities)
        fresh = np.nonzero(at == NOWHERE)[0]
        if len(fresh) or len(values) != self._rows.rows:
            at[fresh] = self._rows.rows + np.arange(len(fresh))
            rows = self._rows.above(read([values[n] for n in fresh.tolist()])) if len(fresh) else self._rows
            self._rows = rows.at(at)
        elif len(values) and (at != np.arange(len(values))).any():
            self._rows = self._rows.at(at)
        self._values, self._identities = values, identities
        return self._rows

    def _places(self, identities: Ints) -> Ints:
        """Where each was the last time, or NOWHERE. Most are where they were."""
        found = np.full(len(identities), NOWHERE, np.int64)
        same = min(len(identities), len(self._identities))
        stayed = np.nonzero(identities[:same] == self._identities[:same])[0]
        found[stayed] = stayed
        rest = np.nonzero(found == NOWHERE)[0]
        if len(rest) and len(self._identities):
            by_identity = np.argsort(self._identities, kind="stable")
            at = np.searchsorted(self._identities, identities[rest], sorter=by_identity)
            at[at == len(by_identity)] = 0
            places = by_identity[at]
            found[rest] = np.where(self._identities[places] == identities[rest], places, NOWHERE)
        return found


class Reader:
    """Turns orders and offers into columns, and remembers those it has read. One per engine; it may be thrown away at any time."""

    def __init__(self) -> None:
        self.accounts = Names(ZERO_ADDRESS)
        self.classes, self.regions, self.machines = Names(), Names(()), Names()
        self.providers = Names(((), ()))
        self._orders, self._offers, self._tick_bits = _Kept(), _Kept(), 0

    def columns(self, orders: Sequence[BookOrder], offers: Sequence[Offer]) -> Columns:
        """The columns of these rows, whatever their order."""
        tick_bits = tick_bits_of(offers)
        if tick_bits != self._tick_bits:
            self._orders, self._offers, self._tick_bits = _Kept(), _Kept(), tick_bits
        rows = self._orders.reread(orders, self._read_orders) if orders else self._read_orders([])
        book = np.empty(len(orders), np.object_)
        book[:] = orders
        by_id = _by_id(rows["tie"], orders)
        if (by_id != np.arange(len(by_id))).any():
            rows, book = rows.at(by_id), book[by_id]
        listings = tuple(sorted(offers, key=attrgetter("id")))
        listed = self._offers.reread(listings, self._read_offers) if listings else self._read_offers([])
        return Columns(rows, book, listed, listings, tick_bits)

    def _read_orders(self, rows: list[BookOrder]) -> Table:
        orders, specs = [row.signed.order for row in rows], [row.spec for row in rows]
        resources, constraints = [spec.resources for spec in specs], [spec.constraints for spec in specs]
        read = Table({}, len(rows))
        for name in _PLAIN:
            read[name] = _column(orders, name)
        for name in _RESOURCES:
            read[name] = _column(resources, name)
        read["tie"] = np.fromiter((int(row.signed.id[2:18], 16) for row in rows), np.uint64, len(rows))
        read["limit"] = ticks([order.max_price for order in orders], self._tick_bits)
        read["tip"] = np.fromiter(
            (min((order.tip >> self._tick_bits) + 1, HUGE_TIP) if order.tip else 0 for order in orders),
            np.int64,
            len(rows),
        )
        read["classes"] = self.classes.numbers(map(attrgetter("classes"), orders))
        for name in ("client", "arbiter", "opener"):
            read[name] = self.accounts.numbers(map(attrgetter(name), orders))
        read["reliability"] = _column(constraints, "min_reliability_bps")
        read["regions"] = self.regions.numbers(map(attrgetter("regions"), constraints))
        read["providers"] = self.providers.numbers(map(attrgetter("providers", "exclude_providers"), constraints))
        read["accepted_at"] = _column(rows, "accepted_at")
        read["is_special"] = np.fromiter(
            (spec.group is not None or row.delegate is not None or bool(wanted.prefer_regions)
             for row, spec, wanted in zip(rows, specs, constraints, strict=True)), np.bool_, len(rows),
        )  # fmt: skip
        return read

    def _read_offers(self, offers: list[Offer]) -> Table:
        read = Table({}, len(offers))
        for name in ("id", "gpu_class", "gpus", "free", "bond_bps", "expires_at", "min_seconds"):
            read[name] = _column(offers, name)
        read["ask"] = ticks([offer.price for offer in offers], self._tick_bits)
        for name in ("provider", "arbiter"):
            read[name] = self.accounts.numbers(map(attrgetter(name), offers))
        read["machine"] = self.machines.numbers(map(attrgetter("spec"), offers))
        return read


def tick_bits_of(offers: Sequence[Offer]) -> int:
    """How many bits a tick drops. By the median ask: no single offer can make the others' prices coarse."""
    typical = median_low(offer.price for offer in offers) if offers else 0
    bits = int(typical).bit_length()
    return 0 if bits <= FINEST else bits - TICKS_OF_MEDIAN


def ticks(units: Sequence[int], tick_bits: int, most: int = CAP) -> Ints:
    """Base units in ticks, rounded down, from 0 to ``most``."""
    try:
        found = np.array(units, np.int64) if len(units) else np.empty(0, np.int64)
    except OverflowError:
        return np.array([max(0, min(amount >> tick_bits, most)) for amount in units], np.int64)
    return np.asarray(np.clip(found >> tick_bits, 0, most))


def _column(rows: Sequence[Any], name: str) -> Ints:
    return np.fromiter(map(attrgetter(name), rows), np.int64, len(rows))


def _by_id(ties: NDArray[np.uint64], orders: Sequence[BookOrder]) -> Ints:
    """The permutation that sorts by id: by its first eight bytes, and by all of it where these are equal."""
    found = np.argsort(ties, kind="stable")
    if (np.diff(ties[found]) == 0).any():
        found = np.array(sorted(range(len(orders)), key=lambda n: orders[n].signed.id), np.int64)
    return found
