"""The money of one round: which seats are paid for, and who stays out of the next clearing because of it.

Seats are given without a look at who shares a balance. Then the fills are counted: by priority, as the contract will lock the money.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit

from marketplace.domain.book import RejectionReason
from marketplace.domain.fills import Fill
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.columns import CAP
from scheduler.engine.facts import Facts
from scheduler.engine.fills import Fills
from scheduler.engine.market import NEVER, NOWHERE, Bools, Ints, gpus_on
from scheduler.engine.money import MONEY, Purses, Remaining
from scheduler.engine.pools import Pools
from scheduler.engine.seats import Hall

GLEANING = 12_000_000
"""Effort in units of some 500 ns for those who can still be served when money was short. A flood of orders and offers without money shall not
hold the round up."""
_ONE_ORDER, _ONE_OFFER = 20, 100
"""What of it one order takes, and one offer that is tried."""


@dataclass
class Clearing:
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

    def paid(self, outcome: Clearing) -> tuple[dict[int, PricePerGpuHour], dict[int, RejectionReason]]:
        """What each row pays for which the money is there, in the order of priority; and what the other seated rows lack."""
        rows = self.by_priority(outcome.offer != NOWHERE)
        offers = outcome.offer[rows]
        orders = self._columns.orders.only("is_special", *MONEY).at(rows)
        listed = self._columns.offers.only("ask", "bond_bps", "provider").at(offers)
        clearing = np.where(self.is_short[offers], 0, outcome.price[offers])
        price = np.minimum(np.maximum(clearing, listed["ask"]), self.limit[rows])
        is_doubtful = (
            self._purses.may_lack(orders, listed, price) | orders["is_special"] | (self._columns.tick_bits > 0)
        )
        prices: dict[int, PricePerGpuHour] = dict(zip(rows.tolist(), price.tolist(), strict=True))
        return prices, self._counted_out(prices, rows[is_doubtful].tolist(), offers[is_doubtful].tolist())

    def _counted_out(
        self, prices: dict[int, PricePerGpuHour], rows: list[int], offers: list[int]
    ) -> dict[int, RejectionReason]:
        """Put exact prices, in units, into the place of those of these doubtful rows, in ticks; or take them out and say what they lack."""
        lacking, remaining = dict[int, RejectionReason](), self._at_first.anew()
        for row, offer in zip(rows, offers, strict=True):
            signed, listing = self._columns.book[row].signed, self._columns.listings[offer]
            price = self._counted(remaining, signed, listing, prices[row] << self._columns.tick_bits)
            if isinstance(price, RejectionReason):
                del prices[row]
                lacking[row] = price
            else:
                prices[row] = price
        return lacking

    def _counted(
        self, remaining: Remaining, signed: SignedOrder, offer: Offer, price: int
    ) -> PricePerGpuHour | RejectionReason:
        """This price, the highest that the client can still pay, or the ask if the bond is too much otherwise; counted as opened. Or what is
        lacking."""
        reason = RejectionReason.PRICE_OUT_OF_BOUNDS
        for most in (min(price, remaining.highest_price(signed)), offer.price):
            fill = Fill(signed, offer.id, PricePerGpuHour(max(offer.price, most)))
            if fill.price > signed.order.max_price:
                return RejectionReason.PRICE_OUT_OF_BOUNDS
            lacking = remaining.reason_against(signed, offer, fill.price)
            if lacking is None:
                remaining.take(fill)
                return fill.price
            reason = lacking
        return reason

    def fills(self, outcome: Clearing, rows: Ints, prices: Mapping[int, PricePerGpuHour]) -> Fills:
        """The fills of these rows, which sit where the outcome says."""
        offers = self._columns.offers["id"][outcome.offer[rows]]
        return Fills(self._columns.book, rows, offers, list(map(prices.__getitem__, rows.tolist())))

    def _left_after(self, outcome: Clearing, prices: Mapping[int, PricePerGpuHour]) -> Remaining:
        left = self._at_first.anew()
        left.take_all(self.fills(outcome, np.fromiter(prices, np.int64, len(prices)), prices))
        return left

    def bar(
        self, outcome: Clearing, prices: dict[int, PricePerGpuHour], lacking: Mapping[int, RejectionReason]
    ) -> None:
        """Settle who and what stays out of the next clearing: the unpaid orders; what else their clients cannot pay for, even at the lowest ask,
        beside what is paid; and the room of offers whose providers cannot cover more bonds."""
        for row in self._torn(prices, lacking):
            del prices[row]
        gpus, clients, rows = self._columns.orders["gpus"], self._columns.orders["client"], list(prices)
        paid = gpus_on(outcome.offer[rows], gpus[rows], len(self.room))
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
        lowest, left = self._lowest_asks(beside), self._left_after(outcome, prices)
        for row, ask in zip(beside.tolist(), lowest.tolist(), strict=True):
            signed = self._columns.book[row].signed
            if row not in prices and left.highest_price(signed) < ask << self._columns.tick_bits:
                self.barred[row] = RejectionReason.CLIENT_BALANCE_TOO_LOW

    def close_thin(self) -> None:
        """For the last clearing: where a provider could bond hardly any of its GPUs for orders of a usual length, only as many as it could.

        Else offers of many GPUs without the money would take all orders in, clearing after clearing. Who could serve more is gleaned afterwards.
        """
        orders, listed = self._columns.orders, self._columns.offers
        usual = int(np.median(orders["max_seconds"][self._rows])) if len(self._rows) else 0
        self.room = self._purses.bonded(self.room, listed, self._pools.rank, usual)

    def _lowest_asks(self, rows: Ints) -> Ints:
        """The lowest ask, in ticks, that could serve each of these orders."""
        return Hall(self._facts, self._pools, self.limit, self._room, np.zeros(len(self._room), np.int64)).cheapest(
            rows
        )

    def _torn(self, prices: Mapping[int, PricePerGpuHour], lacking: Mapping[int, RejectionReason]) -> list[int]:
        """Paid rows of groups of which another row was not: all or none."""
        broken = {self.group(row) for row in lacking} - {None}
        return [row for row in prices if self.group(row) in broken]

    def group(self, row: int) -> object:
        group = self._columns.book[row].spec.group
        return (self._columns.book[row].signed.order.client, group.id) if group else None

    def glean(self, outcome: Clearing, prices: dict[int, PricePerGpuHour]) -> None:
        """When money was short: whoever can still be served with what is left is, by priority, order by order, and sits there, while there is
        time.

        What is left only shrinks: a demand for which there is no room is not asked for again, nor is a provider for a bond as large as one
        that it could not cover.
        """
        gpus, bits, effort = self._columns.orders["gpus"], self._columns.tick_bits, GLEANING
        listed = self._columns.offers
        bond = listed["ask"] * listed["bond_bps"]
        remaining, paid = self._left_after(outcome, prices), list(prices)
        left = self._room - gpus_on(outcome.offer[paid], gpus[paid], len(self._room))
        fitting, too_much = dict[int, Ints](), np.full(len(left), NEVER, np.int64)
        for row in self.priority.tolist():
            if effort <= 0:
                break
            if row in prices or self.group(row) is not None:
                continue
            signed, demand = self._columns.book[row].signed, int(self._pools.demand[row])
            if demand not in fitting:
                fitting[demand] = self._pools.offers_of(demand)
            offers, at = fitting[demand], 0
            effort -= _ONE_ORDER + len(offers) // 128
            highest = min(remaining.highest_price(signed) >> bits, CAP)
            work = int(gpus[row]) * int(self._columns.orders["max_seconds"][row])
            while (at := _next_that_may(offers, at, left, listed["ask"], too_much, gpus[row], highest, work)) < len(
                offers
            ):
                offer = int(offers[at])
                effort, at = effort - _ONE_OFFER, at + 1
                listing = self._columns.listings[offer]
                clearing = 0 if self.is_short[offer] else int(outcome.price[offer]) << bits
                price = self._counted(
                    remaining, signed, listing, min(max(clearing, listing.price), signed.order.max_price)
                )
                if not isinstance(price, RejectionReason):
                    prices[row], outcome.offer[row] = price, offer
                    left[offer] -= gpus[row]
                    break
                if price is RejectionReason.PROVIDER_BALANCE_TOO_LOW and listing.provider != signed.order.client:
                    no_less = (listed["provider"] == listed["provider"][offer]) & (bond >= bond[offer])
                    too_much[no_less] = np.minimum(too_much[no_less], work)


@njit(cache=True)
def _next_that_may(
    offers: Ints, at: int, left: Ints, ask: Ints, too_much: Ints, gpus: int, highest: int, work: int
) -> int:
    """From there on, the place of the first of these offers that has the room, asks no more, and was not found to lack the bond; or the end."""
    while at < len(offers):
        offer = offers[at]
        if left[offer] >= gpus and ask[offer] <= highest and too_much[offer] > work:
            break
        at += 1
    return at
