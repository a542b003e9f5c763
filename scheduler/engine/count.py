"""The money of one round: which seats are paid for, and who stays out of the next clearing because of it.

Seats are given without a look at who shares a balance. Then the fills are counted: by priority, as the contract will lock the money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from marketplace.domain.book import RejectionReason
from marketplace.domain.models import Fill, Offer, SignedOrder
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.columns import CAP
from scheduler.engine.facts import Facts
from scheduler.engine.market import NEVER, NOWHERE, Bools, Ints
from scheduler.engine.money import MONEY, Purses, Remaining
from scheduler.engine.pools import Pools
from scheduler.engine.seats import Hall

_fill: Callable[[Iterable[Any]], Fill] = partial(tuple.__new__, Fill)
"""``Fill._make`` without a frame of its own, for ten thousand of them."""


@dataclass
class Outcome:
    """Who sits where after one clearing, and at what prices. Ticks; rows of orders and of offers."""

    offer: Ints
    price: Ints
    """Of each offer: the clearing price of its node."""
    unseated: dict[int, RejectionReason]
    """Orders of groups that took no part, and why."""


class Count:
    """Counts the money of every clearing of one round, and remembers who fell short."""

    def __init__(self, facts: Facts, pools: Pools, rows: Ints, is_last: Bools) -> None:
        """``rows``: the orders that take part; ``is_last``: of all orders, those whose clients are served last."""
        self._facts, self._pools, self._rows, self._is_last = facts, pools, rows, is_last
        self._snapshot, self._columns = facts.snapshot, facts.columns
        self._at_first = remaining = Remaining(facts.snapshot)
        self._room: Ints = np.maximum(0, facts.offers["free"])
        for at, offer in enumerate(facts.columns.listings) if facts.snapshot.posted else ():
            self._room[at] = remaining.free_of(offer.id)
        self._purses = Purses(remaining, facts.columns, facts.snapshot.terms.bond_floor)
        self.limit = self._limits(remaining)
        """Of each order, in ticks: its limit, or less where its client has not so much."""
        self.room = self._room.copy()
        """Of each offer: GPUs for the next clearing."""
        self.barred: dict[int, RejectionReason] = {}
        """The orders that stay out of the next clearing."""
        self.is_short: Bools = np.zeros(len(self.room), np.bool_)
        """Offers whose providers turned out to lack the money for all bonds: they sell at their ask, at which bonds are least."""
        self.priority = self._sorted(rows)
        """``rows`` by priority: the highest limits first, of equal ones the smaller id; after all others those who are served last."""

    @property
    def was_short(self) -> bool:
        return bool(self.barred) or bool(self.is_short.any())

    def _limits(self, remaining: Remaining) -> Ints:
        limit = self._columns.orders["limit"].copy()
        cannot_surely = self._purses.cannot_surely_pay(self._columns.orders.only(*MONEY), limit)
        for row in self._rows[cannot_surely[self._rows]].tolist():
            highest = remaining.highest_price(self._columns.book[row].signed)
            limit[row] = min(highest >> self._columns.tick_bits, CAP)
        return np.asarray(limit)

    def _sorted(self, rows: Ints) -> Ints:
        """By priority. One number says all: who comes last, the limit from above, and the row."""
        limit, is_last = CAP - self.limit[rows], self._is_last[rows].astype(np.int64)
        bits = len(self.limit).bit_length()
        return np.asarray(np.sort((is_last * (2 * CAP) + limit) << bits | rows) & (1 << bits) - 1)

    def by_priority(self, among: Bools) -> Ints:
        """The rows that take part and are among these, by priority."""
        return np.asarray(self.priority[among[self.priority]])

    def paid(self, outcome: Outcome) -> tuple[dict[int, Fill], dict[int, RejectionReason]]:
        """The fills, by row in the order of priority, that the money is there for; and what the other seated rows lack."""
        rows = self.by_priority(outcome.offer != NOWHERE)
        offers = outcome.offer[rows]
        orders = self._columns.orders.only("is_special", *MONEY).at(rows)
        listed = self._columns.offers.only("ask", "bond_bps", "provider").at(offers)
        clearing = np.where(self.is_short[offers], 0, outcome.price[offers])
        price = np.minimum(np.maximum(clearing, listed["ask"]), self.limit[rows])
        is_doubtful = (
            self._purses.may_lack(orders, listed, price) | orders["is_special"] | (self._columns.tick_bits > 0)
        )
        signed = map(attrgetter("signed"), self._columns.book.at(rows))
        fills = dict(
            zip(
                rows.tolist(),
                map(_fill, zip(signed, self._columns.offers["id"][offers].tolist(), price.tolist(), strict=True)),
                strict=True,
            )
        )
        return fills, self._counted_out(
            fills, rows[is_doubtful].tolist(), offers[is_doubtful].tolist(), price[is_doubtful].tolist()
        )

    def _counted_out(
        self, fills: dict[int, Fill], rows: list[int], offers: list[int], price: list[int]
    ) -> dict[int, RejectionReason]:
        """Put exact fills into the place of those of these doubtful rows, or take them out and say what they lack."""
        lacking, remaining = dict[int, RejectionReason](), self._at_first.anew()
        for row, offer, ticks in zip(rows, offers, price, strict=True):
            listing = self._columns.listings[offer]
            fill = self._counted(remaining, fills[row].signed, listing, ticks << self._columns.tick_bits)
            if isinstance(fill, Fill):
                fills[row] = fill
            else:
                del fills[row]
                lacking[row] = fill
        return lacking

    def _counted(self, remaining: Remaining, signed: SignedOrder, offer: Offer, price: int) -> Fill | RejectionReason:
        """The fill at this price, at the highest that the client can still pay, or at the ask if the bond is too much otherwise; counted as
        opened. Or what is lacking."""
        reason = RejectionReason.PRICE_OUT_OF_BOUNDS
        for most in (min(price, remaining.highest_price(signed)), offer.price):
            fill = Fill(signed, offer.id, PricePerGpuHour(max(offer.price, most)))
            if fill.price > signed.order.max_price:
                return RejectionReason.PRICE_OUT_OF_BOUNDS
            lacking = remaining.reason_against(signed, offer, fill.price)
            if lacking is None:
                remaining.take(fill)
                return fill
            reason = lacking
        return reason

    def bar(self, outcome: Outcome, fills: dict[int, Fill], lacking: Mapping[int, RejectionReason]) -> None:
        """Settle who and what stays out of the next clearing: the unpaid orders; what else their clients cannot pay for, even at the lowest ask,
        beside what is paid; and the room of offers whose providers cannot cover more bonds."""
        for row in self._torn(fills, lacking):
            del fills[row]
        gpus, clients = self._columns.orders["gpus"], self._columns.orders["client"]
        paid = np.zeros(len(self.room), np.int64)
        np.add.at(paid, outcome.offer[list(fills)], gpus[list(fills)])
        for row, reason in lacking.items():
            offer = outcome.offer[row]
            # Whoever lacks a bond for its own order, or for one served last, keeps nobody else from that offer.
            is_own = self._columns.offers["provider"][offer] == clients[row] or self._is_last[row]
            if reason is RejectionReason.PROVIDER_BALANCE_TOO_LOW and not is_own:
                self.is_short |= self._columns.offers["provider"] == self._columns.offers["provider"][offer]
                self.room[offer] = paid[offer]
            else:
                self.barred[row] = reason
        poor = [clients[row] for row, reason in lacking.items() if reason is RejectionReason.CLIENT_BALANCE_TOO_LOW]
        beside = self._rows[np.isin(clients[self._rows], poor)]
        lowest, left = self._lowest_asks(beside), self._at_first.anew()
        left.take_all(fills.values())
        for row, ask in zip(beside.tolist(), lowest.tolist(), strict=True):
            signed = self._columns.book[row].signed
            if row not in fills and left.highest_price(signed) < ask << self._columns.tick_bits:
                self.barred[row] = RejectionReason.CLIENT_BALANCE_TOO_LOW

    def _lowest_asks(self, rows: Ints) -> Ints:
        """The lowest ask, in ticks, that could serve each of these orders."""
        return Hall(self._facts, self._pools, self.limit, self._room, np.zeros(len(self._room), np.int64)).cheapest(
            rows
        )

    def _torn(self, fills: Mapping[int, Fill], lacking: Mapping[int, RejectionReason]) -> list[int]:
        """Paid rows of groups of which another row was not: all or none."""
        broken = {self.group(row) for row in lacking} - {None}
        return [row for row in fills if self.group(row) in broken]

    def group(self, row: int) -> object:
        group = self._columns.book[row].spec.group
        return (self._columns.book[row].signed.order.client, group.id) if group else None

    def glean(self, outcome: Outcome, fills: dict[int, Fill]) -> None:
        """When money was short: whoever can still be served with what is left is, by priority, order by order, and sits there.

        What is left only shrinks: a demand for which there is no room is not asked for again, nor is a provider for a bond as large as one
        that it could not cover.
        """
        gpus, bits = self._columns.orders["gpus"], self._columns.tick_bits
        numbers = {offer.id: at for at, offer in enumerate(self._columns.listings)}
        remaining, left = self._at_first.anew(), self._room.copy()
        remaining.take_all(fills.values())
        np.subtract.at(left, [numbers[fill.offer] for fill in fills.values()], gpus[list(fills)])
        fitting, too_much = dict[int, Ints](), np.full(len(left), NEVER, np.int64)
        for row in self.priority.tolist():
            if row in fills or self.group(row) is not None:
                continue
            signed, demand = self._columns.book[row].signed, int(self._pools.demand[row])
            offers = fitting[demand] if demand in fitting else self._pools.offers_of(demand)
            fitting[demand] = offers = offers[left[offers] > 0]
            highest, work = (
                remaining.highest_price(signed),
                int(gpus[row]) * int(self._columns.orders["max_seconds"][row]),
            )
            may_serve = (
                (left[offers] >= gpus[row])
                & (self._columns.offers["ask"][offers] <= highest >> bits)
                & (too_much[offers] > work)
            )
            for offer in offers[may_serve].tolist():
                listing = self._columns.listings[offer]
                clearing = 0 if self.is_short[offer] else int(outcome.price[offer]) << bits
                fill = self._counted(
                    remaining, signed, listing, min(max(clearing, listing.price), signed.order.max_price)
                )
                if isinstance(fill, Fill):
                    fills[row], outcome.offer[row] = fill, offer
                    left[offer] -= gpus[row]
                    break
                if fill is RejectionReason.PROVIDER_BALANCE_TOO_LOW and listing.provider != signed.order.client:
                    too_much[offer] = work
