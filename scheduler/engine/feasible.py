"""The rulebook (``marketplace.domain.fitting``) in columns: which offers could serve an order, looking at each pair alone.

A check turns what a kind of orders asks for into a number, its *key*, and says which offers fail that key. Tests hold the checks against the
rulebook, pair by pair and reason by reason.
Orders with the same keys make the same *demand* and are judged once. Checks know nothing of the round's other orders: who gets what is for the
auction. How many GPUs and how high a limit are asked last, of each order by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from marketplace.domain import fitting
from marketplace.domain.book import BookOrder, RejectionReason
from marketplace.domain.ids import ZERO_ADDRESS, Address, OfferId
from marketplace.domain.spec import Resources
from marketplace.domain.units import BPS_WHOLE
from scheduler.engine import bounds
from scheduler.engine.columns import distinct, ranked
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.facts import UNKNOWN, Facts
from scheduler.engine.market import Bools, Ints
from scheduler.engine.table import as_met

R = RejectionReason

_TOO_LONG = 1 << 40
"""More seconds than an order can have."""
_AT_ONCE = 40
"""Bits by which groups of offers are split at once: with a group's number they fit 62."""
_NO_DEMANDS = Resources()
"""What a spec asks for when it says nothing. Every machine is taken to have that much, described or not."""


@dataclass(frozen=True)
class Hurdle:
    """A reason, the key of each kind of orders, and which offers fail a key."""

    reason: RejectionReason
    keys: Callable[[Facts], Any]
    fails: Callable[[Facts, int], Any]


# The checks -----------------------------------------------------------------------------------------------------------


def _everyone(facts: Facts) -> Ints:
    return np.zeros(facts.kinds.rows, np.int64)


def _seen_through(numbers: Ints, see: Callable[[int], Hashable]) -> Ints:
    """The first of the numbers that look alike: what no offer can tell apart is one key."""
    alike, found = dict[Hashable, int](), np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    for number in ranked(numbers)[0].tolist():
        found[number] = alike.setdefault(see(number), number)
    return np.asarray(found[numbers])


def _at_least(
    reason: RejectionReason, asked: Callable[[Facts], Ints], had: Callable[[Facts], Ints], *, known: bool = False
) -> Hurdle:
    """Offers fail that have less than is asked; with ``known``, not those of which it is not known.

    The key is the rank of what is asked among what there is: orders that no offer tells apart make one demand.
    """

    def keys(facts: Facts) -> Any:
        (levels, _), wanted = facts.ranked(reason, had(facts)), asked(facts)
        if not len(levels) or wanted.max(initial=levels[0]) <= levels[0]:
            return _everyone(facts)
        return np.searchsorted(levels, wanted)

    def fails(facts: Facts, key: int) -> Any:
        has = had(facts)
        return (facts.ranked(reason, has)[1] < key) & ((has != UNKNOWN) | (not known))

    return Hurdle(reason, keys, fails)


def _machine(reason: RejectionReason, name: str) -> Hurdle:
    return _at_least(reason, lambda facts: facts.kinds[name], lambda facts: facts.of_machine(name), known=True)


def _asks_of_machine(facts: Facts) -> Any:
    """A machine without a description is good enough for an order that asks nothing of it."""
    asked = [
        facts.kinds[name] > getattr(_NO_DEMANDS, name) for name in ("cpus", "memory_mib", "disk_mib", "egress_mib")
    ]
    return np.logical_or.reduce([facts.kinds["regions"] != 0, *asked])


def _pinned_to(facts: Facts) -> Any:
    asked = facts.kinds["offer"]
    return np.where((asked == 0) | np.isin(asked, facts.offers["id"]), asked, UNKNOWN)


def _classes(facts: Facts) -> Ints:
    offered = sum(1 << number for number in ranked(facts.offers["gpu_class"])[0].tolist())
    return _seen_through(facts.kinds["classes"], lambda number: facts.known.classes.all[number] & offered)


def _wrong_class(facts: Facts, key: int) -> Any:
    classes, offered = facts.known.classes.all[key], facts.offers["gpu_class"]
    return ~np.array([bool(classes >> number & 1) for number in range(int(offered.max(initial=0)) + 1)])[offered]


def _arbiters(facts: Facts) -> Any:
    asked = facts.kinds["arbiter"]
    return np.where(np.isin(asked, facts.offers["arbiter"]), asked, UNKNOWN)


def _wrong_arbiter(facts: Facts, key: int) -> Any:
    return (facts.offers["arbiter"] != key) | (facts.offers["provider"] == key)


def _providers(facts: Facts) -> Ints:
    names = facts.known.accounts.all
    if not facts.kinds["providers"].any():
        return _everyone(facts)
    here = {names[number] for number in ranked(facts.offers["provider"])[0].tolist()}

    def see(number: int) -> Hashable:
        wanted, unwanted = facts.known.providers.all[number]
        return bool(wanted), frozenset(here.intersection(wanted)), frozenset(here.intersection(unwanted))

    return _seen_through(facts.kinds["providers"], see)


def _excluded(facts: Facts, key: int) -> Any:
    wanted, unwanted = (
        np.array([facts.known.accounts.of.get(who, UNKNOWN) for who in side]) for side in facts.known.providers.all[key]
    )
    by = facts.offers["provider"]
    return (np.isin(by, wanted, invert=True) if len(wanted) else np.zeros(len(by), np.bool_)) | np.isin(by, unwanted)


def _regions(facts: Facts) -> Ints:
    def see(number: int) -> Hashable:
        wanted = facts.known.regions.all[number]
        return bool(wanted), frozenset(facts.regions_met.keys() & wanted)

    return _seen_through(facts.kinds["regions"], see)


def _wrong_region(facts: Facts, key: int) -> Any:
    wanted = facts.known.regions.all[key]
    is_wrong = np.full(len(facts.regions_met) + 1, bool(wanted))
    is_wrong[[*(facts.regions_met[name] for name in wanted if name in facts.regions_met), UNKNOWN]] = False
    return is_wrong[facts.region]


def _not_ours(facts: Facts, key: int) -> Any:
    ours = facts.known.accounts.of.get(facts.snapshot.opener, UNKNOWN)
    return (facts.offers["provider"] != ours) & bool(key)


CHECKS: tuple[Hurdle, ...] = (
    Hurdle(R.OFFER_NOT_ALIVE, _everyone, lambda facts, key: ~facts.is_alive),
    Hurdle(R.WRONG_OFFER, _pinned_to, lambda facts, key: (facts.offers["id"] != key) & (key != 0)),
    Hurdle(R.CLASS_NOT_ACCEPTED, _classes, _wrong_class),
    Hurdle(R.WRONG_ARBITER, _arbiters, _wrong_arbiter),
    _at_least(R.BOND_TOO_SMALL, lambda facts: facts.kinds["min_bond_bps"], lambda facts: facts.offers["bond_bps"]),
    _at_least(R.MIN_SECONDS_TOO_SMALL, lambda facts: -facts.kinds["min_seconds"], lambda facts: -facts.offers["min_seconds"]),
    Hurdle(R.TERM_LEASE_NOT_BY_PROVIDER, lambda facts: facts.kinds["starts_at"] > facts.soonest, _not_ours),
    Hurdle(R.PROVIDER_EXCLUDED, _providers, _excluded),
    _at_least(R.RELIABILITY_TOO_LOW, lambda facts: facts.kinds["reliability"], lambda facts: facts.reliability),
    Hurdle(R.MACHINE_UNKNOWN, _asks_of_machine, lambda facts, key: (facts.of_machine("cpus") == UNKNOWN) & bool(key)),
    Hurdle(R.WRONG_REGION, _regions, _wrong_region),
    Hurdle(R.MACHINE_UNKNOWN, lambda facts: facts.kinds["vram_mib"] > 0, lambda facts, key: (facts.vram_mib == UNKNOWN) & bool(key)),
    _at_least(R.NOT_ENOUGH_VRAM, lambda facts: facts.kinds["vram_mib"], lambda facts: facts.vram_mib, known=True),
    _machine(R.NOT_ENOUGH_CPUS, "cpus"),
    _machine(R.NOT_ENOUGH_MEMORY, "memory_mib"),
    _machine(R.NOT_ENOUGH_DISK, "disk_mib"),
    _machine(R.NETWORK_NOT_OFFERED, "egress_mib"),
    Hurdle(R.PROVIDER_SILENT, _everyone, lambda facts, key: ~facts.is_heard),
)  # fmt: skip
"""From "not the right thing" to "nearly": the first reason found is told. The contract's rules (P-20) come first, each at the second of
mining at which it is hardest to meet."""


# Orders that nobody could serve ----------------------------------------------------------------------------------------


def refused_at_once(facts: Facts) -> dict[int, RejectionReason]:
    """The orders, by row, that no offer at all could serve in this round, and why.

    Columns pick out those of which anything is unusual; the rule itself is the contract's, in ``domain.fills``.
    """
    rows, kinds, view, book = facts.orders, facts.kinds, facts.snapshot.view, facts.columns.book
    number_of = facts.known.accounts.of.get
    us, nobody = number_of(facts.snapshot.opener, UNKNOWN), number_of(ZERO_ADDRESS)
    is_ours, is_anybodys = kinds["opener"] == us, kinds["opener"] == nobody
    is_odd = (kinds["min_bond_bps"] > BPS_WHOLE) | (kinds["arbiter"] == nobody) | ~(is_ours | is_anybodys)
    least_seconds = np.where(is_odd, _TOO_LONG, np.maximum(1, kinds["min_seconds"]))
    is_unusual = (
        (rows["gpus"] < 1) | (rows["max_seconds"] < least_seconds[rows["kind"]]) | (rows["expires_at"] <= facts.latest)
        | rows["is_special"] | (facts.latest >= 1 << 32)
    )  # fmt: skip
    tipping = np.flatnonzero(rows["tip"])
    is_unusual[tipping[is_anybodys[rows["kind"][tipping]]]] = True
    posted = {fill.signed.id for fill in facts.snapshot.posted}
    is_unusual[facts.columns.rows_of({*view.leases, *view.refused, *posted})] = True
    found = {}
    for row in np.nonzero(is_unusual)[0].tolist():
        reason = R.ORDER_LIVE if book[row].id in posted else reason_against_order(facts.snapshot, book[row])
        if reason is not None:
            found[row] = reason
    return found


def reason_against_order(snapshot: Snapshot, order: BookOrder) -> RejectionReason | None:
    """The reason, if any, for which no offer at all could serve this order in this round (``fitting``)."""
    refused = snapshot.view.refused.get(order.id, ())
    return fitting.reason_against_order(
        order, snapshot.view, snapshot.lease_of(order.id), refused, snapshot.circumstances
    )


def recent_refusals(snapshot: Snapshot, order: BookOrder) -> set[OfferId]:
    """The offers on which the contract refused it lately."""
    given = snapshot.circumstances
    return {row.offer for row in snapshot.view.refused.get(order.id, ()) if given.is_refused_lately(row)}


def recent_declines(snapshot: Snapshot, order: BookOrder) -> set[Address]:
    """The providers that declined it lately."""
    given = snapshot.circumstances
    return {provider for provider, at in snapshot.declines_of(order).items() if given.is_declined_lately(at)}


# Demands --------------------------------------------------------------------------------------------------------------


class Demands:
    """What orders ask for, as rows of offers that fit, whatever their room and their price."""

    def __init__(self, facts: Facts, rows: Ints) -> None:
        """``rows``: the orders that take part, if this round has time for them."""
        self._facts = facts
        self._keys = [np.asarray(check.keys(facts), np.int64) for check in CHECKS]
        self._failing: dict[tuple[int, int], Any] = {}
        taking_part, largest = rows, int(facts.offers["free"].max(initial=0))
        block_hash = facts.snapshot.now.hash
        rows = bounds.of_common_sizes(rows, facts.orders["gpus"], largest, block_hash)
        self._pairs = self._barred_pairs(rows)
        of_row = facts.orders["kind"][rows]
        kinds = np.nonzero(np.bincount(of_row, minlength=facts.kinds.rows))[0]
        first, at = distinct([keys[kinds] for keys in self._keys])
        of_kind = np.full(facts.kinds.rows, UNKNOWN, np.int64)
        of_kind[kinds] = at
        self.of = np.full(facts.orders.rows, UNKNOWN, np.int64)
        """Of each order: its demand; UNKNOWN where it takes no part. An order with barred pairs has one of its own."""
        self.of[rows] = of_kind[of_row]
        self.of[list(self._pairs)] = len(first) + np.arange(len(self._pairs))
        self._kind = np.concatenate((kinds[first], facts.orders["kind"][list(self._pairs)]))
        """Of each demand: a kind that makes it."""
        if len(self._kind) > bounds.MOST_DEMANDS:
            rows = self._keep(rows, bounds.common_demands(self._asked(rows), len(self._kind), block_hash))
        self.group, fits = self._told_apart()
        """Of each offer: its group, of those that no demand tells apart, numbered by their first."""
        fitting = np.count_nonzero(fits, axis=1)
        if int(fitting.sum()) * bounds.MOST_SIZES > bounds.MOST_WAYS:
            kept = np.sort(bounds.narrow_demands(self._asked(rows), fitting, block_hash))
            rows, fits = self._keep(rows, kept), fits[kept]
        self.fits = fits
        """Which groups fit each demand."""
        self.left_out = np.setdiff1d(taking_part, rows) if len(rows) < len(taking_part) else np.empty(0, np.int64)
        """The orders for which this round has no time."""

    def _asked(self, rows: Ints) -> bounds.Asked:
        orders = self._facts.orders
        return bounds.Asked(self.of[rows], orders["gpus"][rows], orders["limit"][rows], orders["tie"][rows])

    def _keep(self, rows: Ints, kept: Ints) -> Ints:
        """Forget all but these demands. Those of the rows that remain."""
        kept, number = np.sort(kept), np.full(len(self._kind), UNKNOWN, np.int64)
        number[kept] = np.arange(len(kept))
        self._kind, self.of[rows] = self._kind[kept], number[self.of[rows]]
        self._pairs = {row: pairs for row, pairs in self._pairs.items() if self.of[row] != UNKNOWN}
        return np.asarray(rows[self.of[rows] != UNKNOWN])

    def _told_apart(self) -> tuple[Ints, Bools]:
        """The group of each offer; and which groups fit each demand."""
        offers, told = self._facts.offers.rows, list[tuple[Ints, list[Any]]]()
        of = np.zeros(offers, np.int64)
        for n, keys in enumerate(self._keys):
            key, at = ranked(keys[self._kind])
            failing = [self._failed(n, number) for number in key.tolist()]
            if any(fails is not None for fails in failing):
                told.append((at, failing))
                of = _split(of, [fails for fails in failing if fails is not None])
        of = _split(of, [barred for pairs in self._pairs.values() for barred, _ in pairs if barred.any()])
        first, of = as_met(of)
        fits = np.ones((len(self._kind), len(first)), np.bool_)
        for at, failing in told:
            passes = np.ones((len(failing), len(first)), np.bool_)
            for number, fails in enumerate(failing):
                if fails is not None:
                    passes[number] = ~fails[first]
            fits &= passes[at]
        for row, pairs in self._pairs.items():
            for barred, _ in pairs:
                fits[self.of[row], barred[first]] = False
        return of, fits

    def reasons_against(self, row: int, room: Ints, is_too_dear: Bools, codes: Mapping[RejectionReason, int]) -> Ints:
        """Of each offer: the code of the first reason against this order, or UNKNOWN where it fits."""
        found = np.full(self._facts.offers.rows, UNKNOWN, np.int64)
        failing = [
            (self._failed(n, int(keys[self._facts.orders["kind"][row]])), check.reason)
            for n, (keys, check) in enumerate(zip(self._keys, CHECKS, strict=True))
        ]
        failing += [(room < self._facts.orders["gpus"][row], R.NOT_ENOUGH_GPUS), (is_too_dear, R.PRICE_OUT_OF_BOUNDS)]
        for offers, reason in [*failing, *self._pairs.get(row, ())]:
            if offers is not None:
                found[offers & (found == UNKNOWN)] = codes[reason]
        return found

    def _failed(self, check: int, key: int) -> Any:
        """The offers that fail this key; None where none does."""
        at = check, key
        if at not in self._failing:
            failing = np.asarray(CHECKS[check].fails(self._facts, key), np.bool_)
            self._failing[at] = failing if failing.any() else None
        return self._failing[at]

    def _barred_pairs(self, rows: Ints) -> dict[int, tuple[tuple[Any, RejectionReason], ...]]:
        """Pairs that had their chance: declined by the provider, or refused by the contract."""
        snapshot, book, listed = self._facts.snapshot, self._facts.columns.book, self._facts.offers
        account = self._facts.known.accounts.of.get
        ids = {record.id for record in snapshot.view.leases.values() if record.exit} | {
            *snapshot.declined,
            *snapshot.view.refused,
        }
        takes_part = np.zeros(self._facts.orders.rows, np.bool_)
        takes_part[rows] = True
        found = {}
        by_whom, which = (_finder(listed[name]) for name in ("provider", "id"))
        for row in sorted(self._facts.columns.rows_of(ids)):
            if not takes_part[row]:
                continue
            declined, refused = recent_declines(snapshot, book[row]), recent_refusals(snapshot, book[row])
            barred = by_whom(frozenset(account(who, UNKNOWN) for who in declined)), which(frozenset(refused))
            if barred[0].any() or barred[1].any():
                found[row] = tuple(zip(barred, (R.DECLINED_BEFORE, R.RECENTLY_REFUSED), strict=True))
        return found


def _finder(column: Ints) -> Callable[[frozenset[int]], Bools]:
    """Finds the rows with one of some values; orders often name the same."""
    return cache(lambda values: np.isin(column, list(values)))


def _split(groups: Ints, masks: Sequence[Bools]) -> Ints:
    """Groups that are in one part of each mask, and were in one group before."""
    for start in range(0, len(masks), _AT_ONCE):
        code = groups.copy()
        for mask in masks[start : start + _AT_ONCE]:
            code = code * 2 + mask
        _, groups = as_met(code)
    return groups
