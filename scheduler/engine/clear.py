"""One round: snapshot in, plan out. Every order of the book is placed, or there is an explanation why it is not.

How an order gets its place and its price:

1. *Who could serve it?* (``matching``) Its demand says which offers fit; demands and pools of like offers make a graph.
2. *Auction* (``auction``): the highest limits first, then bids that displace others as long as the surplus rises; then the least prices at
   which nobody has a reason to complain.
3. *Placement* (``placement``): whole groups, and overdue orders, if they can pay these prices, are placed first, and 2 is done again for the
   rest. Clients whose fills keep failing take what is left. Who prefers a region is moved there if it costs hardly more.
4. *Funds* (``funds``): all fills are billed at one price for equal machines. Who cannot pay it leaves, and its order makes no price; what a
   short client's orders may be asked for follows from its money, and the market is cleared again.

Equal snapshots give equal plans, bit for bit, in whatever order their rows come, on whatever machine, by whatever auctioneer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from marketplace.domain.book import RejectionReason
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.arrays import NOWHERE, Bools, Ints, gpus_on
from scheduler.engine.auction.bidding import Auctioneer, highest_first, hold_here
from scheduler.engine.auction.prices import clearing_prices
from scheduler.engine.auction.state import auction_of
from scheduler.engine.documents.plan import Plan, PoolPrice
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.explain import Explainer
from scheduler.engine.funds.funding import Bill, Clearing, Funding
from scheduler.engine.matching.checks import refused_at_once
from scheduler.engine.matching.demands import Demands
from scheduler.engine.matching.pools import pools_of, rank_of
from scheduler.engine.placement.clearing import Placing
from scheduler.engine.placement.precedence import served_last
from scheduler.engine.tables.columns import ColumnReader
from scheduler.engine.tables.facts import Facts
from scheduler.engine.tables.ticks import TickColumn, Ticks, price_of

PASSES, MOST_PASSES, ROWS_AGAIN = 4, 32, 1 << 14
"""Clearings while somebody turns out to lack the money: the first number, or more of a small book, as long as they come to so many orders
together, and never more than the second; a small book is cleared so often twice. The best of them stands."""


def clear(snapshot: Snapshot, auctioneer: Auctioneer = hold_here, reader: ColumnReader | None = None) -> Plan:
    """The plan of this round. ``reader``: one that has read most of these rows before saves the time to do it again."""
    return Round(snapshot, auctioneer, reader or ColumnReader()).plan()


class Round:
    """All that one round knows. It is made, asked for its plan, and thrown away."""

    def __init__(self, snapshot: Snapshot, auctioneer: Auctioneer, reader: ColumnReader) -> None:
        self.snapshot, self.auctioneer = snapshot, auctioneer
        self.columns = reader.columns(snapshot.view)
        self.facts = Facts(snapshot, self.columns)
        self.turned_away = refused_at_once(self.facts)
        rows = np.delete(np.arange(self.columns.orders.rows), list(self.turned_away))
        self.demands = Demands(self.facts, rows)
        self.turned_away |= dict.fromkeys(self.demands.left_out.tolist(), RejectionReason.ROUND_FULL)
        self.rows = np.setdiff1d(rows, self.demands.left_out) if len(self.demands.left_out) else rows
        self.pools = pools_of(self.demands, rank_of(self.facts))
        self.is_last = served_last(self.facts)
        self._in_groups = np.zeros(self.columns.orders.rows, np.bool_)
        special = np.nonzero(self.columns.orders["is_special"])[0].tolist()
        self._in_groups[[row for row in special if self.columns.book[row].spec.group is not None]] = True
        self.funding = self._funded_anew()

    def plan(self) -> Plan:
        """Clear and bill; where somebody lacks the money, clear again, and keep the best that is paid for."""
        outcome, bill = self._within_means()
        is_small = len(self.rows) * PASSES < ROWS_AGAIN
        if self.funding.is_anybody_short and is_small and self.auctioneer is not highest_first:
            # Money that is short may be better spent where nobody gives way to others.
            most, self.auctioneer = self.funding.surplus(outcome.offer), highest_first
            self.funding = self._funded_anew()
            others = self._within_means()
            if self.funding.surplus(others[0].offer) > most:
                outcome, bill = others
        return self._plan(outcome, bill.prices)

    def _funded_anew(self) -> Funding:
        return Funding(self.facts, self.pools, self.rows, self.is_last)

    def _within_means(self) -> tuple[Clearing, Bill]:
        """Clear; where somebody is short, again with what was learnt of that, until all is paid for; then, where that is quick, with one order
        after the other that was left out put before the others of its client. The outcome with the largest surplus stands."""
        funding, best, most, favoured = self.funding, None, -1, NOWHERE
        passes = min(MOST_PASSES, ROWS_AGAIN // max(1, len(self.rows)))
        for turn in range(max(PASSES, passes)):
            outcome = Placing(funding, self.rows, self.auctioneer).clear()
            bill = funding.bill(outcome)
            if not turn and not bill.lacking and not funding.is_anybody_short:
                return outcome, bill
            kept = self._paid_for(outcome, bill)
            surplus = funding.surplus(kept[0].offer)
            if best is None or surplus > most:
                best, most = kept, surplus
            elif favoured != NOWHERE:
                funding.disfavour(favoured)
            if not bill.lacking:
                favoured = funding.favour(best[0]) if turn < passes else NOWHERE
                if favoured == NOWHERE:
                    break
            funding.learn(outcome, bill)
            if turn == PASSES - 2:
                funding.close_thin()
        assert best is not None
        # What is filled up first may make GPUs dearer; what is left after that goes at what they cost.
        funding.fill_up(*best)
        best = self._paid_for(*best)
        funding.fill_up(*best)
        return best

    def _paid_for(self, outcome: Clearing, bill: Bill) -> tuple[Clearing, Bill]:
        """The outcome without those who lack the money. They make no prices either, nor does who could not pay what was left."""
        gone = outcome.makes_none & (outcome.offer == NOWHERE)
        for turn in range(PASSES):
            assigned, rows = np.full_like(outcome.offer, NOWHERE), list(bill.prices)
            assigned[rows] = outcome.offer[rows]
            gone[(outcome.offer != NOWHERE) & (assigned == NOWHERE)] = True
            gone[self.funding.cannot_pay(replace(outcome, offer=assigned), bill)] = True
            # In the end prices only fall, which everybody can pay who is left.
            price = self._repriced(assigned, gone, outcome.limit)
            price = price if turn < PASSES - 1 else TickColumn(np.minimum(price, outcome.price))
            price = self.funding.raised(assigned, price)
            outcome = replace(outcome, offer=assigned, price=price, makes_none=gone)
            bill, before = self.funding.bill(outcome), len(rows)
            if not bill.lacking and len(bill.prices) == before and turn:
                break
        return outcome, bill

    def _repriced(self, assigned: Ints, gone: Bools, limit: TickColumn) -> TickColumn:
        """The prices at which these assignments clear when some orders are gone."""
        funding, takes_part = self.funding, np.zeros(len(assigned), np.bool_)
        takes_part[self.rows] = True
        takes_part[list(funding.barred)] = False
        takes_part &= ~self.is_last & ~gone
        rows = funding.by_priority(takes_part)
        auction = auction_of(self.pools, rows, self.facts, limit, funding.room, self._in_groups)
        auction.orders["offer"] = assigned[auction.orders["row"]]
        rows = np.nonzero(assigned != NOWHERE)[0]
        auction.offers["room"] = funding.room - self._taken(rows, assigned[rows])
        return clearing_prices(auction, funding.tiers, funding.room)

    def _taken(self, rows: Ints, offers: Ints) -> Ints:
        """The GPUs of each offer that these rows take, which are placed on these ``offers``."""
        return gpus_on(offers, self.columns.orders["gpus"][rows], self.columns.offers.rows)

    # The plan

    def _plan(self, outcome: Clearing, prices: Mapping[int, PricePerGpuHour]) -> Plan:
        rows = self._by_group(np.fromiter(prices, np.int64, len(prices)))
        return Plan(
            source=self.snapshot,
            block=self.snapshot.view.block,
            chain_id=self.snapshot.terms.chain_id,
            market=self.snapshot.terms.market,
            opener=self.snapshot.opener,
            fills=self.funding.fills(outcome, rows, prices),
            prices=self._pool_prices(outcome, rows, outcome.offer[rows]),
            explainer=Explainer(self.demands, self.turned_away, self.funding, outcome),
        )

    def _by_group(self, rows: Ints) -> Ints:
        """By priority, the orders of a group together: they go to the chain in one batch."""
        first: dict[object, int] = {}
        is_special = self.columns.orders["is_special"][rows]
        if not is_special.any():
            return rows
        groups = [
            self.funding.group(row) if may_be else None
            for row, may_be in zip(rows.tolist(), is_special.tolist(), strict=True)
        ]
        places = [at if group is None else first.setdefault(group, at) for at, group in enumerate(groups)]
        return np.asarray(rows[np.argsort(places, kind="stable")])

    def _pool_prices(self, outcome: Clearing, rows: Ints, offers: Ints) -> tuple[PoolPrice, ...]:
        """The clearing price of every tier on which something was sold, by its first offer. ``rows`` are placed on ``offers``."""
        sold, room = self._taken(rows, offers), self.funding.room_at_first
        first, tiers = self.funding.first, self.funding.tiers
        gpus = gpus_on(tiers.of, sold, len(first))
        first, gpus = first[gpus > 0], gpus[gpus > 0]
        listed, bits = self.columns.offers, self.columns.tick_bits
        order = np.lexsort((listed["id"][first], listed["gpu_class"][first]))
        first, gpus = first[order], gpus[order]
        columns = (listed["gpu_class"][first], listed["id"][first], room[first], outcome.price[first], gpus)
        return tuple(
            PoolPrice(gpu_class, offer, free, price_of(Ticks(price), bits), count)
            for gpu_class, offer, free, price, count in zip(*(column.tolist() for column in columns), strict=True)
        )
