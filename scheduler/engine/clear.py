"""One round: snapshot in, plan out. Every order of the book ends in exactly one placement or one explanation.

How an order gets its place and its price:

1. *Feasible?* (``feasible``) Its demand says which offers fit; demands and pools of like offers make a graph (``pools``).
2. *Auction* (``auction``): the highest limits first, then chains of bids as long as the surplus rises.
3. *Clearing prices* (``price``): the least at which nobody has a reason to complain.
4. *Seats* (``groups``, ``seats``): whole groups, and orders that waited too long, if they can pay these prices, are seated first, and 2 and 3 are
   done again for the rest. Clients whose fills keep failing take what is left. Who prefers a region is moved there if it costs hardly more.
5. *Money* (``count``): all fills are counted at one price for equal machines. Who cannot pay it leaves, and its order makes no price; what a
   short client's orders may be asked for is told by its money, and the market is cleared again.

Equal snapshots give equal plans, bit for bit, in whatever order their rows come, on whatever machine, by whatever auctioneer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from marketplace.domain.book import RejectionReason
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.auction import auction, seat_by_priority
from scheduler.engine.bounds import lots
from scheduler.engine.columns import ColumnReader
from scheduler.engine.count import Bill, Clearing, Count
from scheduler.engine.explain import Story
from scheduler.engine.facts import Facts
from scheduler.engine.feasible import Demands, refused_at_once
from scheduler.engine.groups import Usher, groups_of
from scheduler.engine.market import NOWHERE, Bools, Ints, SeatMap, begin, gpus_on, seat_anew, seats_after
from scheduler.engine.plan import Plan, PoolPrice
from scheduler.engine.pools import market_of, pools_of, rank_of
from scheduler.engine.price import clearing_prices
from scheduler.engine.seats import Hall, credit_of, prefer, seat_elders, served_last
from scheduler.engine.snapshot import Snapshot

Auctioneer = Callable[[SeatMap, int], Ints]
"""Holds the auction of a market with so many shards; the offer of each order, or NOWHERE."""

PASSES, MOST_PASSES, ROWS_AGAIN = 4, 32, 1 << 14
"""Clearings in one round while somebody turns out to lack the money: the first number, or more of a small book, as long as they come to so many
orders together, and never more than the second. The best of them stands."""
ELDERS_TRIED, FEW_ROWS = 4, 2_000
"""So many elders are tried one by one where all of them together cost too much; of more than so many orders, only one is."""


def hold_here(market: SeatMap, shards: int) -> Ints:
    """The auction in this process, all shards in one go."""
    auction(market, shards)
    return np.asarray(market.orders["offer"])


def highest_first(market: SeatMap, shards: int) -> Ints:
    """No auction: the highest limits first, and nobody gives way."""
    begin(market)
    seat_by_priority(market)
    return np.asarray(market.orders["offer"])


def clear(snapshot: Snapshot, auctioneer: Auctioneer = hold_here, reader: ColumnReader | None = None) -> Plan:
    """The plan of this round. ``reader``: one that has read most of these rows before saves the time to do it again."""
    return Round(snapshot, auctioneer, reader or ColumnReader()).plan()


class _Sitting:
    """The market of one clearing, and the last auction held in it: where everybody sat then, and the price of each offer."""

    def __init__(self, round_: Round, rows: Ints, aside: list[int], room: Ints) -> None:
        """The first auction. ``rows``: who competes, by priority, those included who stand ``aside`` unless they are held; ``room``: of each
        offer."""
        self._round, self._room = round_, room
        self._is_aside = np.zeros(round_.columns.orders.rows, np.bool_)
        self._is_aside[aside] = True
        self._market = market_of(round_.pools, rows, round_.facts, round_.limit, room, self._is_aside)
        self._auction()

    def hold(self, held: Mapping[int, int]) -> None:
        """Another auction, around these held seats."""
        is_held, rows, seats = self._is_aside.copy(), list(held), np.full_like(self.seated, NOWHERE)
        seats[rows], is_held[rows] = list(held.values()), True
        seat_anew(self._market, seats, is_held, self._room)
        self._auction()

    def _auction(self) -> None:
        market = self._market
        if len(market.orders):
            market.orders["offer"] = self._round.auctioneer(market, self._round.pools.shards)
        self.seated = seats_after(market, len(self._is_aside), self._room)
        self.price = clearing_prices(market, self._round.count.nodes, self._room)

    def standing(self) -> tuple[Ints, Ints]:
        """Where everybody sits, and the prices."""
        return self.seated.copy(), self.price

    def restore(self, former: tuple[Ints, Ints]) -> None:
        """As if an auction had not been held."""
        self.seated, self.price = former

    def hall(self) -> Hall:
        """Room of all offers, as if nobody sat, at the prices of the last auction."""
        return Hall(self._round.facts, self._round.pools, self._round.limit, self._room.copy(), self.price)


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
        self.count = self._counted_anew()
        self.room = self.count.room.copy()

    @property
    def limit(self) -> Ints:
        """Of each order, in ticks: what it may be asked for at most in the next clearing."""
        return self.count.limit

    def plan(self) -> Plan:
        """Clear and count the money; where somebody lacks it, clear again, and keep the best that is paid for."""
        outcome, bill = self._within_means()
        is_small = len(self.rows) * PASSES < ROWS_AGAIN
        if self.count.is_anybody_poor and is_small and self.auctioneer is not highest_first:
            # Money that is short may be better spent where nobody gives way to others.
            most, self.auctioneer, self.count = self.count.surplus(outcome.offer), highest_first, self._counted_anew()
            others = self._within_means()
            if self.count.surplus(others[0].offer) > most:
                outcome, bill = others
        return self._plan(outcome, bill.prices)

    def _counted_anew(self) -> Count:
        return Count(self.facts, self.pools, self.rows, self.is_last)

    def _within_means(self) -> tuple[Clearing, Bill]:
        """Clear; where somebody is short, again with what was learnt of that, until all is paid for; then, where that is quick, with one order
        after the other that was left out put before the others of its client. The outcome with the largest surplus stands."""
        count, best, most, favoured = self.count, None, -1, NOWHERE
        passes = min(MOST_PASSES, ROWS_AGAIN // max(1, len(self.rows)))
        for turn in range(max(PASSES, passes)):
            outcome = self._clear(count.room, count.barred)
            bill = count.bill(outcome)
            if not turn and not bill.lacking and not count.is_anybody_poor:
                return outcome, bill
            kept = self._paid_for(outcome, bill)
            surplus = count.surplus(kept[0].offer)
            if best is None or surplus > most:
                best, most = kept, surplus
            elif favoured != NOWHERE:
                count.disfavour(favoured)
            if not bill.lacking:
                favoured = count.favour(best[0]) if turn < passes else NOWHERE
                if favoured == NOWHERE:
                    break
            count.learn(outcome, bill)
            if turn == PASSES - 2:
                count.close_thin()
        assert best is not None
        # What is filled up first may make GPUs dearer; what is left after that goes at what they cost.
        count.fill_up(*best)
        best = self._paid_for(*best)
        count.fill_up(*best)
        return best

    def _paid_for(self, outcome: Clearing, bill: Bill) -> tuple[Clearing, Bill]:
        """The outcome without those who lack the money. They make no prices either, nor does who could not pay what was left."""
        gone = outcome.makes_none & (outcome.offer == NOWHERE)
        for turn in range(PASSES):
            seats, rows = np.full_like(outcome.offer, NOWHERE), list(bill.prices)
            seats[rows] = outcome.offer[rows]
            gone[(outcome.offer != NOWHERE) & (seats == NOWHERE)] = True
            gone[self.count.cannot_pay(replace(outcome, offer=seats), bill)] = True
            # In the end prices only fall, which everybody can pay who is left.
            price = self._repriced(seats, gone, outcome.limit)
            price = price if turn < PASSES - 1 else np.minimum(price, outcome.price)
            outcome = replace(outcome, offer=seats, price=self.count.raised(seats, price), makes_none=gone)
            bill, before = self.count.bill(outcome), len(rows)
            if not bill.lacking and len(bill.prices) == before and turn:
                break
        return outcome, bill

    def _repriced(self, seats: Ints, gone: Bools, limit: Ints) -> Ints:
        """The prices at which these seats clear when some orders are gone."""
        takes_part = np.zeros(len(seats), np.bool_)
        takes_part[self.rows] = True
        takes_part[list(self.count.barred)] = False
        takes_part &= ~self.is_last & ~gone
        alone = ~self._in_groups
        market = market_of(self.pools, self.count.by_priority(takes_part), self.facts, limit, self.count.room, ~alone)
        market.orders["offer"] = seats[market.orders["row"]]
        rows = np.nonzero(seats != NOWHERE)[0]
        market.offers["room"] = self.left(self.count.room, rows, seats[rows])
        return clearing_prices(market, self.count.nodes, self.count.room)

    # One clearing

    def _clear(self, room: Ints, barred: Mapping[int, RejectionReason]) -> Clearing:
        """Auction, prices and seats with this room, without those who are barred."""
        takes_part = np.zeros(self.columns.orders.rows, np.bool_)
        takes_part[self.rows] = True
        takes_part[list(barred)] = False
        groups = groups_of(self.columns.book, np.nonzero(self.columns.orders["is_special"] & takes_part)[0].tolist())
        linked = [row for first, of_group in groups.items() for row in of_group or (first,)]
        takes_part[linked] = False
        whole = [of_group for of_group in groups.values() if of_group]
        competes = takes_part & ~self.is_last
        competes[[row for of_group in whole for row in of_group if not self.is_last[row]]] = True
        sitting = _Sitting(self, self.count.by_priority(competes), linked, room)
        usher = Usher()
        self._seat_groups(sitting, usher, whole)
        self._seat_elders(sitting, usher, whole, takes_part & ~self.is_last)
        seated, price = sitting.seated, sitting.price
        self._settle_in(usher, whole, room, price, seated, takes_part)
        return Clearing(
            seated,
            self.count.raised(seated, price),
            self.limit,
            np.zeros(len(seated), np.bool_),
            usher.reasons(groups, seated),
        )

    def _seat_groups(self, sitting: _Sitting, usher: Usher, whole: list[tuple[int, ...]]) -> None:
        """Seat groups that can pay the prices. Whoever cannot pay those that come of it pushed aside somebody who would pay more, and gives
        the seats up."""
        hall = sitting.hall()
        held = usher.seat(hall, [linked for linked in whole if not self.is_last[linked[0]]])
        if not held:
            return
        sitting.hold(held)
        hall.price = sitting.price
        given_up = {row for linked in whole if linked[0] in held and not hall.can_pay(linked, held) for row in linked}
        if given_up:
            sitting.hold({row: offer for row, offer in held.items() if row not in given_up})

    def _seat_elders(self, sitting: _Sitting, usher: Usher, whole: list[tuple[int, ...]], alone: Bools) -> None:
        """Seat some elders who have no seat and can pay the prices, as far as their credits cover what the market loses by it: all of them, or
        the longest waiting one by one. Groups keep theirs where there is still room for them."""
        standing = np.nonzero(alone & (sitting.seated == NOWHERE))[0]
        elders = seat_elders(sitting.hall(), standing, sitting.seated)
        linked = [one for one in whole if sitting.seated[one[0]] != NOWHERE]
        before, seated = self.count.surplus(sitting.seated), dict[int, int]()
        trials = [elders, *({row: offer} for row, offer in self._tried(elders))] if elders else []
        for trial in trials if len(elders) > 1 else trials[:1]:
            former, hall = sitting.standing(), sitting.hall()
            hall.take(seated | trial)
            sitting.hold(seated | trial | usher.seat(hall, linked))
            credit = sum(
                credit_of(self.snapshot, int(self.columns.orders["accepted_at"][row]), before) for row in seated | trial
            )
            if before - self.count.surplus(sitting.seated) > credit:
                sitting.restore(former)
            elif trial is elders:
                break
            else:
                seated |= trial

    def _tried(self, elders: dict[int, int]) -> list[tuple[int, int]]:
        """Those that are tried one by one: the longest waiting; where an auction takes long, one that is drawn by lot in every block."""
        if len(self.rows) <= FEW_ROWS:
            return list(elders.items())[:ELDERS_TRIED]
        lot = lots(self.snapshot.now.hash, self.columns.orders["tie"][list(elders)])
        return [list(elders.items())[int(lot.argmin())]]

    def _settle_in(
        self, usher: Usher, whole: list[tuple[int, ...]], room: Ints, price: Ints, seated: Ints, takes_part: Bools
    ) -> None:
        """After the auction: who prefers a region is moved, and what is left goes to others, in the end to those who are served last."""
        rows = np.nonzero(seated != NOWHERE)[0]
        hall = Hall(self.facts, self.pools, self.limit, self.left(room, rows, seated[rows]), price)
        has_moved = prefer(hall, seated)
        for turn in (~self.is_last, self.is_last):
            linked = [one for one in whole if turn[one[0]] and seated[one[0]] == NOWHERE]
            late = usher.seat(hall, linked)
            seated[list(late)] = list(late.values())
            if turn is self.is_last and turn.any():
                # Who is served last makes nothing dearer for the others.
                sold = np.isin(self.count.nodes.of, self.count.nodes.of[seated[seated != NOWHERE]])
                hall.room[sold & (self.columns.offers["ask"] > self.count.raised(seated, price))] = 0
            if (has_moved or turn is self.is_last) and turn.any():
                self._fill_up(hall, seated, takes_part & turn)

    def _fill_up(self, hall: Hall, seated: Ints, may_come: Bools) -> None:
        """Seat those who have no seat where there is room, by priority."""
        standing = self.count.by_priority(may_come & (seated == NOWHERE))
        market = market_of(self.pools, standing, self.facts, self.limit, hall.room, np.zeros(len(seated), np.bool_))
        seat_by_priority(market)
        seated[market.orders["row"]] = market.orders["offer"]
        hall.room = market.offers["room"].copy()

    def left(self, room: Ints, rows: Ints, offers: Ints) -> Ints:
        """What is left of this room when these rows sit on these offers."""
        return room - gpus_on(offers, self.columns.orders["gpus"][rows], len(room))

    # The plan

    def _plan(self, outcome: Clearing, prices: Mapping[int, PricePerGpuHour]) -> Plan:
        view = self.snapshot.view
        rows = self._by_group(np.fromiter(prices, np.int64, len(prices)))
        offers = outcome.offer[rows]
        story = Story(
            self.snapshot,
            self.facts,
            self.demands,
            self.room,
            self.turned_away,
            outcome.unseated,
            self.is_last,
            outcome.price,
        )
        return Plan(
            source=self.snapshot,
            block=view.block,
            chain_id=self.snapshot.terms.chain_id,
            market=self.snapshot.terms.market,
            opener=self.snapshot.opener,
            fills=self.count.fills(outcome, rows, prices),
            prices=self._pool_prices(outcome, rows, offers),
            story=story,
        )

    def _by_group(self, rows: Ints) -> Ints:
        """By priority, the orders of a group together: they go to the chain in one batch."""
        first: dict[object, int] = {}
        is_special = self.columns.orders["is_special"][rows]
        if not is_special.any():
            return rows
        groups = [
            self.count.group(row) if may_be else None
            for row, may_be in zip(rows.tolist(), is_special.tolist(), strict=True)
        ]
        places = [at if group is None else first.setdefault(group, at) for at, group in enumerate(groups)]
        return np.asarray(rows[np.argsort(places, kind="stable")])

    def _pool_prices(self, outcome: Clearing, rows: Ints, offers: Ints) -> tuple[PoolPrice, ...]:
        """The clearing price of every node on which something was sold, by its first offer. ``rows`` are placed on ``offers``."""
        sold = self.room - self.left(self.room, rows, offers)
        first, nodes = self.count.first, self.count.nodes
        gpus = gpus_on(nodes.of, sold, len(first))
        first, gpus = first[gpus > 0], gpus[gpus > 0]
        listed, bits = self.columns.offers, self.columns.tick_bits
        order = np.lexsort((listed["id"][first], listed["gpu_class"][first]))
        first, gpus = first[order], gpus[order]
        columns = (listed["gpu_class"][first], listed["id"][first], self.room[first], outcome.price[first], gpus)
        return tuple(
            PoolPrice(gpu_class, offer, free, PricePerGpuHour(price << bits), count)
            for gpu_class, offer, free, price, count in zip(*(column.tolist() for column in columns), strict=True)
        )
