"""The funds of one round: which placements are paid for, and who stays out of the next clearing, or asks for less, because of it.

GPUs are assigned without a look at who shares a balance. Then the fills are counted as the contract will lock the money, at one price for equal
machines: who cannot pay it leaves, and its order makes no price. Of a client's orders those stay that bring it the most surplus for its money.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numba import njit

from marketplace.domain.book import RejectionReason
from marketplace.domain.fills import Fill
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.arrays import NEVER, NOWHERE, Bools, Ints, gpus_on
from scheduler.engine.auction.prices import tiers_of
from scheduler.engine.funds.balances import FAR, MONEY, Balances, Remaining
from scheduler.engine.matching.pools import Pools
from scheduler.engine.matching.supply import Supply
from scheduler.engine.tables.facts import Facts
from scheduler.engine.tables.fills import Fills
from scheduler.engine.tables.ticks import CAP, TickColumn, Ticks, price_of

FILL_EFFORT = 6_000_000
"""Effort in units of some 500 ns for those who can still be served when money was short. A flood of orders and offers without money shall not
hold the round up."""
_ONE_ORDER, _ONE_OFFER = 20, 100
"""What of it one order takes, and one offer that is tried."""


@dataclass
class Clearing:
    """Which offer each order is placed on by one clearing, and at what prices."""

    offer: Ints
    """Of each order, or NOWHERE."""
    price: TickColumn
    """Of each offer: the clearing price of its tier, and no less than the dearest ask that sold there."""
    limit: TickColumn
    """Of each order: what it could be asked for at most."""
    makes_none: Bools
    """Of each order: whether it was left out for want of money, its client's or the provider's, and so makes no price."""
    unplaced: dict[int, RejectionReason]
    """Orders of groups that were not placed, and why."""


@dataclass
class Bill:
    """What a clearing comes to."""

    prices: dict[int, PricePerGpuHour]
    """What each row pays for which the money is there, by priority."""
    lacking: dict[int, RejectionReason]
    """What the other placed rows lack."""
    dearest: dict[int, PricePerGpuHour]
    """Where ticks are coarser than base units: of a tier, the dearest ask that sold there."""


class Funding:
    """Bills every clearing of one round, and remembers who fell short."""

    def __init__(self, facts: Facts, pools: Pools, rows: Ints, is_last: Bools) -> None:
        """``rows``: the orders that take part; ``is_last``: of all orders, those whose clients are served last."""
        self.facts, self.pools, self._rows, self.is_last = facts, pools, rows, is_last
        self._columns = facts.columns
        self._at_first = remaining = Remaining(facts.snapshot)
        self.room_at_first: Ints = np.maximum(0, facts.offers["free"])
        for at, offer in enumerate(facts.columns.listings) if facts.snapshot.posted else ():
            self.room_at_first[at] = remaining.free_of(offer.id)
        self._balances = Balances(remaining, facts.columns, facts.snapshot.terms.bond_floor)
        self._alone = self._limits(remaining)
        self.limit = self._alone
        """Of each order: its limit, or less where its client has not so much."""
        self.room = self.room_at_first.copy()
        """Of each offer: GPUs for the next clearing."""
        self.first, self.tiers = tiers_of(pools, self.room_at_first)
        """Equal machines: of one pool, with equally many GPUs free when the round begins. They have one price."""
        self.barred: dict[int, RejectionReason] = {}
        """The orders that stay out of the next clearing."""
        self._effort = FILL_EFFORT
        """What is left of it."""
        self._is_short = np.zeros(len(self._balances.free), np.bool_)
        """Of each account: whether it turned out to be short, as a client."""
        self._is_short[facts.orders["client"][rows[self._alone[rows] < facts.orders["limit"][rows]]]] = True
        self._is_favoured = np.zeros(len(self._alone), np.bool_)
        """Of each order: whether its client spends its money on it before all others, to see what that is worth (``favour``)."""
        self._is_tried = np.zeros(len(self._alone), np.bool_)
        self.priority = rows
        """``rows`` by priority: the highest limits first, of equal ones the smaller id; after all others those who are served last."""
        self._no_price = TickColumn(np.zeros(len(self.room_at_first), np.int64))
        self._limit_by_means(np.full(len(self._alone), NOWHERE, np.int64), self._no_price)

    @property
    def is_anybody_short(self) -> bool:
        return bool(self._is_short.any())

    def _limits(self, remaining: Remaining) -> TickColumn:
        limit = self._columns.orders["limit"].copy()
        cannot_surely = self._balances.cannot_surely_pay(self._columns.orders.only(*MONEY), limit)
        for row in self._rows[cannot_surely[self._rows]].tolist():
            highest = remaining.highest_price(self._columns.book[row].signed)
            limit[row] = min(highest >> self._columns.tick_bits, CAP)
        return TickColumn(limit)

    def _sorted(self, rows: Ints) -> Ints:
        """By priority. One number says all: who comes last, the limit from above, and the row."""
        limit, is_last = CAP - self.limit[rows], self.is_last[rows].astype(np.int64)
        bits = len(self.limit).bit_length()
        return np.asarray(np.sort((is_last * (2 * CAP) + limit) << bits | rows) & (1 << bits) - 1)

    def by_priority(self, among: Bools) -> Ints:
        """The rows that take part and are among these, by priority."""
        return np.asarray(self.priority[among[self.priority]])

    def raised(self, assigned: Ints, price: TickColumn) -> TickColumn:
        """These prices, but none below the dearest ask that sells on a tier with these assignments."""
        rows, asks = np.nonzero(assigned != NOWHERE)[0], np.zeros(len(self.first), np.int64)
        np.maximum.at(asks, self.tiers.of[assigned[rows]], self._columns.offers["ask"][assigned[rows]])
        return TickColumn(np.maximum(price, asks[self.tiers.of]))

    # What a clearing comes to

    def bill(self, outcome: Clearing) -> Bill:
        """What each placed order pays: the price of its tier, or its own signed limit; and who lacks the money for it."""
        rows = self.by_priority(outcome.offer != NOWHERE)
        offers = outcome.offer[rows]
        orders = self._columns.orders.only("is_special", *MONEY).at(rows)
        listed = self._columns.offers.only("ask", "bond_bps", "provider").at(offers)
        price = TickColumn(np.minimum(outcome.price[offers], self._columns.orders["limit"][rows]))
        is_doubtful = self._balances.may_lack(orders, listed, price) | orders["is_special"]
        is_doubtful |= self._columns.tick_bits > 0
        # Where ticks are coarser than base units all of these are counted exactly.
        prices = {
            row: price_of(Ticks(level), self._columns.tick_bits)
            for row, level in zip(rows.tolist(), price.tolist(), strict=True)
        }
        bill = Bill(prices, {}, self._dearest(rows, offers))
        doubtful = np.flatnonzero(is_doubtful)
        by_worth = doubtful[self._by_worth(rows[doubtful], TickColumn(price[doubtful]))]
        remaining = self._at_first.anew()
        for row, offer in zip(rows[by_worth].tolist(), offers[by_worth].tolist(), strict=True):
            paid = self._counted(remaining, row, offer, self._level(bill, offer, outcome.price))
            if isinstance(paid, RejectionReason):
                del bill.prices[row]
                bill.lacking[row] = paid
            else:
                bill.prices[row] = paid
        for row in self._broken(bill):
            del bill.prices[row]
        return bill

    def _dearest(self, rows: Ints, offers: Ints) -> dict[int, PricePerGpuHour]:
        found = dict[int, PricePerGpuHour]()
        for offer in np.unique(offers).tolist() if self._columns.tick_bits else ():
            tier, ask = int(self.tiers.of[offer]), self._columns.listings[offer].price
            found[tier] = max(found.get(tier, ask), ask)
        return found

    def _level(self, bill: Bill, offer: int, price: TickColumn) -> PricePerGpuHour:
        """What machines equal to this offer's cost, at these prices."""
        level = price_of(Ticks(int(price[offer])), self._columns.tick_bits)
        return max(level, bill.dearest.get(int(self.tiers.of[offer]), level))

    def _by_worth(self, rows: Ints, price: TickColumn) -> Ints:
        """The places of these rows, the orders of a client by what it would rather have for its money at these prices: by surplus for
        each unit of money, or by surplus alone, whichever brings more of it. Those who are served last come last."""
        orders, limit = self._columns.orders.only(*MONEY).at(rows), self._columns.orders["limit"][rows]
        cost = self._balances.cost(orders, price)
        gain = np.maximum(0, limit - price) * orders["gpus"]
        is_late = 2 * self.is_last[rows] - self._is_favoured[rows]
        worth = (gain << 16) // cost
        turns = [np.lexsort((rows, -limit, *keys, is_late)) for keys in ((-worth,), (-worth, -gain))]
        brings = [self._balances.brought(orders["client"][turn], TickColumn(cost[turn]), gain[turn]) for turn in turns]
        place = np.empty((2, len(rows)), np.int64)
        for at, turn in enumerate(turns):
            place[at, turn] = np.arange(len(rows))
        is_better = (brings[1] >= brings[0])[orders["client"]]
        return np.lexsort((np.where(is_better, place[1], place[0]), is_late))

    def _counted(
        self, remaining: Remaining, row: int, offer: int, price: PricePerGpuHour
    ) -> PricePerGpuHour | RejectionReason:
        """What the row pays on this offer where equal machines cost so much, counted as opened. Or what is lacking."""
        signed, listing = self._columns.book[row].signed, self._columns.listings[offer]
        fill = Fill(signed, listing.id, PricePerGpuHour(min(max(price, listing.price), signed.order.max_price)))
        if fill.price < listing.price:
            return RejectionReason.PRICE_OUT_OF_BOUNDS
        lacking = remaining.reason_against(signed, listing, fill.price)
        if lacking is None:
            remaining.take(fill)
        return fill.price if lacking is None else lacking

    def surplus(self, assigned: Ints) -> Ticks:
        """What those who are assigned are worth together: GPUs × (limit − ask)."""
        rows = np.nonzero(assigned != NOWHERE)[0]
        orders, asks = self._columns.orders, self._columns.offers["ask"][assigned[rows]]
        return Ticks(int((orders["gpus"][rows] * (orders["limit"][rows] - asks)).sum()))

    def fills(self, outcome: Clearing, rows: Ints, prices: Mapping[int, PricePerGpuHour]) -> Fills:
        """The fills of these rows, on the offers that the outcome says."""
        offers = self._columns.offers["id"][outcome.offer[rows]]
        return Fills(self._columns.book, rows, offers, list(map(prices.__getitem__, rows.tolist())))

    # Before the next clearing

    def learn(self, outcome: Clearing, bill: Bill) -> None:
        """Settle who and what the next clearing is without: orders whose delegates lack the budget; the room of offers whose providers cannot
        cover more bonds. And how much the orders of clients who are short can ask for."""
        gpus, clients, rows = self._columns.orders["gpus"], self._columns.orders["client"], list(bill.prices)
        paid = gpus_on(outcome.offer[rows], gpus[rows], len(self.room))
        for row, reason in bill.lacking.items():
            offer = outcome.offer[row]
            # Whoever lacks a bond for its own order, or for one served last, keeps nobody else from that offer.
            is_own = self._columns.offers["provider"][offer] == clients[row] or self.is_last[row]
            if reason is RejectionReason.PROVIDER_BALANCE_TOO_LOW and not is_own:
                self.room[offer] = paid[offer]
            elif reason is RejectionReason.CLIENT_BALANCE_TOO_LOW:
                self._is_short[clients[row]] = True
            else:
                self.barred[row] = reason
        self._limit_by_means(outcome.offer, outcome.price)

    def _limit_by_means(self, offer: Ints, price_on: TickColumn) -> None:
        """Of each client who is short: its orders as it would rather have them at these prices. If all prices rose or fell alike until the client
        could just pay this order and those before it, this order's price would be its limit."""
        rows = self._rows[self._is_short[self._columns.orders["client"][self._rows]]]
        price, is_placed = self._cheapest(rows, price_on), offer[rows] != NOWHERE
        price[is_placed] = price_on[offer[rows[is_placed]]]
        orders = self._columns.orders.only(*MONEY)
        order = self._by_worth(rows, price)
        rows, price = rows[order], TickColumn(price[order])
        means = self._balances.limits(orders.at(rows), price)
        self.limit = self._alone.copy()
        self.limit[rows] = np.minimum(self._alone[rows], means)
        self.priority = self._sorted(self._rows)

    def cannot_pay(self, outcome: Clearing, bill: Bill) -> Ints:
        """Orders that were left out, of clients who were short, who could not pay for them what equal machines cost, beside what they pay for."""
        orders, kept = self._columns.orders, np.fromiter(bill.prices, np.int64, len(bill.prices))
        rows = self._rows[self._is_short[orders["client"][self._rows]] & (outcome.offer[self._rows] == NOWHERE)]
        money, spent = orders.only(*MONEY), np.zeros(len(self._is_short), np.int64)
        paid = TickColumn(np.minimum(outcome.price[outcome.offer[kept]], orders["limit"][kept]))
        cost = self._balances.cost(money.at(kept), paid, FAR)
        np.add.at(spent, orders["client"][kept], cost)
        spent[orders["client"][kept[cost == FAR]]] = FAR
        left = (self._balances.free - spent)[orders["client"][rows]]
        cost = self._balances.cost(money.at(rows), self._cheapest(rows, outcome.price), FAR)
        return np.asarray(rows[cost > left])

    def favour(self, outcome: Clearing) -> int:
        """The order of a short client that, served before its others, could gain the most of those that are left out and were not tried yet; or
        NOWHERE. It comes first when the next clearing is billed."""
        orders, at = self._columns.orders, outcome.offer
        rows = self._rows[
            self._is_short[orders["client"][self._rows]] & ((at == NOWHERE) & ~self._is_tried)[self._rows]
        ]
        price = self._cheapest(rows, self._no_price)
        gain = (orders["limit"][rows] - price) * orders["gpus"][rows]
        can_pay = (
            self._balances.cost(orders.only(*MONEY).at(rows), price) <= self._balances.free[orders["client"][rows]]
        )
        gain = np.where(can_pay, gain, 0)
        if gain.max(initial=0) <= 0:
            return NOWHERE
        row = int(rows[gain.argmax()])
        self._is_tried[row] = self._is_favoured[row] = True
        return row

    def disfavour(self, row: int) -> None:
        self._is_favoured[row] = False

    def close_thin(self) -> None:
        """From the last of the usual clearings on: where a provider could bond hardly any of its GPUs for orders of a usual length, only as many as it could.

        Else offers of many GPUs without the money would take all orders in, clearing after clearing. Who could serve more is found afterwards.
        """
        orders, listed = self._columns.orders, self._columns.offers
        usual = int(np.median(orders["max_seconds"][self._rows])) if len(self._rows) else 0
        self.room = self._balances.bonded(self.room, listed, self.pools.rank, usual)

    def _cheapest(self, rows: Ints, price: TickColumn) -> TickColumn:
        """The lowest price of machines that could serve each of these orders, at most ``CAP``."""
        supply = Supply(self.facts, self.pools, self.limit, self.room_at_first, price)
        return TickColumn(np.minimum(supply.cheapest(rows), CAP))

    def _broken(self, bill: Bill) -> list[int]:
        """Paid rows of groups of which another row was not: all or none."""
        broken = {self.group(row) for row in bill.lacking} - {None}
        return [row for row in bill.prices if self.group(row) in broken] if broken else []

    def group(self, row: int) -> object:
        group = self._columns.book[row].spec.group
        return (self._columns.book[row].signed.order.client, group.id) if group else None

    def fill_up(self, outcome: Clearing, bill: Bill) -> None:
        """When money was short: whoever can still be served with what is left is, by priority, order by order, while there is time.

        What is left only shrinks: a demand for which there is no room is not asked for again, nor is a provider for a bond as large as one
        that it could not cover.
        """
        gpus, bits = self._columns.orders["gpus"], self._columns.tick_bits
        listed, paid = self._columns.offers, list(bill.prices)
        bond = listed["ask"] * listed["bond_bps"]
        remaining, sold_on = self._at_first.anew(), defaultdict[int, list[int]](list)
        remaining.take_all(self.fills(outcome, np.array(paid, np.int64), bill.prices))
        for row, tier in zip(paid, self.tiers.of[outcome.offer[paid]].tolist(), strict=True):
            sold_on[tier].append(row)
        left = self.room_at_first - gpus_on(outcome.offer[paid], gpus[paid], len(self.room_at_first))
        fitting, too_much = dict[int, Ints](), np.full(len(left), NEVER, np.int64)
        for row in self.priority.tolist():
            if self._effort <= 0:
                break
            if row in bill.prices or self.group(row) is not None:
                continue
            signed, demand = self._columns.book[row].signed, int(self.pools.demand[row])
            if demand not in fitting:
                fitting[demand] = self.pools.offers_of(demand)
            offers, at = fitting[demand], 0
            self._effort -= _ONE_ORDER + len(offers) // 128
            highest = min(remaining.highest_price(signed) >> bits, CAP)
            work = int(gpus[row]) * int(self._columns.orders["max_seconds"][row])
            may_come = partial(_next_that_may, offers, left, listed["ask"], too_much, gpus[row], highest, work)
            while self._effort > 0 and (at := may_come(at)) < len(offers):
                offer, at = int(offers[at]), at + 1
                self._effort -= _ONE_OFFER
                listing, tier = self._columns.listings[offer], int(self.tiers.of[offer])
                level = max(listing.price, self._level(bill, offer, outcome.price))
                raised = self._raised(outcome, bill, sold_on[tier], level) if level == listing.price else []
                self._effort -= _ONE_ORDER * len(raised)
                if not remaining.raise_to(raised):
                    continue
                price = self._counted(remaining, row, offer, level)
                if not isinstance(price, RejectionReason):
                    bill.prices |= {other: pays for other, (_, pays) in zip(sold_on[tier], raised, strict=False)}
                    bill.prices[row], outcome.offer[row] = price, offer
                    outcome.price[self.tiers.of == tier] = max(int(outcome.price[offer]), int(listed["ask"][offer]))
                    bill.dearest[tier] = max(bill.dearest.get(tier, listing.price), listing.price)
                    sold_on[tier].append(row)
                    left[offer] -= gpus[row]
                    break
                remaining.raise_to([(fill._replace(price=pays), fill.price) for fill, pays in raised])
                if price is RejectionReason.PROVIDER_BALANCE_TOO_LOW and listing.provider != signed.order.client:
                    no_less = (listed["provider"] == listed["provider"][offer]) & (bond >= bond[offer])
                    too_much[no_less] = np.minimum(too_much[no_less], work)

    def _raised(
        self, outcome: Clearing, bill: Bill, rows: list[int], price: PricePerGpuHour
    ) -> list[tuple[Fill, PricePerGpuHour]]:
        """The fills of these rows, and what each pays where equal machines cost so much."""
        found = list[tuple[Fill, PricePerGpuHour]]()
        for row in rows:
            signed, offer = self._columns.book[row].signed, self._columns.listings[int(outcome.offer[row])].id
            pays = PricePerGpuHour(max(bill.prices[row], min(price, signed.order.max_price)))
            found.append((Fill(signed, offer, bill.prices[row]), pays))
        return found


@njit(cache=True)
def _next_that_may(
    offers: Ints, left: Ints, ask: Ints, too_much: Ints, gpus: int, highest: int, work: int, at: int
) -> int:
    """From there on, the place of the first of these offers that has the room, asks no more, and was not found to lack the bond; or the end."""
    while at < len(offers):
        offer = offers[at]
        if left[offer] >= gpus and ask[offer] <= highest and too_much[offer] > work:
            break
        at += 1
    return at
