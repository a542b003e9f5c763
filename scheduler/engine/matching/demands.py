"""Demands: what orders ask for, judged once for all that ask for the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from marketplace.domain.book import RejectionReason
from scheduler.engine.arrays import UNKNOWN, Bools, Ints, as_met, distinct, ranked
from scheduler.engine.matching import bounds
from scheduler.engine.matching.checks import CHECKS, recent_declines, recent_refusals
from scheduler.engine.tables.facts import Facts

R = RejectionReason
_AT_ONCE = 40
"""Bits by which kinds of offers are split at once: with a kind's number they fit 62."""


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
        self.offer_kind, fits = self._judged()
        """Of each offer: its kind. Offers that no demand tells apart are of one, numbered by their first."""
        fitting = np.count_nonzero(fits, axis=1)
        if int(fitting.sum()) * bounds.MOST_SIZES > bounds.MOST_WAYS:
            kept = np.sort(bounds.narrow_demands(self._asked(rows), fitting, block_hash))
            rows, fits = self._keep(rows, kept), fits[kept]
        self.fits = fits
        """Which kinds of offers fit each demand."""
        self.left_out = np.setdiff1d(taking_part, rows) if len(rows) < len(taking_part) else np.empty(0, np.int64)
        """The orders for which this round has no time."""

    def _asked(self, rows: Ints) -> bounds.Asked:
        orders = self._facts.orders
        return bounds.Asked(self.of[rows], orders["gpus"][rows], orders["limit"][rows], orders["id_prefix"][rows])

    def _keep(self, rows: Ints, kept: Ints) -> Ints:
        """Forget all but these demands. Those of the rows that remain."""
        kept, number = np.sort(kept), np.full(len(self._kind), UNKNOWN, np.int64)
        number[kept] = np.arange(len(kept))
        self._kind, self.of[rows] = self._kind[kept], number[self.of[rows]]
        self._pairs = {row: pairs for row, pairs in self._pairs.items() if self.of[row] != UNKNOWN}
        return np.asarray(rows[self.of[rows] != UNKNOWN])

    def _judged(self) -> tuple[Ints, Bools]:
        """The kind of each offer; and which kinds fit each demand."""
        offers, judged = self._facts.offers.rows, list[tuple[Ints, list[Any]]]()
        of = np.zeros(offers, np.int64)
        for n, keys in enumerate(self._keys):
            key, at = ranked(keys[self._kind])
            failing = [self._failed(n, number) for number in key.tolist()]
            if any(fails is not None for fails in failing):
                judged.append((at, failing))
                of = _split(of, [fails for fails in failing if fails is not None])
        of = _split(of, [barred for pairs in self._pairs.values() for barred, _ in pairs if barred.any()])
        first, of = as_met(of)
        fits = np.ones((len(self._kind), len(first)), np.bool_)
        for at, failing in judged:
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
        ids = {record.id for record in snapshot.view.leases.values() if record.exit}
        ids |= {*snapshot.declined, *snapshot.view.refused}
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


def _split(kinds: Ints, masks: Sequence[Bools]) -> Ints:
    """Kinds that are in one part of each mask, and were of one kind before."""
    for start in range(0, len(masks), _AT_ONCE):
        code = kinds.copy()
        for mask in masks[start : start + _AT_ONCE]:
            code = code * 2 + mask
        _, kinds = as_met(code)
    return kinds
